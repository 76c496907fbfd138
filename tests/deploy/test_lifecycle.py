"""A pod's life, rehearsed with real processes in the order of a native sidecar; mounted files swapped as the kubelet swaps them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ports import free_port
from whole import CONFIG, PATIENCE_S, Whole, purchase, whole

APP = """\
import signal, sys
from aiohttp import web
async def page(request):
    return web.Response(text="page " + request.path)
app = web.Application()
app.router.add_get("/{path:.*}", page)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
APP_SLEEP_S = 6.0  # the app's own preStop: longer than drain.delay and what runs


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Whole]:
    """Site, sandbox, and a gateway to be started."""
    async with whole(tmp_path) as surroundings:
        yield surroundings


def mount(folder: Path, generation: int, **files: str) -> None:
    """Files as the kubelet mounts them: links through ..data, which is renamed over in one step."""
    data = folder / f"..generation-{generation}"
    data.mkdir(parents=True)
    for name, text in files.items():
        (data / name.replace("_", "-")).write_text(text, encoding="utf-8")
    new = folder / "..data_tmp"
    new.symlink_to(data.name)
    new.rename(folder / "..data")
    for name in files:
        link = folder / name.replace("_", "-")
        if not link.is_symlink():
            link.symlink_to(f"..data/{link.name}")


async def test_a_pod_comes_and_goes_without_a_failed_request(pod: Whole, tmp_path: Path) -> None:
    port = free_port()
    pod.write(CONFIG, **{"http://127.0.0.1:{site}": f"http://127.0.0.1:{port}", "delay: 0s": "delay: 4s"})
    await pod.start()  # the sidecar first: the startup probe passes without an app
    script = tmp_path / "app.py"
    script.write_text(APP, encoding="utf-8")
    app = await asyncio.create_subprocess_exec(sys.executable, str(script), str(port))

    async def served() -> bool:
        return (await pod.get("/up"))[0] == 200

    try:
        await pod.until(served)
        acknowledged: list[str] = []
        enough, leaving = asyncio.Event(), asyncio.Event()

        async def visit(visitor: int) -> None:
            while not leaving.is_set():
                event_id = f"{visitor}-{len(acknowledged)}"
                status, body, _ = await pod.post(purchase(event_id))
                assert (status, body["accepted"]) == (200, 1)
                acknowledged.append(event_id)
                assert await pod.get("/page") == (200, b"page /page")
                if len(acknowledged) > 100:
                    enough.set()

        async def not_ready() -> bool:
            return not await pod.is_ready()

        visitors = [asyncio.create_task(visit(number)) for number in range(4)]
        await enough.wait()
        # deletion: all preStop hooks at once
        hook = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", "drain", "-c", str(pod.config))
        sleep = asyncio.create_task(asyncio.sleep(APP_SLEEP_S))
        await pod.until(not_ready)
        before = len(acknowledged)

        async def come() -> bool:
            """Endpoints are told late: visitors still come while it is not ready."""
            return len(acknowledged) > before + len(visitors)

        await pod.until(come)
        leaving.set()
        await asyncio.gather(*visitors)
        await sleep
        app.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(app.wait(), PATIENCE_S) == 0
        # the sidecar's turn comes once the app has ended and its own hook is through
        assert await asyncio.wait_for(hook.wait(), PATIENCE_S) == 0
        pod.send(signal.SIGTERM)
        assert await pod.ended() == 0, "it ends by itself: SIGKILL finds nobody"
        assert sorted(await pod.received_ids()) == sorted(acknowledged)
    finally:
        if app.returncode is None:
            app.kill()
            await app.wait()


@pytest.mark.bwrap
@pytest.mark.timeout(180)  # as long as the test in it may take, and its start
def test_it_does_so_in_a_network_namespace_of_its_own() -> None:
    """As a pod has one: nothing but loopback, and nobody else on it."""
    inside = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", "--"]
    if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode and not os.environ.get("CI"):
        pytest.skip("this machine allows no network namespace")
    command = [*inside, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "comes_and_goes"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=160)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "1 passed" in done.stdout


async def test_a_missing_secret_leaves_the_site_up_and_mends_itself(pod: Whole, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    pod.write(CONFIG, **{"{state}/token": "{state}/secrets/tiktok-token"})
    await pod.start()
    assert await pod.get("/page") == (200, b"page /page")
    mount(secrets, 1, tiktok_token="late-token")

    async def accepted() -> bool:
        return (await pod.post(purchase("after-the-secret")))[0] == 200

    await pod.until(accepted)
    assert await pod.until(pod.received_ids) == ["after-the-secret"]


async def test_swapped_mounts_are_taken_over_without_losing_an_event(pod: Whole, tmp_path: Path) -> None:
    config, secrets = tmp_path / "config", tmp_path / "secrets"
    pod.write(CONFIG, **{"{state}/token": "{state}/secrets/tiktok-token"})
    text = pod.config.read_text(encoding="utf-8")
    pod.config.unlink()
    mount(secrets, 1, tiktok_token="revoked")
    mount(config, 1, **{"gateway.yaml": text})
    pod.config = config / "gateway.yaml"
    await pod.start()
    ids = [f"before-{number}" for number in range(5)]
    for event_id in ids:
        assert (await pod.post(purchase(event_id)))[0] == 200

    async def suspended() -> bool:
        return 'ttgateway_lane_state{integration="tiktok-shop",test_code=""} 2.0' in await pod.metrics()

    async def resumed() -> bool:
        return 'ttgateway_lane_state{integration="tiktok-shop",test_code=""} 0.0' in await pod.metrics()

    await pod.until(suspended)
    since = stamp(await pod.metrics())
    mount(secrets, 2, tiktok_token="fresh-token")
    collected = asyncio.create_task(_collect(pod))
    await pod.until(resumed)
    assert stamp(await pod.metrics()) > since, "the metric shows when"
    assert {"configuration reloaded", "access token changed"} <= {line["message"] for line in pod.logs()}
    assert 'ttgateway_token_changed_timestamp_seconds{integration="tiktok-shop"}' in await pod.metrics()
    assert "fresh-token" not in pod.log_file.read_text(encoding="utf-8")
    mount(config, 2, **{"gateway.yaml": text.replace("consent: [marketing]", "").replace("key: dk_live_shop", "key: dk_new_key")})

    async def new_key() -> bool:
        return (await pod.post(purchase("new-key"), Authorization="Bearer dk_new_key"))[0] == 200

    await pod.until(new_key)
    ids += await collected

    async def all_arrived() -> bool:
        return set(await pod.received_ids()) == {*ids, "new-key"}

    await pod.until(all_arrived)


async def _collect(pod: Whole) -> list[str]:
    ids = [f"during-{number}" for number in range(60)]
    for event_id in ids:
        status, _, _ = await pod.post(purchase(event_id))
        assert status == 200
        await asyncio.sleep(0.05)
    return ids


def stamp(metrics: str) -> float:
    """When the configuration in force was taken over."""
    (line,) = [line for line in metrics.splitlines() if line.startswith("ttgateway_config_reload_timestamp_seconds ")]
    return float(line.split()[1])
