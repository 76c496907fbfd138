"""Options that several commands share (pure)."""

from pathlib import Path

import click

EXIT_FAILED, EXIT_CONFIGURATION = 1, 78

config = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default="gateway.yaml",
    show_default=True,
    help="The configuration file.",
)

role = click.option(
    "--role",
    type=click.Choice(["all", "edge", "deliver", "admin"]),
    default="all",
    show_default=True,
    help="What the process does; anything but all needs spool.kind jetstream, which pods share.",
)


def listen(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    """Callback of a ``HOST:PORT`` option."""
    from gateway.edge.settings import parse_listen

    try:
        host, port = parse_listen(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return host or "0.0.0.0", port
