"""``ttgateway run`` (io)."""

import sys
from pathlib import Path

import click

from gateway.cli import options


@click.command()
@options.config
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much is logged.",
)
@options.role
def command(config: Path, log_level: str, role: str) -> None:
    """Run the gateway with a configuration.

    Starts unless the sections edge or ops cannot be used (exit 78). Any other fault - a locked spool, a broken integration -
    serves the site with the affected part off, and says so in the log and in /metrics. Where a token is missing, events wait for it.

    Logs are JSON lines on standard error. SIGTERM and SIGINT drain and end, a second one ends at once; SIGHUP reloads. Changes of the
    configuration and of the secrets it names are taken over by themselves.

    \b
    Example:
      ttgateway run -c /etc/ttgateway/gateway.yaml
    """
    from gateway import app

    sys.exit(app.run(config, log_level, role))
