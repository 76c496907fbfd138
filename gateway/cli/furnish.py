"""The demo's pipeline and integration (io: the folder of its catalogue): there from the beginning, and free to be changed in the UI.

Law: what a variable says holds; everything else stays as people left it. What does not differ is not written, and nothing that the configuration's own rules refuse.
"""

from collections.abc import Callable
from typing import NamedTuple

from gateway.catalog.store import Entry, Revision, Store, dumped, secret_name
from gateway.errors import Problem

INTEGRATION = "tiktok"
_PIPELINE = "demo"
_ACTOR = "demo"


class Wanted(NamedTuple):
    """What the variables say; empty = nothing. The key is the demo shop's own."""

    key: str
    pixel: str = ""
    token: str = ""
    test_code: str = ""
    preset: str = ""


class Beginning(NamedTuple):
    """What stands where neither a variable nor a person says anything."""

    pixel: str
    token: str
    preset: str


def furnish(
    store: Store, wanted: Wanted, beginning: Beginning, check: Callable[[str], list[Problem]], now: float
) -> tuple[Revision, list[Problem]]:
    """What is in force then; or what is wrong with it, and it is as it was. ``check`` is given the catalogue as text. Raises CatalogueUnusable and OSError."""
    before = store.head()
    pipelines = [dict(entry) for entry in before.pipelines]
    integrations = [dict(entry) for entry in before.integrations]
    written = []
    made = next((entry for entry in integrations if entry["id"] == INTEGRATION), None)
    if made is None and (not before.number or wanted.pixel):
        made = {"id": INTEGRATION, "name": "TikTok", "preset": beginning.preset, "pixel_code": beginning.pixel}
        integrations.append(made)
    if not any(entry["id"] == _PIPELINE or entry.get("key") == wanted.key for entry in pipelines):
        pipelines.append({"id": _PIPELINE, "key": wanted.key, "integrations": [INTEGRATION] if made else [], "default_region": "GB"})  # fmt: skip
    codes = dict(before.test_codes)
    if made is not None:
        made.update(_said(wanted))
        if wanted.test_code:
            codes.pop(INTEGRATION, None)  # a variable's code stays as long as the variable
        token = wanted.token or ("" if "access_token" in made or before.entry("integrations", INTEGRATION) else beginning.token)
        if token and token != store.secrets().get(secret_name(str(made.get("access_token", "")))):
            made["access_token"] = store.keep_secret("integrations", INTEGRATION, token)
            written.append(made["access_token"])
    if (pipelines, integrations, codes) == (before.pipelines, before.integrations, before.test_codes):
        return before, check(dumped(before)) if before.number else []
    fresh = Revision(before.number + 1, now, _ACTOR, "As the demo's variables say" if before.number else "The demo's beginning", pipelines, integrations, codes)  # fmt: skip
    if problems := check(dumped(fresh)):
        store.drop_secrets(written)
        return before, problems
    store.commit(fresh)
    return fresh, []


def _said(wanted: Wanted) -> Entry:
    said = {"pixel_code": wanted.pixel, "test_event_code": wanted.test_code, "preset": wanted.preset}
    return {name: value for name, value in said.items() if value}
