"""Somebody with an edge's credentials who listens to what others are answered."""

import json

import nats

from gateway.spool.jetstream.spool import JetStreamSpool

EVERYTHING = ("$KV.ttgw-tokens.>", "_INBOX.>", "_INBOX_ttgw_admin.>", "_INBOX_ttgw_deliver.>", "_INBOX_ttgw_all.>", "*.>", ">")


async def listen(thief: JetStreamSpool, subjects: tuple[str, ...]) -> list[bytes]:
    """What it will have heard; by then the server has noted what it may listen to."""
    heard: list[bytes] = []
    for subject in subjects:
        await thief._wire.listen(subject, lambda words, _: heard.append(words))
    await thief.together.bucket("secrets").bounds()
    return heard


async def read_token(spool: JetStreamSpool, url: str, token: str) -> None:
    """As a pod does, and as anybody's tool does."""
    key = "integrations.tiktok-shop.access_token.1"
    assert token in str(await spool.together.bucket("tokens").entry(key))
    tool = await nats.connect(url)
    asked = json.dumps({"last_by_subj": f"$KV.ttgw-tokens.{key}"}).encode()
    assert token in (await tool.request("$JS.API.DIRECT.GET.KV_ttgw-tokens", asked)).data.decode()
    await tool.close()
