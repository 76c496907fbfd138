"""Bare aiohttp: the low-level ``web.Server``, read + orjson + 204, nothing else. ``python -m benchmarks.baselines.bare_aiohttp PORT``."""

import asyncio
import sys

import orjson
import uvloop
from aiohttp import web


async def _collect(request: web.BaseRequest) -> web.StreamResponse:
    orjson.loads(await request.read())
    return web.Response(status=204)


async def _main(port: int) -> None:
    runner = web.ServerRunner(web.Server(_collect), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
