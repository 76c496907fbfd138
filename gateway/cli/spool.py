"""``ttgateway spool`` (io): what waits, as a whole."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options

if TYPE_CHECKING:
    from gateway.spool.jetstream.moving import Moved
    from gateway.spool.settings import SpoolSettings

_TELL_S = 1.0


@click.group()
def command() -> None:
    """Look after the spool as a whole.

    \b
    Example:
      ttgateway spool move -c gateway.yaml
    """


@command.command("move")
@options.config
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="The directory of the SQLite spool.  [default: spool.path]",
)
def move(config: Path, source: Path | None) -> None:
    """Bring the queue, the dead letters and the remembered orders of a SQLite spool to the broker that the configuration names.

    The configuration is the new one, with spool.kind jetstream; gateways that use the broker may run meanwhile. No gateway may run on the SQLite spool. An event leaves the files
    when the broker has acknowledged it, so the command can be interrupted and run again. What waits for a retry is tried anew at once.

    \b
    Examples:
      ttgateway spool move -c gateway.yaml
      ttgateway spool move -c gateway.yaml --from /mnt/old-pod/ttgateway
    """
    from gateway.config.load import load
    from gateway.errors import GatewayError, SpoolLocked

    loaded = load(config, role="edge")
    if loaded.fatal or "spool" in loaded.off:
        for problem in loaded.problems:
            click.echo(str(problem), err=True)
        sys.exit(options.EXIT_CONFIGURATION)
    settings = loaded.settings.spool
    if settings.kind != "jetstream":
        raise click.ClickException(f"{config} has spool.kind {settings.kind}: name the configuration with the broker to move to")
    folder = source or Path(settings.path)
    if not (folder / "spool.db").exists():
        raise click.ClickException(f"there is no SQLite spool in {folder}: name its directory with --from")
    try:
        moved, left = asyncio.run(_move(folder, settings))
    except SpoolLocked as error:
        raise click.ClickException(f"{error}: end the gateway that runs on it first") from None
    except GatewayError as error:
        raise click.ClickException(f"{error}. What was moved is moved, the rest is where it was: run the command again") from None
    click.echo(f"{_words(moved)} moved to {settings.stream}; {left} left in {folder}")
    if moved.withdrawn:
        click.echo(f"{moved.withdrawn} removed instead: their visitors have withdrawn meanwhile")
    if moved.known:
        click.echo(f"{moved.known} of them were there already, from a move that was interrupted")
    sys.exit(options.EXIT_FAILED if left else 0)


def _words(moved: "Moved") -> str:
    return f"{moved.queued} queued events, {moved.letters} dead letters, {moved.marks} remembered orders"


async def _move(folder: Path, settings: "SpoolSettings") -> "tuple[Moved, int]":
    try:
        from gateway.spool.jetstream.moving import Moving
    except ModuleNotFoundError:
        raise click.ClickException(
            "kind jetstream needs a package that is not installed: pip install 'ttgateway[jetstream]'"
        ) from None
    from gateway.spool.settings import SpoolSettings
    from gateway.spool.sqlite import SqliteSpool

    # Letters die of age only while a gateway runs on them: none may while they are moved.
    files = await SqliteSpool.open(SpoolSettings(path=str(folder), max_bytes=1 << 50, dead_max_age=100 * 365 * 86400.0))
    try:
        stats = await files.stats()
        total = sum(lane.queued + lane.dead for lane in stats.lanes)
        click.echo(f"{total} queued events and dead letters in {folder}", err=True)
        said = time.monotonic()

        def told(moved: "Moved") -> None:
            nonlocal said
            if time.monotonic() - said >= _TELL_S:
                said = time.monotonic()
                click.echo(f"  {_words(moved)} …", err=True)

        moved = await Moving(files, settings).run(told)
        return moved, sum(lane.queued + lane.dead for lane in (await files.stats()).lanes)
    finally:
        await files.close()
