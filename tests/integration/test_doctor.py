"""``ttgateway doctor``: what it says of a sound gateway, of a sick one and of an unreachable TikTok; it sends no event and changes nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from ports import free_port
from whole import CONFIG, Whole, purchase, whole

from gateway.app.checkup import Subject, examine
from gateway.config.load import load
from gateway.spool import schema

PUBLIC = "203.0.114."


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path) as everything:
        yield everything


async def doctor(around: Whole) -> tuple[int, str]:
    """Exit code and output of the real command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", "-m", "gateway", "doctor", "-c", str(around.config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_sound_gateway(around: Whole) -> None:
    await around.start()
    code, output = await doctor(around)
    assert code == 0, output
    for words in (
        "its metrics are at",
        "accepts connections",
        "is writable; an fsync takes",
        "reached in",
        "clock: agrees",
        "takes the token",
    ):
        assert words in output
    assert "FAULT" not in output
    assert "access-token-1" not in output
    assert await around.received() == [], "it sent an event"
    assert not list((around.state / "spool").glob(".ttgateway-doctor*"))


async def test_without_a_gateway_and_without_tiktok_the_rest_is_still_examined(around: Whole) -> None:
    around.write(CONFIG, **{"{tiktok}/open": f"{free_port()}/open"})
    code, output = await doctor(around)
    assert code == 1
    assert "none runs with this configuration" in output
    assert "cannot be reached: refused or unreachable" in output
    assert "clock: not compared" in output
    assert "token: tiktok-shop: not tried" in output
    assert f"{around.state} is writable" in output
    assert not (around.state / "spool").exists(), "it made the spool"


async def test_a_revoked_token_is_told_with_the_cure(around: Whole) -> None:
    (around.state / "token").write_text("revoked")
    code, output = await doctor(around)
    assert code == 1
    assert "FAULT token: tiktok-shop: TikTok refuses token or pixel (40105" in output
    assert "Regenerate the access token" in output


async def test_problems_of_the_configuration_are_78(around: Whole) -> None:
    around.write(CONFIG, **{"linger: 20ms": "lingr: 20ms"})
    code, output = await doctor(around)
    assert code == 78
    assert "lingr" in output
    assert "fsync" in output
    around.config.write_text("nonsense: [")
    assert (await doctor(around))[0] == 78


async def test_one_address_for_all_visitors_is_a_fault(around: Whole) -> None:
    """The load balancer forwards nobody: every visitor is 127.0.0.1."""
    await around.start()
    for number in range(3):
        assert (await around.post([purchase(f"{number}-{n}") for n in range(40)]))[0] == 200
        await asyncio.sleep(1.0)  # shares are told by the second
    await around.post(purchase("last"))
    code, output = await doctor(around)
    assert code == 1
    assert "from one private address" in output
    assert "names no visitor" in output
    assert "127.0.0.1 " not in output.split("client ip")[1]


async def test_visitors_behind_a_trusted_proxy_are_fine(around: Whole) -> None:
    await around.start()
    for number in range(60):
        await around.post(purchase(str(number)), X_Forwarded_For=f"{PUBLIC}{number}")
    await asyncio.sleep(1.0)
    await around.post(purchase("last"), X_Forwarded_For=f"{PUBLIC}99")
    code, output = await doctor(around)
    assert code == 0, output
    assert "61 through trusted proxies" in output


async def test_a_spool_that_cannot_be_written_or_is_newer(around: Whole) -> None:
    (around.state / "file").write_text("")
    around.write(CONFIG, **{"{state}/spool": "{state}/file/spool"})
    assert "cannot be written" in (await doctor(around))[1]
    around.write(CONFIG)
    head = bytearray(100)
    head[60:64] = (schema.VERSION + 1).to_bytes(4, "big")
    (around.state / "spool").mkdir()
    (around.state / "spool" / "spool.db").write_bytes(head)
    code, output = await doctor(around)
    assert code == 1
    assert "Update the gateway" in output
    assert (around.state / "spool" / "spool.db").read_bytes() == head


async def test_somebody_else_on_the_ops_port_and_a_missing_app(around: Whole) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", around.ops).start()
    around.write(CONFIG, **{"{site}": str(free_port())})
    try:
        code, output = await doctor(around)
    finally:
        await runner.cleanup()
    assert code == 1
    assert "something else answers" in output
    assert "visitors get 502" in output


async def test_cookie_domains_and_loose_ends(around: Whole) -> None:
    around.write(
        CONFIG, **{"integrations: [tiktok-shop],": 'domains: [shop.example.co.uk, "*.github.io", localhost], integrations: [],'}
    )
    loaded = await asyncio.to_thread(load, around.config)
    found = await examine(Subject(loaded.settings, frozenset(loaded.off)))
    words = " | ".join(each.words for each in found)
    assert "cookies are set for example.co.uk" in words
    assert words.count("stay with the host") == 2
    assert "no pipeline sends events to it" in words
