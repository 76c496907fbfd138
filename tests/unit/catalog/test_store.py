"""The catalogue on disk: one step from revision to revision, secrets apart, text that refers to nothing."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.store import KEPT, CatalogueUnusable, ChangedMeanwhile, Revision, Store, dumped, parsed
from gateway.config import document as doc
from gateway.config.references import Resolver

TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40) | st.sampled_from(
    [
        "${env:HOME}",
        "$${file:/etc/passwd}",
        "${file:/etc/passwd}",
        "a ${x} b $",
        "${",
        "2026-01-31",
        "yes",
        "12:30",
        "~",
        "\x00",
        "\x85",
        "a\u2028b",
        "\u2029",
    ]
)
ENTRY = st.dictionaries(
    st.sampled_from(["name", "labels", "events"]), TEXTS | st.lists(TEXTS, max_size=3) | st.dictionaries(TEXTS, TEXTS, max_size=3)
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "catalog")


def revision(number: int, *integrations: dict[str, object], summary: str = "changed") -> Revision:
    """A revision with these integrations."""
    return Revision(number, 1_790_000_000.0 + number, "ops", summary, [], list(integrations))


@given(ENTRY)
def test_what_is_written_is_read_back_and_refers_to_nothing(entry: dict[str, object]) -> None:
    """By the store, and by the loader that resolves references in a configuration file."""
    text = dumped(revision(1, {"id": "a", **entry}))
    assert parsed(text).integrations == [{"id": "a", **entry}]
    document = doc.parse(text, "catalogue.yaml")
    resolver = Resolver(document, {"HOME": "/root"}, Path("/"))
    found = resolver.resolve()
    assert document.problems == []
    assert resolver.files == []
    assert found["integrations"] == [{"id": "a", **entry}]


def test_a_change_follows_the_one_in_force(store: Store) -> None:
    assert store.head() == Revision()
    store.commit(revision(1, {"id": "a"}))
    assert store.head().integrations == [{"id": "a"}]
    with pytest.raises(ChangedMeanwhile):
        store.commit(revision(1, {"id": "b"}))
    with pytest.raises(ChangedMeanwhile):
        store.commit(revision(3, {"id": "b"}))
    store.commit(revision(2, {"id": "b"}))
    assert store.numbers() == [2, 1]
    first = store.revision(1)
    assert first is not None
    assert first.integrations == [{"id": "a"}]


def test_a_crash_before_the_last_step_leaves_the_old_in_force(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The revision's own file is written, what is in force is not: it is as if nothing had been."""
    store.commit(revision(1, {"id": "a"}))
    original = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if target == store.head_path:
            raise OSError(5, "power failed")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(CatalogueUnusable):
        store.commit(revision(2, {"id": "b"}))
    monkeypatch.undo()
    assert store.head().number == 1
    assert store.numbers() == [1], "a change that never came into force is no revision"
    store.commit(revision(2, {"id": "c"}))
    second = store.revision(2)
    assert second is not None
    assert second.integrations == [{"id": "c"}]


def test_secrets_lie_apart_and_replaced_ones_go(store: Store) -> None:
    first = store.keep_secret("integrations", "a", "token-1")
    store.commit(revision(1, {"id": "a", "access_token": first}))
    second = store.keep_secret("integrations", "a", "token-2")
    store.commit(revision(2, {"id": "a", "access_token": second}))
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert [path.read_text() for path in (store.folder / "secrets").iterdir()] == ["token-2"]
    assert all("token-" not in path.read_text() for path in files if path.parent.name != "secrets")
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_the_secret_of_a_removed_entry_stays_while_a_revision_could_bring_it_back(store: Store) -> None:
    reference = store.keep_secret("integrations", "a", "token-1")
    store.commit(revision(1, {"id": "a", "access_token": reference}))
    store.commit(revision(2))
    assert store.last_secret("integrations", "a") == reference
    for number in range(3, KEPT + 3):
        store.commit(revision(number))
    assert store.revision(1) is None
    assert store.last_secret("integrations", "a") == ""
    assert len(store.numbers()) == KEPT


@pytest.mark.parametrize("content", [b"", b"- 1", b"number: x", b"{", b"\xff\xfe", b"version: 1\nnumber: 1\n"])
def test_a_file_that_is_none_is_said(store: Store, content: bytes) -> None:
    store.folder.mkdir()
    store.head_path.write_bytes(content)
    with pytest.raises(CatalogueUnusable):
        store.head()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in Store(tmp_path / "file" / "catalog").fault()
    assert Store(tmp_path / "fresh").fault() == ""
