"""``ttgateway shop`` (io): the demo's shop alone; started by ``ttgateway demo``."""

import asyncio
import signal
import sys

import click

from gateway.cli import options


@click.command(hidden=True)
@click.option(
    "--listen", callback=options.listen, default="127.0.0.1:8098", show_default=True, metavar="HOST:PORT", help="Where to listen."
)
@click.option("--sandbox-url", default="", help="Linked from the shop's panel.")
@click.option("--key", default="dk_demo_shop", show_default=True, help="The pipeline's key.")
@click.option("--visitor-ip", default="", help="Public address that visitors seem to have.")
def command(listen: tuple[str, int], sandbox_url: str, key: str, visitor_ip: str) -> None:
    """Run the demo shop alone."""
    sys.exit(asyncio.run(_serve(*listen, sandbox_url=sandbox_url, key=key, visitor_ip=visitor_ip)))


async def _serve(host: str, port: int, *, sandbox_url: str, key: str, visitor_ip: str) -> int:
    from gateway.sandbox.shop import app

    ending = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ending.set)
    try:
        runner = await app.serve(host, port, sandbox_url, key, visitor_ip=visitor_ip)
    except OSError as error:
        click.echo(f"cannot listen on {host}:{port}: {error.strerror}", err=True)
        return options.EXIT_FAILED
    await ending.wait()
    await runner.cleanup()
    return 0
