"""The demo's entries: there from the beginning, people's own afterwards, and a variable's where one is given."""

from pathlib import Path

import pytest

from gateway.catalog.store import Entry, Revision, Store
from gateway.cli.furnish import INTEGRATION, Beginning, Wanted, furnish
from gateway.errors import Problem

BEGINNING = Beginning("CDEMO", "sandbox", "retail")
NOTHING = Wanted("dk_demo")


def _furnished(store: Store, wanted: Wanted = NOTHING) -> Revision:
    head, problems = furnish(store, wanted, BEGINNING, lambda _: [], 1000.0)
    assert problems == []
    assert store.head() == head
    return head


def _integration(revision: Revision) -> Entry:
    found = revision.entry("integrations", INTEGRATION)
    assert found is not None
    return found


def _changed(store: Store, **values: object) -> None:
    """As the UI does it."""
    head = store.head()
    integrations = [{**_integration(head), **values}]
    store.commit(Revision(head.number + 1, 1001.0, "ops", "", head.pipelines, integrations, {INTEGRATION: 5000.0}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "catalog")


def test_what_people_changed_stays_and_nothing_is_written_for_nothing(store: Store) -> None:
    head = _furnished(store)
    assert head.pipelines == [{"id": "demo", "key": "dk_demo", "integrations": [INTEGRATION], "default_region": "GB"}]
    assert list(store.secrets().values()) == ["sandbox"]
    _changed(store, preset="travel", access_token=store.keep_secret("integrations", INTEGRATION, "revoked"))
    head = _furnished(store)
    assert (head.number, _integration(head)["preset"], list(store.secrets().values())) == (2, "travel", ["revoked"])


def test_variables_win(store: Store) -> None:
    wanted = Wanted("dk_demo", "C4REAL", "token-1", "TEST1")
    head = _furnished(store, wanted)
    assert (_integration(head)["pixel_code"], _integration(head)["test_event_code"], head.test_codes) == ("C4REAL", "TEST1", {})
    assert _furnished(store, wanted).number == 1
    _changed(store, pixel_code="C4OTHER", name="Mine", test_event_code="TEST1")
    head = _furnished(store, wanted._replace(token="token-2", preset="travel"))
    assert {"pixel_code": "C4REAL", "name": "Mine", "preset": "travel", "test_event_code": "TEST1"}.items() <= _integration(
        head
    ).items()
    assert (head.test_codes, list(store.secrets().values())) == ({}, ["token-2"])


def test_what_people_removed_comes_back_only_if_a_variable_names_it(store: Store) -> None:
    head = _furnished(store)
    store.commit(Revision(2, 1001.0, "ops", "", [{**head.pipelines[0], "integrations": []}], []))
    assert _furnished(store).integrations == []
    assert _integration(_furnished(store, NOTHING._replace(pixel="C4REAL", token="t")))["pixel_code"] == "C4REAL"


def test_what_is_wrong_is_told_and_not_kept(store: Store) -> None:
    problem = Problem("pixel_code", "expected letters and digits")
    head, problems = furnish(store, NOTHING._replace(pixel="no code", token="t"), BEGINNING, lambda _: [problem], 1000.0)
    assert (head.number, problems, store.head().number, store.secrets()) == (0, [problem], 0, {})
