"""A click on an ad lands on the app's own page, through a real gateway: its answer carries our cookies, if the visitor agreed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from whole import USER_AGENT, Whole, whole

AGREED = "OptanonConsent=groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A1"
DENIED = "OptanonConsent=groups=C0001%3A1%2CC0002%3A0%2CC0003%3A0%2CC0004%3A0"
LANDING = "/landing?ttclid=E.C.P.navigation-0001"


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path) as made:
        await made.start()
        yield made


async def navigate(around: Whole, path: str, **fields: str) -> tuple[dict[str, str], str | None]:
    """Names and lines of the cookies set, and what was said about caching."""
    named = {"User-Agent": USER_AGENT, "Sec-Fetch-Dest": "document"} | {
        name.replace("_", "-"): value for name, value in fields.items()
    }
    async with around.session.get(f"http://127.0.0.1:{around.edge}{path}", headers=named) as answer:
        assert answer.status == 200
        assert await answer.text() == f"page {path.partition('?')[0]}"
        lines = answer.headers.getall("Set-Cookie", [])
        return {line.partition("=")[0]: line for line in lines}, answer.headers.get("Cache-Control")


async def test_a_consenting_visitor_gets_the_click_id_and_a_browser_id_with_the_page(around: Whole) -> None:
    cookies, caching = await navigate(around, LANDING, Cookie=AGREED, X_Forwarded_Proto="https")
    assert cookies["ttclid"].startswith("ttclid=E.C.P.navigation-0001; ")
    assert "_ttp" in cookies
    assert all("; Secure" in line and "; SameSite=Lax" in line for line in cookies.values())
    assert caching == "private"
    plain, _ = await navigate(around, LANDING, Cookie=AGREED)
    assert not any("Secure" in line for line in plain.values())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Cookie": DENIED},
        {"Cookie": AGREED, "Sec_GPC": "1"},
        {"Cookie": AGREED, "Sec_Fetch_Dest": "image"},
        {"Cookie": AGREED, "Sec_Purpose": "prefetch;prerender"},
    ],
    ids=["no word", "denied", "GPC", "an image", "a prefetch"],
)
async def test_everybody_else_gets_the_page_as_it_is(around: Whole, fields: dict[str, str]) -> None:
    cookies, caching = await navigate(around, LANDING, **fields)
    assert "ttclid" not in cookies or "Max-Age=0" in cookies["ttclid"]
    assert "_ttp" not in cookies or "Max-Age=0" in cookies["_ttp"]
    if "Cookie" not in fields or "Sec_Fetch_Dest" in fields or "Sec_Purpose" in fields:
        assert (cookies, caching) == ({}, None)
