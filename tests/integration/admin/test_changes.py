"""What editors do, over the API of a gateway that runs: every change is a revision, in force when it is answered, and no event is lost over it."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from ports import free_port
from whole import CONFIG, PIXEL, Whole, purchase, whole

EDITOR, VIEWER = "editor-token-0001", "viewer-token-0001"
ADMIN = (
    'admin: {{{{listen: "127.0.0.1:{port}", tokens: [{{{{name: ops, role: editor, token: ' + EDITOR + "}}}}, {{{{name: eve, role: viewer, token: " + VIEWER + "}}}}]}}}}\n"
)  # fmt: skip
CATALOG = 'catalog: {{path: "{state}/catalog", test_code_lifetime: 1h}}\n'
TIKTOK = {"id": "tiktok-two", "name": "Two", "pixel_code": "C2TWO", "access_token": "token-of-two"}
PIPELINE = {"id": "two", "key": "dk_two", "integrations": ["tiktok-two"]}


class Managed:
    """A running gateway and its management API."""

    def __init__(self, around: Whole, port: int) -> None:
        self.around = around
        self.base = f"http://127.0.0.1:{port}/api/v1/"

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str = EDITOR, etag: str = ""
    ) -> tuple[int, Any, str]:
        """(status, JSON, ETag)."""
        headers = {"Authorization": f"Bearer {token}"} | ({"If-Match": etag} if etag else {})
        async with self.around.session.request(method, self.base + path, json=body, headers=headers) as answer:
            text = await answer.text()
            found = json.loads(text) if answer.content_type == "application/json" else text
            assert "token-of-two" not in text
            return answer.status, found, answer.headers.get("ETag", "")

    async def get(self, path: str) -> Any:
        status, found, _ = await self.call("GET", path)
        assert status == 200, found
        return found

    async def change(self, method: str, path: str, body: Any = None) -> Any:
        """A change from the state that holds now."""
        etag = ""
        if method in {"PUT", "DELETE"} or path.endswith("/enabled"):
            _, _, etag = await self.call("GET", path.removesuffix("/enabled"))
        status, found, _ = await self.call(method, path, body, etag=etag)
        assert status < 300, found
        return found

    async def furnish(self) -> None:
        """A second integration on a second pipeline."""
        await self.change("POST", "integrations", TIKTOK)
        await self.change("POST", "pipelines", PIPELINE)

    async def up(self) -> None:
        async def listens() -> bool:
            try:
                return bool(await self.get("session"))
            except aiohttp.ClientConnectionError:
                return False

        await self.around.until(listens)

    async def delivered(self, event_id: str, pixel: str) -> dict[str, Any]:
        """The event as the sandbox got it for ``pixel``."""

        async def there() -> list[dict[str, Any]]:
            return [
                each["event"]
                for each in await self.around.received()
                if each["accepted"] and each["event_source_id"] == pixel and each["event"]["event_id"] == event_id
            ]

        return dict((await self.around.until(there))[0])


@pytest.fixture
async def managed(tmp_path: Path) -> AsyncIterator[Managed]:
    async with whole(tmp_path) as around:
        port = free_port()
        around.write(CONFIG + ADMIN.format(port=port) + CATALOG)
        await around.start()
        found = Managed(around, port)
        await found.up()
        yield found
        log = around.log_file.read_text()
        assert "token-of-two" not in log
        assert "Traceback" not in log


async def test_what_is_made_is_in_force_at_once_and_after_a_restart(managed: Managed) -> None:
    around = managed.around
    await managed.furnish()
    status, _, _ = await around.post(purchase("e-1", writeKey="dk_two"))
    assert status == 200
    assert (await managed.delivered("e-1", "C2TWO"))["event"] == "Purchase"
    shown = await managed.get("integrations/tiktok-two")
    assert (shown["declared"], shown["has_token"], shown["pipelines"]) == (False, True, ["two"])
    around.send(signal.SIGKILL)
    await around.ended()
    await around.start()
    await managed.up()
    await around.post(purchase("e-2", writeKey="dk_two"))
    await managed.delivered("e-2", "C2TWO")
    assert [each["summary"] for each in (await managed.get("revisions"))["items"]] == [
        "Added pipeline two",
        "Added integration tiktok-two",
    ]
    assert {each["actor"] for each in (await managed.get("revisions"))["items"]} == {"ops"}


async def test_a_change_needs_the_state_it_was_made_from(managed: Managed) -> None:
    await managed.furnish()
    _, entry, etag = await managed.call("GET", "integrations/tiktok-two")
    assert etag == entry["etag"] != ""
    body = {**TIKTOK, "name": "Renamed", "pipelines": ["two"]}
    assert (await managed.call("PUT", "integrations/tiktok-two", body))[0] == 428
    status, changed, fresh = await managed.call("PUT", "integrations/tiktok-two", body, etag=etag)
    assert (status, changed["name"]) == (200, "Renamed")
    assert fresh != etag
    status, refusal, _ = await managed.call("PUT", "integrations/tiktok-two", body, etag=etag)
    assert (status, refusal["error"]["code"]) == (412, "changed_meanwhile")
    assert (await managed.call("DELETE", "integrations/tiktok-two", etag=etag))[0] == 412
    without_token = {name: value for name, value in body.items() if name != "access_token"}
    status, changed, _ = await managed.call("PUT", "integrations/tiktok-two", without_token, etag=fresh)
    assert (status, changed["has_token"]) == (200, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "at"),
    [
        ("POST", "integrations", {**TIKTOK, "id": "tiktok-shop"}, 422, "id"),
        ("POST", "integrations", {**TIKTOK, "id": "Not An Id"}, 422, "id"),
        ("POST", "integrations", {**TIKTOK, "pixel_code": "a b", "preset": "retial", "extra": 1}, 422, "pixel_code"),
        ("POST", "integrations", {**TIKTOK, "vendor": "tiktok", "preset": "b2b_saas"}, 422, "preset"),
        ("POST", "integrations", {**TIKTOK, "pipelines": ["nowhere"]}, 422, "pipelines"),
        ("POST", "integrations", {**TIKTOK, "pipelines": ["shop"]}, 422, "pipelines"),
        ("POST", "integrations", {**TIKTOK, "events": {"a b": {}, "A-B": {}}}, 422, "events.A-B"),
        ("POST", "integrations", [], 422, "(body)"),
        ("POST", "pipelines", {**PIPELINE, "id": "shop"}, 422, "id"),
        ("POST", "pipelines", {**PIPELINE, "key": "dk_live_shop", "integrations": []}, 422, "key"),
        ("POST", "pipelines", {**PIPELINE, "integrations": ["nothing"]}, 422, "integrations.0"),
        ("POST", "pipelines", {**PIPELINE, "domains": ["https://x/"]}, 422, "domains.0"),
    ],
)
async def test_what_is_not_sound_is_refused_with_its_place(
    managed: Managed, method: str, path: str, body: Any, status: int, at: str
) -> None:
    found, refusal, _ = await managed.call(method, path, body)
    assert found == status, refusal
    assert at in [problem["path"] for problem in refusal["error"]["problems"]]
    assert (await managed.get("revisions"))["items"] == []
    assert not list((managed.around.state / "catalog").glob("secrets/*"))


async def test_what_the_file_declares_is_read_only_and_can_be_duplicated(managed: Managed) -> None:
    _, entry, etag = await managed.call("GET", "integrations/tiktok-shop")
    assert (entry["declared"], etag) == (True, "")
    body = {"id": "tiktok-shop", "pixel_code": "C9"}
    for method, path, given in (
        ("PUT", "integrations/tiktok-shop", body),
        ("DELETE", "integrations/tiktok-shop", None),
        ("POST", "integrations/tiktok-shop/enabled", {"enabled": False}),
        ("PUT", "integrations/tiktok-shop/mappings", {}),
        ("DELETE", "pipelines/shop", None),
    ):
        status, refusal, _ = await managed.call(method, path, given, etag='"x"')
        assert (status, refusal["error"]["code"]) == (409, "read_only"), path
    copied = await managed.change("POST", "integrations/tiktok-shop/duplicate", {"id": "copy", "name": "A copy"})
    assert (copied["pixel_code"], copied["enabled"], copied["has_token"], copied["pipelines"]) == (PIXEL, False, False, [])
    assert copied["declared"] is False


async def test_viewers_change_nothing(managed: Managed) -> None:
    await managed.furnish()
    for method, path, body in (
        ("POST", "integrations", {**TIKTOK, "id": "three"}),
        ("PUT", "integrations/tiktok-two", TIKTOK),
        ("DELETE", "integrations/tiktok-two", None),
        ("PUT", "integrations/tiktok-two/mappings", {}),
        ("POST", "integrations/tiktok-two/enabled", {"enabled": False}),
        ("POST", "integrations/tiktok-two/duplicate", {"id": "x"}),
        ("POST", "pipelines", {**PIPELINE, "id": "three"}),
        ("DELETE", "pipelines/two", None),
        ("POST", "revisions/1/rollback", {}),
    ):
        assert (await managed.call(method, path, body, token=VIEWER, etag="*"))[0] == 403, path
    assert len((await managed.get("revisions"))["items"]) == 2


async def test_mappings_are_previewed_before_and_apply_to_what_waits(managed: Managed) -> None:
    """A disabled integration keeps its queue; what was mapped anew meanwhile goes out by the new mapping."""
    around = managed.around
    await managed.furnish()
    await around.faults(http_status=503)
    await around.post(purchase("e-1", writeKey="dk_two", properties={"value": 9.5, "currency": "EUR", "order_id": "77"}))
    # what is under way keeps the mapping it was made with: the first try is over before the queue is stopped
    async with asyncio.timeout(40):
        while not (row := (await managed.get("live/recent"))["items"][0])["attempts"]:  # noqa: ASYNC110 - told by the API
            await asyncio.sleep(0.02)
    await managed.change("POST", "integrations/tiktok-two/enabled", {"enabled": False})
    draft = {
        "events": {"order completed": {"mappings": [{"source": "properties.order_id", "target": "properties.description", "format": "order {value}"}]}}
    }  # fmt: skip
    table = await managed.get("integrations/tiktok-two/mappings")
    assert {"path": "properties.order_id", "example": "77", "seen": 1} in table["sources"]
    assert next(each["seen"] for each in table["rows"] if each["source"] == "Order Completed") == 1
    preview = await managed.change("POST", "integrations/tiktok-two/mappings/preview", {"record": row["id"], **draft})
    assert preview["payload"]["properties"]["description"] == "order 77"
    assert "description" not in preview["current"]["properties"]
    wrong = {"events": {"Order Completed": {"mappings": [{"source": "properties.x", "target": "user.phone_number"}]}}}
    status, refusal, _ = await managed.call("POST", "integrations/tiktok-two/mappings/preview", {"record": row["id"], **wrong})
    assert (status, refusal["error"]["problems"][0]["path"]) == (422, "events.Order Completed.mappings.0.target")
    assert "user.phone" in refusal["error"]["problems"][0]["message"]
    _, _, etag = await managed.call("GET", "integrations/tiktok-two/mappings")
    status, table, _ = await managed.call("PUT", "integrations/tiktok-two/mappings", draft, etag=etag)
    assert status == 200
    assert next(each for each in table["rows"] if each["source"] == "Order Completed")["override_key"] == "order completed"
    await around.faults()
    await managed.change("POST", "integrations/tiktok-two/enabled", {"enabled": True})
    assert (await managed.delivered("e-1", "C2TWO"))["properties"]["description"] == "order 77"


async def test_a_change_is_told_and_rolled_back(managed: Managed) -> None:
    await managed.furnish()
    await managed.change(
        "PUT", "integrations/tiktok-two", {**TIKTOK, "access_token": "token-of-two-b", "name": "Mistake", "pipelines": []}
    )
    assert (await managed.get("pipelines/two"))["integrations"] == []
    files = (await managed.get("revisions/3/diff"))["files"]
    lines = {file["path"]: [f"{line['op']} {line['text']}" for line in file["lines"]] for file in files}
    assert "+ name: Mistake" in lines["integrations/tiktok-two"]
    assert "+ access_token: (set, version 2)" in lines["integrations/tiktok-two"]
    assert "pipelines/two" in lines
    await managed.change("POST", "revisions/2/rollback", {})
    shown = await managed.get("integrations/tiktok-two")
    assert (shown["name"], shown["pipelines"], shown["has_token"]) == ("Two", ["two"], True)
    revisions = await managed.get("revisions?limit=2")
    assert revisions["items"][0]["summary"] == "Rolled back to #2"
    assert revisions["items"][0]["current"]
    assert [each["id"] for each in (await managed.get(f"revisions?limit=2&cursor={revisions['next']}"))["items"]] == [2, 1]
    secrets = [path.read_text() for path in (managed.around.state / "catalog" / "secrets").iterdir()]
    assert secrets == ["token-of-two-b"], "tokens stay the current ones"
    for number in ("9", "0", "x", "99999999999"):
        assert (await managed.call("POST", f"revisions/{number}/rollback", {}))[0] == 404
        assert (await managed.call("GET", f"revisions/{number}/diff"))[0] == 404


async def test_a_removed_integration_leaves_dead_letters_and_comes_back_with_its_token(managed: Managed) -> None:
    around = managed.around
    await managed.furnish()
    await around.faults(http_status=503)
    await around.post(purchase("e-1", writeKey="dk_two"))
    await managed.change("DELETE", "integrations/tiktok-two")

    async def buried() -> list[Any]:
        return list((await managed.get("dead"))["items"])

    assert [each["event_id"] for each in await around.until(buried)] == ["e-1"]
    assert (await managed.call("GET", "integrations/tiktok-two"))[0] == 404
    await around.faults()
    await managed.change("POST", "revisions/2/rollback", {})
    assert (await managed.get("integrations/tiktok-two"))["has_token"]
    await managed.change("POST", "dead/replay", {"filter": {"integration": "tiktok-two"}})
    await managed.delivered("e-1", "C2TWO")


async def test_changes_under_load_drop_no_event(managed: Managed) -> None:
    around = managed.around
    await managed.furnish()
    ended = asyncio.Event()
    accepted = []

    async def collect() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            status, answer, _ = await around.post(purchase(f"load-{number}", writeKey="dk_two"))
            assert (status, answer["success"]) == (200, True)
            accepted.append(f"load-{number}")

    loading = asyncio.gather(collect(), return_exceptions=False)
    for number in range(10):
        await managed.change("PUT", "integrations/tiktok-two", {**TIKTOK, "name": f"Name {number}", "pipelines": ["two"]})
    ended.set()
    await loading

    async def all_there() -> bool:
        return set(accepted) <= set(await around.received_ids())

    assert len(accepted) > 10
    await around.until(all_there)


async def test_a_test_code_expires(managed: Managed) -> None:
    around = managed.around
    await managed.furnish()
    body = {**TIKTOK, "test_event_code": "TEST123", "pipelines": ["two"]}
    shown = await managed.change("PUT", "integrations/tiktok-two", body)
    made = next(each["at"] for each in (await managed.get("revisions"))["items"])
    assert shown["test_code_until"] == pytest.approx(made + 3600, abs=5)
    assert 'ttgateway_test_code_active{integration="tiktok-two"} 1.0' in await around.metrics()
    await managed.change("PUT", "integrations/tiktok-two", {**body, "test_code_until": made + 1})

    async def gone() -> bool:
        return (await managed.get("integrations/tiktok-two"))["test_event_code"] is None

    await around.until(gone)
    newest = (await managed.get("revisions"))["items"][0]
    assert (newest["actor"], newest["summary"]) == ("ttgateway", "The test event code of tiktok-two expired")


async def test_a_reference_in_a_name_is_text(managed: Managed) -> None:
    """Whoever may edit entries must not read the gateway's files and variables by them."""
    (managed.around.state / "secret").write_text("hidden")
    names = ["${env:PATH}", f"${{file:{managed.around.state}/secret}}", "$${env:PATH}"]
    for number, name in enumerate(names):
        await managed.change("POST", "integrations", {**TIKTOK, "id": f"t{number}", "name": name})
        assert (await managed.get(f"integrations/t{number}"))["name"] == name


async def test_a_broken_file_does_not_keep_changes_of_the_sound_part_out(managed: Managed) -> None:
    """It began with a fault; what is made meanwhile is taken over all the same."""
    around = managed.around
    around.send(signal.SIGKILL)
    await around.ended()
    (around.state / "token").unlink()
    await around.start()
    await managed.up()
    await managed.furnish()
    await around.post(purchase("e-1", writeKey="dk_two"))
    await managed.delivered("e-1", "C2TWO")
    assert (await managed.get("settings"))["catalogue"]["writable"]


async def test_a_catalogue_that_cannot_be_read_keeps_its_queue(managed: Managed) -> None:
    """A volume that came up damaged must not turn what waits into dead letters; mended, it goes on."""
    around = managed.around
    await managed.furnish()
    await around.faults(http_status=503)
    await around.post(purchase("e-1", writeKey="dk_two"))
    around.send(signal.SIGKILL)
    await around.ended()
    head = around.state / "catalog" / "catalogue.yaml"
    sound = head.read_text()
    head.write_text("{")
    await around.faults()
    await around.start()
    await managed.up()
    assert (await managed.get("dead"))["items"] == []
    status, refusal, _ = await managed.call("POST", "integrations", {**TIKTOK, "id": "three"})
    assert (status, refusal["error"]["code"]) == (409, "read_only")
    head.write_text(sound)
    await managed.delivered("e-1", "C2TWO")


async def test_the_file_may_name_what_was_made_here_and_then_it_is_not_removed(managed: Managed) -> None:
    around = managed.around
    await managed.furnish()
    around.write(
        around.config.read_text().replace("{", "{{").replace("}", "}}").replace("integrations: [tiktok-shop]", "integrations: [tiktok-shop, tiktok-two]")
    )  # fmt: skip
    around.send(signal.SIGHUP)

    async def both() -> bool:
        return "shop" in (await managed.get("integrations/tiktok-two"))["pipelines"]

    await around.until(both)
    _, _, etag = await managed.call("GET", "integrations/tiktok-two")
    status, refusal, _ = await managed.call("DELETE", "integrations/tiktok-two", etag=etag)
    assert status == 422
    assert "pipelines.0.integrations.1" in refusal["error"]["problems"][0]["message"]


async def test_a_made_entry_that_broke_is_shown_and_mended(managed: Managed) -> None:
    around = managed.around
    await managed.furnish()
    token = next((around.state / "catalog" / "secrets").iterdir())
    token.unlink()
    around.send(signal.SIGKILL)
    await around.ended()
    await around.start()
    await managed.up()
    shown = await managed.get("integrations/tiktok-two")
    assert (shown["name"], shown["has_token"]) == ("Two", False)
    assert "access token cannot be read" in shown["fault"]
    await managed.change("PUT", "integrations/tiktok-two", {**TIKTOK, "pipelines": ["two"]})
    assert (await managed.get("integrations/tiktok-two"))["fault"] == ""
    assert yaml.safe_load((around.state / "catalog" / "catalogue.yaml").read_text())["number"] == 3
