"""Who gets in, and from where: the rows of threats.md's management UI."""

import io

import pytest
from managing import EDITOR, TOKEN, VIEWER, Management

from gateway.admin.access import COOKIE, SESSION_S
from gateway.admin.listener import HEADERS


async def logged_in(management: Management, token: str = EDITOR) -> str:
    origin = f"http://127.0.0.1:{management.client.port}"
    async with management.client.post("/api/v1/session", json={"token": token}, headers={"Origin": origin}) as answer:
        assert answer.status == 200, await answer.text()
        cookie = answer.cookies[COOKIE]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    return origin


@pytest.mark.parametrize("path", ["session", "dead", "dead/1", "dead/export", "openapi.json"])
async def test_nothing_is_told_to_strangers(management: Management, path: str) -> None:
    status, found = await management.call("GET", path, token="")
    assert (status, found["error"]["code"]) == (401, "unauthenticated")
    status, found = await management.call("GET", path, token="editor-token-0002")
    assert (status, found["error"]["code"]) == (401, "unauthenticated")


async def test_a_viewer_sees_and_does_not_change(management: Management) -> None:
    assert (await management.call("GET", "dead", token=VIEWER))[0] == 200
    for method, path in (("POST", "dead/replay"), ("POST", "dead/drop"), ("POST", "erase"), ("DELETE", "dead/jobs/1")):
        status, found = await management.call(method, path, {"ids": []}, token=VIEWER)
        assert (status, found["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "", "localhost@evil.example"])
async def test_other_names_are_refused(management: Management, host: str) -> None:
    status, found = await management.call("GET", "dead", Host=host)
    assert (status, found["error"]["code"]) == (421, "wrong_host")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"])
async def test_changes_come_from_our_own_pages(management: Management, origin: str) -> None:
    await logged_in(management)
    for token in ("", EDITOR):
        status, found = await management.call("POST", "dead/drop", {"filter": {}}, token=token, Origin=origin)
        assert (status, found["error"]["code"]) == (403, "wrong_origin")


async def test_a_session_changes_only_with_an_origin_and_ends(management: Management) -> None:
    origin = await logged_in(management)
    assert (await management.call("GET", "session", token=""))[1]["name"] == "ops"
    assert (await management.call("POST", "dead/drop", {"filter": {}}, token=""))[0] == 403
    assert (await management.call("POST", "dead/drop", {"filter": {}}, token="", Origin=origin)) == (200, {"dropped": 0})
    assert (await management.call("DELETE", "session", token="", Origin=origin))[0] == 204
    assert (await management.call("GET", "session", token=""))[0] == 401


async def test_a_session_ends_with_time_and_with_its_token(management: Management) -> None:
    await logged_in(management)
    management.clock.now += SESSION_S + 1
    assert (await management.call("GET", "session", token=""))[0] == 401
    await logged_in(management)
    management.desk.access.reconfigure([], ["127.0.0.1"])
    assert (await management.call("GET", "session", token=""))[0] == 401


async def test_attempts_are_rationed(management: Management) -> None:
    origin = {"Origin": f"http://127.0.0.1:{management.client.port}"}
    for _ in range(10):
        status, _ = await management.call("POST", "session", {"token": "wrong"}, token="", **origin)
        assert status == 401
    status, found = await management.call("POST", "session", {"token": EDITOR}, token="", **origin)
    assert (status, found["error"]["code"]) == (429, "too_many_attempts")
    assert (await management.call("GET", "dead", token="wrong"))[0] == 429
    assert (await management.call("GET", "dead"))[0] == 200  # who has the token is not kept out by others' guesses
    management.clock.now += 61
    assert (await management.call("POST", "session", {"token": EDITOR}, token="", **origin))[0] == 200


async def test_every_answer_carries_the_headers(management: Management) -> None:
    for path in ("/api/v1/session", "/api/v1/nothing", "/nothing"):
        async with management.client.get(path, headers={"Authorization": f"Bearer {EDITOR}"}, allow_redirects=False) as answer:
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [(b"{", "application/json", "not_json"), (b'{"ids":["1"]}', "text/plain", "not_json"), (b"[]", "application/json", "invalid"),
     (b'{"ids":["1"],"filter":{}}', "application/json", "invalid"), (b'{"filter":{"nonsense":1,"since":"x"}}', "application/json", "invalid"),
     (b"[" + b" " * (1 << 20), "application/json", "too_large")],
)  # fmt: skip
async def test_bad_bodies_have_a_reason(management: Management, body: bytes, kind: str, code: str) -> None:
    headers = {"Authorization": f"Bearer {EDITOR}", "Content-Type": kind}
    async with management.client.post("/api/v1/dead/drop", data=io.BytesIO(body), headers=headers) as answer:
        found = (await answer.json())["error"]
    assert found["code"] == code
    if b"nonsense" in body:
        assert {each["path"] for each in found["problems"]} == {"filter.nonsense", "filter.since"}


async def test_what_is_not_there_is_told_so(management: Management) -> None:
    assert (await management.call("GET", "nothing"))[1]["error"]["code"] == "not_found"
    assert (await management.call("PUT", "dead"))[0] == 405
    assert (await management.call("GET", "dead/999"))[1]["error"]["code"] == "not_found"


async def test_the_document_describes_what_there_is(management: Management) -> None:
    status, document = await management.call("GET", "openapi.json")
    assert status == 200
    assert document["openapi"] == "3.1.0"
    assert {"/api/v1/session", "/api/v1/dead", "/api/v1/dead/{id}", "/api/v1/dead/replay", "/api/v1/erase"} <= document[
        "paths"
    ].keys()
    replay = document["paths"]["/api/v1/dead/replay"]["post"]
    assert replay["x-role"] == "editor"
    assert replay["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ReplayOf")
    assert TOKEN not in str(document)
