"""``ttgateway drain`` (io)."""

import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

from gateway.cli import options

_SLACK_S = 30.0


@click.command()
@options.config
def command(config: Path) -> None:
    """Drain the gateway that runs on this machine with this configuration, and wait until it has drained.

    Meant as the preStop hook of its container: readiness fails at once, new connections are still taken for drain.delay, then what
    runs is finished and the spool is flushed within drain.grace. The process ends with the signal that follows.

    \b
    Example:
      ttgateway drain -c /etc/ttgateway/gateway.yaml
    """
    from gateway.config.load import load
    from gateway.edge.settings import parse_listen

    loaded = load(config)
    if loaded.fatal:
        for problem in loaded.problems:
            click.echo(str(problem), err=True)
        sys.exit(options.EXIT_CONFIGURATION)
    host, port = parse_listen(loaded.settings.ops.listen)
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    drain = loaded.settings.drain
    connection = HTTPConnection(host, port, timeout=drain.delay + drain.grace + _SLACK_S)
    try:
        connection.request("POST", "/drain")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        click.echo(f"no gateway answers on {host}:{port}: {error}", err=True)
        sys.exit(options.EXIT_FAILED)
    finally:
        connection.close()
    click.echo(text)
    sys.exit(0 if answer.status == 200 else options.EXIT_FAILED)
