"""``ttgateway sandbox`` (io)."""

import asyncio
import signal
import sys

import click

from gateway.cli import options


@click.command()
@click.option(
    "--listen", callback=options.listen, default="127.0.0.1:8099", show_default=True, metavar="HOST:PORT", help="Where to listen."
)
@click.option("--fast", is_flag=True, help="Keep only counts, for benchmarks.")
def command(listen: tuple[str, int], fast: bool) -> None:
    """Run the TikTok Events API simulator alone.

    It validates as documented, answers with TikTok's codes, and shows what arrived at /sandbox/. Point a gateway at it with
    delivery.endpoint: http://HOST:PORT/open_api/v1.3/event/track/

    \b
    Examples:
      ttgateway sandbox --listen 127.0.0.1:8099
      curl -X PUT http://127.0.0.1:8099/sandbox/faults -d '{"code": 40100, "rate": 0.2}'
    """
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_serve(*listen, fast=fast)))


async def _serve(host: str, port: int, *, fast: bool) -> int:
    from gateway.sandbox import tiktok

    ending = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ending.set)
    try:
        runner = await tiktok.serve(host, port, fast=fast)
    except OSError as error:
        click.echo(f"cannot listen on {host}:{port}: {error.strerror}", err=True)
        return options.EXIT_FAILED
    bound = runner.addresses[0][1]
    click.echo(f"TikTok sandbox: http://{host}:{bound}{tiktok.PATH} – what arrived: http://{host}:{bound}/sandbox/")
    await ending.wait()
    await runner.cleanup()
    return 0
