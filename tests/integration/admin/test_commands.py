"""``ttgateway dead`` and ``erase`` as a person runs them: through the running gateway, beside one that cannot be asked, and on the spool itself."""

import asyncio
import itertools
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ports import free_port
from whole import CONFIG, PATIENCE_S, Whole, purchase, whole

pytestmark = pytest.mark.timeout(300)  # of many commands, each of which may take its time to start
ADMIN = 'admin: {{{{listen: "127.0.0.1:{port}", tokens: [{{{{name: ops, role: editor, token: editor-token-0001}}}}]}}}}\n'


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Whole]:
    """A gateway with a management listener, to be started."""
    async with whole(tmp_path) as surroundings:
        surroundings.write(CONFIG + ADMIN.format(port=free_port()))
        yield surroundings


async def command(around: Whole, *arguments: str, answer: bytes = b"") -> tuple[int | None, str, str]:
    """(exit code, standard output, standard error)."""
    name, *rest = arguments
    words = [name, *rest[:1], "-c", str(around.config), *rest[1:]] if name == "dead" else [name, "-c", str(around.config), *rest]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(answer), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


async def buried(around: Whole, *ids: str) -> None:
    """Events that waited for TikTok while their integration was removed; it is back afterwards."""
    config = around.config.read_text()
    await around.faults(http_status=500)
    for id_ in ids:
        assert (await around.post(purchase(id_, traits={"email": f"{id_}@example.com"})))[0] == 200
    before, _, _ = config.partition("integrations:\n  - {id: tiktok-shop")
    around.replace(before.replace("[tiktok-shop]", "[]") + "integrations: []\n" + config[config.index("admin:") :])

    async def died() -> bool:
        return f'ttgateway_dead_letters{{integration="tiktok-shop"}} {len(ids)}.0' in await around.metrics()

    await around.until(died)
    await around.faults()
    around.replace(config)

    async def back() -> bool:
        return sum("configuration reloaded" in line["message"] for line in around.logs()) >= 2

    await around.until(back)


async def test_through_the_running_gateway(around: Whole) -> None:
    await around.start()
    await buried(around, "first", "second")
    code, out, _ = await command(around, "dead", "ls")
    assert (code, out.count("integration_removed")) == (0, 2)
    number = out.split()[0]
    code, out, _ = await command(around, "dead", "show", number)
    mapped = json.loads(out)["mapped"]
    assert (code, mapped["event"]) == (0, "Purchase")
    assert "access-token-1" not in out
    # Which of them died first depends on which was being tried when the integration went.
    mine, other = ("first", "second") if mapped["event_id"] == "first" else ("second", "first")
    code, out, _ = await command(around, "dead", "replay", "--all", answer=b"n\n")
    assert (code, await around.received_ids()) == (0, [])
    code, out, _ = await command(around, "dead", "replay", number, answer=b"y\n")
    assert code == 0
    assert "1 of 1 queued again" in out
    await around.until(around.received_ids)
    assert await around.received_ids() == [mine]
    code, out, _ = await command(around, "erase", "--email", f"{other.capitalize()}@Example.com")
    assert (code, out) == (0, "1 events removed (1 by email)\n")
    assert (await command(around, "dead", "ls"))[2] == "no dead letters\n"


async def test_an_erasure_tells_of_what_is_gathering_in_a_batch(around: Whole) -> None:
    around.write(CONFIG + ADMIN.format(port=free_port()), **{"linger: 20ms": "linger: 60s"})
    await around.start()
    numbers = itertools.count()

    async def under_way() -> str:
        await around.post(purchase(f"mine-{next(numbers)}", traits={"email": "first@example.com"}))
        _, out, _ = await command(around, "erase", "--email", "first@example.com")
        return out if "being delivered" in out else ""

    first, second = (await around.until(under_way)).splitlines()
    assert first == "0 events removed (0 by email)"
    assert second.startswith("1 more were being delivered")


async def test_on_the_spool_while_no_gateway_runs(around: Whole) -> None:
    await around.start()
    await buried(around, "first", "second", "third")
    await around.kill()
    code, out, _ = await command(around, "dead", "export", "-q", "second")
    (letter,) = [json.loads(line) for line in out.splitlines()]
    assert (code, letter["event_id"]) == (0, "second")
    code, out, _ = await command(around, "dead", "drop", letter["id"], "--yes")
    assert (code, out) == (0, "1 dropped\n")
    code, out, _ = await command(around, "dead", "replay", "--all", "--yes")
    assert code == 0
    assert "2 of 2 queued again" in out
    assert "no gateway runs" in out
    await around.start()
    await around.until(lambda: _has(around, 2))
    assert sorted(await around.received_ids()) == ["first", "third"]


async def _has(around: Whole, count: int) -> bool:
    return len(await around.received_ids()) >= count


async def test_a_gateway_that_cannot_be_asked_is_told_how_to_become_one(around: Whole) -> None:
    around.write(CONFIG)
    await around.start()
    code, _, err = await command(around, "dead", "ls")
    assert code == 1
    assert "admin section" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("dead", "replay"), "--all"), (("dead", "drop", "1", "--all"), "not both"), (("erase",), "exactly one"), (("dead", "ls", "--since", "soon"), "duration"),
     (("erase", "--email", "a@b.example", "--external-id", "1"), "exactly one")],
)  # fmt: skip
async def test_wrong_usage_is_told(around: Whole, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = await command(around, *arguments)
    assert code == 2
    assert words in err


async def test_a_taken_port_costs_the_management_only(around: Whole) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        around.write(CONFIG + ADMIN.format(port=taken.getsockname()[1]))
        await around.start()
        assert (await around.post(purchase("all-the-same")))[0] == 200

        async def told() -> bool:
            return any("management UI cannot listen" in line["message"] for line in around.logs())

        await around.until(told)
