"""A straightforward aiohttp reverse proxy: server + ClientSession, streaming. ``python -m benchmarks.baselines.aiohttp_proxy PORT UPSTREAM``."""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"})


async def _main(port: int, upstream: str) -> None:
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def forward(request: web.BaseRequest) -> web.StreamResponse:
            headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _HOP]
            body = request.content if request.body_exists else None
            async with session.request(
                request.method, upstream + request.path_qs, headers=headers, data=body, allow_redirects=False
            ) as up:
                answer = web.StreamResponse(
                    status=up.status, headers=[(k, v) for k, v in up.headers.items() if k.lower() not in _HOP]
                )
                if up.content_length is not None:
                    answer.content_length = up.content_length
                await answer.prepare(request)
                async for piece in up.content.iter_any():
                    await answer.write(piece)
                await answer.write_eof()
                return answer

        runner = web.ServerRunner(web.Server(forward), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), sys.argv[2]))
