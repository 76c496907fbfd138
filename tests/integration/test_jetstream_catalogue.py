"""The catalogue that pods share: made in one UI, in force everywhere, with its history; tokens only where they are used; the last copy when nobody answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from brokering import Broker, be_patient
from eavesdropping import EVERYTHING, listen, read_token
from pods import Pod
from ports import free_port
from whole import PATIENCE_S, PIXEL, USER_AGENT, Whole, purchase, whole

from benchmarks.faults import servers
from gateway.admin.changes import Changes, Rules
from gateway.catalog.shared import Commons, SharedStore
from gateway.catalog.shared import Pod as Place
from gateway.catalog.store import CatalogueUnusable, ChangedMeanwhile, Revision, Store
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.settings import SpoolSettings
from gateway.together import BucketAway

TOKEN = "tiktok-token-of-the-catalogue"

pytestmark = pytest.mark.timeout(400)  # of several processes, each of which may take its time to start


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    be_patient(monkeypatch)
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


class Shop:
    """One pod's view, in this process."""

    def __init__(self, spool: JetStreamSpool, folder: Path, *, delivers: bool = True, edits: bool = True) -> None:
        self.spool, self.folder = spool, folder
        self.changed = 0
        self.sound = True
        self.commons = Commons(spool.together, folder, Place(delivers, edits, lambda _: self.sound, self._tell))
        self.store = SharedStore(lambda: self.commons, asyncio.get_running_loop())

    async def _tell(self) -> None:
        self.changed += 1

    async def do(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.to_thread(work, *arguments)

    async def change(self, number: int, *integrations: dict[str, Any], token: str = "") -> None:
        """One revision, as the UI makes it."""
        entries = [dict(each) for each in integrations]
        if token:
            entries[0]["access_token"] = await self.do(self.store.keep_secret, "integrations", entries[0]["id"], token)
        await self.do(self.store.commit, Revision(number, 1_790_000_000.0 + number, "ops", f"change {number}", [], entries))

    async def secrets(self) -> dict[str, str]:
        return dict(await self.do(Store(self.folder).secrets))

    async def copy(self) -> Revision | None:
        """What lies on its disk."""
        found: Revision = await self.do(Store(self.folder).head)
        return found if await self.do(self.folder.joinpath("catalogue.yaml").exists) else None

    async def has(self, number: int) -> None:
        while await self.number() != number:  # noqa: ASYNC110 - the disk announces nothing
            await asyncio.sleep(0.01)

    async def number(self) -> int:
        found = await self.copy()
        return found.number if found else -1


@pytest.fixture
async def shops(broker: Broker, tmp_path: Path) -> AsyncIterator[Any]:
    spools: list[JetStreamSpool] = []

    async def make(**how: Any) -> Shop:
        at = tmp_path / f"pod-{len(spools)}"
        spools.append(await JetStreamSpool.open(broker.settings(at, "ttgw")))
        return Shop(spools[-1], at / "catalogue", **how)

    yield make
    for spool in spools:
        await spool.close()


async def test_what_one_makes_all_have_with_its_history(shops: Any) -> None:
    one, other = await shops(), await shops()
    await one.change(1, {"id": "a"})
    await one.change(2, {"id": "b"}, {"id": "a"})
    await other.commons.look()
    assert other.changed == 1
    assert await other.copy() == await one.do(one.store.head)
    assert await other.do(other.store.numbers) == [2, 1]
    assert await other.do(other.store.numbers, 2) == [1]
    first = await other.do(other.store.revision, 1)
    assert (first.summary, first.integrations) == ("change 1", [{"id": "a"}])
    assert await other.do(other.store.revision, 3) is None
    await other.commons.look()
    assert other.changed == 1, "no news, no reload"


async def test_of_two_changes_at_once_one_is_told(shops: Any) -> None:
    one, other = await shops(), await shops()
    await one.change(1, {"id": "a"})
    results = await asyncio.gather(one.change(2, {"id": "b"}), other.change(2, {"id": "c"}), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["ChangedMeanwhile", "NoneType"]
    assert await one.do(one.store.numbers) == await other.do(other.store.numbers) == [2, 1]
    with pytest.raises(ChangedMeanwhile):
        await other.change(2, {"id": "d"})


async def test_a_follower_is_told_and_need_not_wait_for_its_next_look(shops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.catalog.shared._LOOK_S", 3600.0)
    one, other = await shops(), await shops(edits=False)
    following = asyncio.create_task(other.commons.run())
    async with asyncio.timeout(PATIENCE_S):
        await other.has(0)
        await one.change(1, {"id": "a"})
        await other.has(1)
    following.cancel()


async def test_tokens_are_where_they_are_used(shops: Any) -> None:
    admin, deliver, edge = await shops(), await shops(edits=False), await shops(delivers=False, edits=False)
    await admin.change(1, {"id": "a"}, token=TOKEN)
    for pod in (deliver, edge):
        await pod.commons.look()
    assert await admin.secrets() == await deliver.secrets() == {"integrations.a.access_token.1": TOKEN}
    assert await edge.secrets() == {}
    assert await edge.copy() == await deliver.copy()
    text = await edge.do(Store(edge.folder).head_path.read_text)
    assert TOKEN not in text
    assert await admin.do(admin.store.last_secret, "integrations", "a") == "${file:secrets/integrations.a.access_token.1}"
    await admin.change(2, {"id": "a"}, token="another")
    await deliver.commons.look()
    assert await deliver.secrets() == {"integrations.a.access_token.2": "another"}, (
        "what was replaced is removed, in the bucket too"
    )
    tokens = admin.spool.together.bucket("tokens")
    assert await tokens.keys("integrations") == ["integrations.a.access_token.2"]
    await admin.change(3)
    assert await tokens.keys("integrations") == ["integrations.a.access_token.2"], "a revision could bring it back"
    kept = await admin.do(admin.store.keep_secret, "integrations", "a", "third")
    await admin.do(admin.store.drop_secrets, [kept])
    assert await tokens.keys("integrations") == ["integrations.a.access_token.2"]


async def test_a_pod_leaves_what_it_cannot_use_and_keeps_its_copy(shops: Any, caplog: pytest.LogCaptureFixture) -> None:
    one, other = await shops(), await shops(edits=False)
    await one.change(1, {"id": "a"})
    await other.commons.look()
    other.sound = False
    await one.change(2, {"id": "b"})
    for _ in range(3):
        await other.commons.look()
    assert await other.number() == 1
    assert caplog.messages.count("the shared catalogue cannot be followed; the last copy stays in force") == 1
    other.sound = True
    await other.commons.look()
    assert await other.number() == 2
    await one.spool.together.bucket("catalogue").put("catalogue", b"\xff: [")
    await other.commons.look()
    assert await other.number() == 2
    with pytest.raises(CatalogueUnusable):
        await one.do(one.store.head)


async def test_a_missing_secret_is_waited_for(shops: Any) -> None:
    one, other = await shops(), await shops(edits=False)
    await one.change(1, {"id": "a", "access_token": "${file:secrets/integrations.a.access_token.1}"})
    await other.commons.look()
    assert await other.copy() is None
    await one.spool.together.bucket("tokens").put("integrations.a.access_token.1", b"late")
    await other.commons.look()
    assert await other.secrets() == {"integrations.a.access_token.1": "late"}


async def test_what_was_made_before_there_was_a_bucket_goes_into_it(shops: Any) -> None:
    one, other, plain = await shops(), await shops(), await shops(edits=False)
    local = Store(one.folder)
    for number in range(1, 4):
        kept = await one.do(local.keep_secret, "integrations", "a", f"token-{number}")
        await one.do(local.commit, Revision(number, 1.0, "ops", "made", [], [{"id": "a", "access_token": kept}]))
    await plain.commons.look()
    assert await plain.copy() == Revision(), "nothing has been made, and that is known"
    await one.commons.look()
    await one.commons.look()
    assert one.changed == 0
    await other.commons.look()
    assert await other.number() == 3
    assert list((await other.secrets()).values()) == ["token-3"]
    await other.change(4, {"id": "b"})
    assert await one.do(one.store.numbers) == [4, 3]
    assert await one.do(one.store.revision, 2) is None


async def test_a_test_code_expires_once_though_every_ui_takes_it_out(shops: Any) -> None:
    one, other = await shops(), await shops()
    entry = {"id": "a", "pixel_code": PIXEL, "test_event_code": "TEST1"}
    await one.do(one.store.commit, Revision(1, 1.0, "ops", "x", [], [entry], {"a": 5.0}))
    uis = []
    for shop in (one, other):

        async def apply(shop: Shop = shop) -> int:
            return await shop.number()

        uis.append(Changes(shop.store, Rules(lambda _: [], apply, lambda _: {}, lambda: 3600.0), lambda: 10.0))
    for ui in uis:
        await ui.look()
    await asyncio.gather(*(ui.expire() for ui in uis))
    head = await one.do(one.store.head)
    assert (head.number, head.actor, head.test_codes) == (2, "ttgateway", {})
    assert "test_event_code" not in head.integrations[0]


async def test_nobody_answers(shops: Any, broker: Broker) -> None:
    one = await shops()
    await one.change(1, {"id": "a"}, token=TOKEN)
    assert await one.do(one.store.fault) == ""
    broker.kill()
    assert "does not answer" in await one.do(one.store.fault)
    with pytest.raises(CatalogueUnusable):
        await one.change(2, {"id": "b"})
    await one.commons.look()
    assert await one.number() == 1
    nobody = SharedStore(lambda: None, asyncio.get_running_loop())
    assert "has not been reached" in nobody.fault()
    broker.start()


async def test_a_commit_whose_answer_was_lost_keeps_its_secret(shops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be in force: its token must not be taken from it."""
    one = await shops()
    kept = await one.do(one.store.keep_secret, "integrations", "a", TOKEN)

    def full(*_: object) -> bool:
        raise CatalogueUnusable("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "copy_head", full)
        with pytest.raises(CatalogueUnusable):
            await one.do(one.store.commit, Revision(1, 1.0, "ops", "x", [], [{"id": "a", "access_token": kept}]))
        await one.do(one.store.drop_secrets, [kept])
    await one.commons.look()
    assert await one.number() == 1
    assert list((await one.secrets()).values()) == [TOKEN]


async def test_three_servers_of_which_the_leader_dies(tmp_path: Path) -> None:
    """Readers may be a moment behind, writers never; a change waits for the election and is made once."""
    cluster = servers.Cluster(tmp_path / "cluster")
    await cluster.start()
    spools = [
        await JetStreamSpool.open(
            SpoolSettings(
                kind="jetstream", url=cluster.url, path=str(tmp_path / name), stream="ttgw", max_bytes=8 << 20, replicas=3
            )
        )
        for name in ("one", "other")
    ]
    one, other = (Shop(spool, tmp_path / f"copy-{number}") for number, spool in enumerate(spools))
    try:
        kept = await answered(one, one.store.keep_secret, "integrations", "a", TOKEN)
        await answered(one, one.store.commit, Revision(1, 1.0, "ops", "x", [], [{"id": "a", "access_token": kept}]))
        await until_copied(other, 1)
        assert list((await other.secrets()).values()) == [TOKEN]
        buckets = [spool.together.bucket("lanes") for spool in spools]
        await until_there(buckets[0])
        last = await buckets[0].put("lane.a._", b"0", 0)
        for number in range(20):
            won = [
                each
                for each in await asyncio.gather(*(bucket.put("lane.a._", b"%d" % number, last) for bucket in buckets))
                if each
            ]
            assert len(won) == 1
            last = won[0]
        leader = await cluster.leader("KV_ttgw-catalogue")
        await leader.kill()
        await answered(one, one.store.commit, Revision(2, 2.0, "ops", "x", [], [{"id": "b"}]))
        await until_copied(other, 2)
        assert await other.do(other.store.numbers) == [2, 1]
    finally:
        for spool in spools:
            await spool.close()
        await cluster.kill()


async def answered(shop: Shop, work: Any, *arguments: Any) -> Any:
    """Servers that choose a leader, of a bucket that was made just now too, do not answer for a while."""
    async with asyncio.timeout(40):
        while True:
            try:
                return await shop.do(work, *arguments)
            except CatalogueUnusable:
                await asyncio.sleep(0.2)
            except ChangedMeanwhile:
                return None  # the one before was made, and only its answer was lost


async def until_there(bucket: Any) -> None:
    async with asyncio.timeout(40):
        while True:
            with suppress(BucketAway):
                await bucket.put("somebody", b"")
                return
            await asyncio.sleep(0.2)


async def until_copied(shop: Shop, number: int) -> None:
    async with asyncio.timeout(40):
        while await shop.number() != number:
            await shop.commons.look()
            await asyncio.sleep(0.02)


# -- whole processes


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path) as surroundings:
        yield surroundings


ADMIN_TOKEN = "admin-token-of-length"


class Site(Pod):
    """A pod whose catalogue is made in the UI alone."""

    def __init__(self, around: Whole, broker: Broker, role: str) -> None:
        self.admin = free_port()
        section = f'admin: {{{{listen: "127.0.0.1:{self.admin}", tokens: [{{{{name: ops, role: editor, token: "{ADMIN_TOKEN}"}}}}]}}}}\n'
        super().__init__(around, broker, role, section, token="")
        text = self.config.read_text()
        text = text[: text.index("pipelines:")] + text[text.index("admin:") :]
        self.config.write_text(f"{text}catalog: {{path: {self.state}/catalogue}}\n")

    async def api(self, method: str, path: str, body: Any = None, etag: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"} | ({"If-Match": etag} if etag else {})
        url = f"http://127.0.0.1:{self.admin}/api/v1/{path}"
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    async def manages(self) -> bool:
        try:
            return (await self.api("GET", "integrations"))[0] == 200
        except aiohttp.ClientError:
            return False


async def test_made_in_the_ui_collected_here_delivered_there(around: Whole, broker: Broker) -> None:
    async with (
        Site(around, broker, "admin") as admin,
        Site(around, broker, "admin") as second,
        Site(around, broker, "edge") as edge,
    ):
        await around.until(admin.manages)
        await around.until(second.manages)
        assert await edge.post("early") == 503, "there is no pipeline yet"
        async with Site(around, broker, "deliver") as deliver:
            integration = {"id": "tiktok-shop", "pixel_code": PIXEL, "access_token": TOKEN}
            pipeline = {"id": "shop", "key": "dk_live_shop", "integrations": ["tiktok-shop"]}
            assert (await admin.api("POST", "integrations", integration))[0] == 201
            assert (await admin.api("POST", "pipelines", pipeline))[0] == 201

            async def collects() -> bool:
                return await edge.post("order-1") == 200

            await around.until(collects)
            (entry,) = await around.until(around.received)
            assert (entry["accepted"], entry["event"]["event_id"]) == (True, "order-1")
            assert [path for path in (edge.state / "catalogue").rglob("*") if path.is_file() and TOKEN in path.read_text()] == []
            assert [path.name for path in (deliver.state / "catalogue" / "secrets").iterdir()] == [
                "integrations.tiktok-shop.access_token.1"
            ]

            async def both() -> bool:
                return (await second.api("GET", "integrations"))[1]["items"] != []

            await around.until(both)
            _, told = await second.api("GET", "integrations/tiktok-shop")
            status, _ = await second.api("POST", "integrations/tiktok-shop/enabled", {"enabled": False}, told["etag"])
            assert status == 200
            status, answer = await admin.api("POST", "integrations/tiktok-shop/enabled", {"enabled": True}, told["etag"])
            assert (status, answer["error"]["code"]) == (412, "changed_meanwhile"), answer
            assert (await admin.api("POST", "revisions/2/rollback", {}))[0] == 200
            _, listed = await second.api("GET", "revisions")
            assert [(each["id"], each["actor"]) for each in listed["items"]] == [(4, "ops"), (3, "ops"), (2, "ops"), (1, "ops")]
            await around.until(collects)
        broker.kill()
        status, answer = await admin.api("POST", "pipelines", pipeline | {"id": "two", "key": "two"})
        assert (status, answer["error"]["code"]) == (409, "read_only")
        assert edge.process is not None
        edge.process.kill()
        await edge.process.wait()
        async with edge:  # the broker is away, and what it knew is in force
            assert await edge.post("order-2") == 200


PERMISSIONS = Path(__file__).parents[2] / "deploy" / "nats" / "edge-permissions.conf"


async def test_an_edge_s_credentials_do_what_an_edge_does_and_see_no_token(
    tmp_path: Path, around: Whole, request: pytest.FixtureRequest
) -> None:
    """With the permissions that deploy/nats has for edges."""
    users = f"{{user: admin, password: a}}, {{user: edge, password: e, permissions: {{ {PERMISSIONS.read_text()} }} }}"
    broker = Broker(tmp_path / "broker", f"authorization {{ users = [ {users} ] }}")
    request.addfinalizer(broker.stop)
    broker.start()
    url = broker.url
    settings = {
        who: broker.settings(tmp_path / who, "ttgw", url=url.replace("//", f"//{who}:{who[0]}@")) for who in ("admin", "edge")
    }
    spool = await JetStreamSpool.open(settings["admin"], role="admin")
    admin = Shop(spool, tmp_path / "a")
    entry = {"id": "tiktok-shop", "pixel_code": PIXEL}
    kept = await admin.do(admin.store.keep_secret, "integrations", "tiktok-shop", TOKEN)
    secret = await admin.do(admin.store.keep_secret, "pipelines", "shop", "pipeline-secret-1")
    shop = {"id": "shop", "key": "dk_live_shop", "secret": secret, "integrations": ["tiktok-shop"]}
    await admin.do(admin.store.commit, Revision(1, 1.0, "ops", "x", [shop], [entry | {"access_token": kept}]))
    site = Site(around, broker, "edge")
    site.config.write_text(site.config.read_text().replace(url, settings["edge"].url).replace("stream: roles", "stream: ttgw"))
    async with site as edge:
        assert await edge.post("order-1") == 200, edge.log.read_text()
        assert await edge.native("order-2", "pipeline-secret-1") == 0
        (first, second) = await _records(spool)
        assert json.loads(first.payload)["event_id"] == "order-1"
        assert json.loads(second.payload)["event_id"] == "order-2"
        headers = {"Authorization": "Bearer dk_live_shop", "User-Agent": USER_AGENT}
        address = f"http://127.0.0.1:{edge.edge}/gw/v1/"
        for path, body in (
            ("t", purchase("order-3", anonymousId="visitor-1")),
            ("c", {"consent": {"marketing": False}, "anonymousId": "visitor-1"}),
        ):
            async with edge.session.post(address + path, json=body, headers=headers) as answer:
                assert answer.status in {200, 204}

        async def withdrawn() -> bool:
            return (await spool.stats()).totals.get(("tiktok-shop", "purged", "withdrawn")) == 1

        await around.until(withdrawn)
        assert "ttgateway_spool_broker_away 0.0" in await edge.metrics()
        assert edge.logged("error") == edge.logged("warning")[1:] == []
    thief = await JetStreamSpool.open(settings["edge"], role="edge")
    assert thief._wire.connected
    tokens = thief.together.bucket("tokens")
    attempts = [
        tokens.bounds(),
        tokens.keys("integrations"),
        tokens.entries("integrations"),
        tokens.entry("integrations.tiktok-shop.access_token.1"),
    ]
    for each in await asyncio.gather(*attempts, return_exceptions=True):
        assert isinstance(each, BucketAway)
    heard = await listen(thief, EVERYTHING)
    await read_token(spool, settings["admin"].url, TOKEN)
    for call, body in (
        ("STREAM.CREATE.mine", {"name": "mine", "sources": [{"name": "KV_ttgw-tokens"}]}),
        ("CONSUMER.CREATE.KV_ttgw-tokens", {"stream_name": "KV_ttgw-tokens", "config": {"deliver_subject": "ttgw-pods.mine"}}),
        ("STREAM.SNAPSHOT.KV_ttgw-tokens", {"deliver_subject": "ttgw-pods.mine"}),
        ("STREAM.MSG.GET.KV_ttgw-tokens", {"seq": 1}),
    ):
        with pytest.raises(Exception, match="no answer in time"):
            await thief._wire.api(call, body, 0.3)
    await admin.do(admin.store.keep_secret, "integrations", "tiktok-shop", "second")
    await thief.together.bucket("secrets").bounds()  # answered: what was on its way to it has come
    assert heard == []
    await thief.close()
    await spool.close()
    broker.stop()


async def _records(spool: JetStreamSpool) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < 2:
            found += await spool.lease("tiktok-shop", 10, 1 << 20, 1.0)
    return sorted(found, key=lambda record: record.accepted_at)
