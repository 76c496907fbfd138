"""The catalogue that all pods share (io: buckets of the engine they share, and a folder as the last good copy).

Law: the bucket's newest entry is in force; a change names the one that it was made from, so of two at once one is told. Its history is the catalogue's. Every pod copies what is
in force to its own disk, secrets first, and takes it from there by the one way of all configuration; what it cannot use it leaves in the bucket. Access tokens lie in a bucket of
their own, which a pod that delivers nothing does not ask.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gateway.catalog.store import (
    KEPT,
    KINDS,
    SECRETS,
    CatalogueUnusable,
    ChangedMeanwhile,
    Revision,
    Store,
    dumped,
    named_secrets,
    parsed,
    reference,
    secret_name,
)
from gateway.telemetry import tasks
from gateway.together import Bucket, BucketAway, Together

_log = logging.getLogger(__name__)

TOPIC = "catalogue"
_KEY = "catalogue"
_LOOK_S = 5.0
"""At the latest after this long a pod sees a change; as a rule at once."""
_PATIENCE_S = 10.0
_TRIES, _PAUSE_S = 5, 0.1
"""On a cluster a reader may be a moment behind what is known to be written."""
_Result = TypeVar("_Result")


@dataclass(slots=True)
class Pod:
    """What the composition root knows of this process."""

    delivers: bool
    """It may see access tokens."""
    edits: bool
    """Its UI makes changes: a catalogue that was made here before there was a bucket goes into it."""
    sound: Callable[[str], bool]
    """Whether a revision's text can be put in force here. Blocks."""
    changed: Callable[[], Awaitable[None]]
    """The copy on the disk is another one."""


class Commons:
    """One pod's view of the shared catalogue."""

    def __init__(self, together: Together, folder: Path, pod: Pod) -> None:
        self._together = together
        self._catalogue = together.bucket("catalogue", KEPT)
        self._secrets: dict[str, Bucket] = {"pipelines": together.bucket("secrets"), "integrations": together.bucket("tokens")}
        self._copy = Store(folder)
        self._pod = pod
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._head = Revision()
        self._at = 0
        """The bucket's revision that holds ``_head``."""
        self._copied: int | None = None
        self._said = ""
        self._in_doubt: set[str] = set()

    # -- what is there

    async def fault(self) -> str:
        """Why nothing can be changed; empty = it can."""
        await self._catalogue.bounds()
        return await _off_loop(self._copy.fault)

    async def head(self) -> Revision:
        """What is in force everywhere."""
        _, last = await self._catalogue.bounds()
        if not last:
            self._head, self._at = Revision(), 0
        elif last != self._at:
            self._head, self._at = parsed(await self._text(last)), last
        return self._head

    async def revision(self, number: int) -> Revision | None:
        """One of those that are kept. Every change is one entry, so they are counted from the newest."""
        head = await self.head()
        entry = await self._catalogue.at(self._at - (head.number - number)) if 0 < number <= head.number else None
        if entry is None:
            return None
        with suppress(CatalogueUnusable, UnicodeDecodeError):
            found = parsed(entry.value.decode())
            return found if found.number == number else None
        return None

    async def numbers(self, below: int | None) -> list[int]:
        """The revisions that are kept, newest first."""
        head = await self.head()
        first, last = await self._catalogue.bounds()
        newest = head.number + last - self._at
        end = newest + 1 if below is None else below
        return [number for number in range(newest, max(0, newest - (last - first) - 1), -1) if number < end] if last else []

    async def _text(self, at: int) -> str:
        for _ in range(_TRIES):
            if (entry := await self._catalogue.at(at)) is not None:
                with suppress(UnicodeDecodeError):
                    return entry.value.decode()
            await asyncio.sleep(_PAUSE_S)
        raise CatalogueUnusable("the shared catalogue's newest revision cannot be read; was it removed by other means?")

    # -- changes

    async def commit(self, revision: Revision) -> None:
        """Put it in force everywhere: here when this returns, elsewhere a moment later."""
        text = dumped(revision)
        async with self._turn:
            head = await self.head()
            if head.number != revision.number - 1:
                raise ChangedMeanwhile("somebody else changed the catalogue meanwhile; read it again")
            # Whatever fails from here on, it may have been written, with all that it refers to.
            self._in_doubt = set(named_secrets(revision))
            at = await self._catalogue.put(_KEY, text.encode(), self._at)
            if at is None:
                self._in_doubt = set()
                raise ChangedMeanwhile("somebody else changed the catalogue meanwhile; read it again")
            self._head, self._at = revision, at
            await self._take_over(text, revision, at)
            await self._sweep(revision)
        self._together.say(TOPIC, b"")

    async def keep_secret(self, kind: str, id_: str, value: str) -> str:
        """Write a secret where it belongs, and a copy; the reference to it."""
        name = f"{kind}.{id_}.{SECRETS[kind]}"
        bucket = self._secrets[kind]
        number = max(map(_version, await bucket.keys(name)), default=0) + 1
        while await bucket.put(f"{name}.{number}", value.encode(), 0) is None:
            number += 1
        await _off_loop(self._copy.copy_secrets, {f"{name}.{number}": value})
        return reference(f"{name}.{number}")

    async def last_secret(self, kind: str, id_: str) -> str:
        """The reference to the secret that an entry has or had last; empty = none is kept."""
        keys = await self._secrets[kind].keys(f"{kind}.{id_}.{SECRETS[kind]}")
        return reference(max(keys, key=_version)) if keys else ""

    async def drop_secrets(self, references: Iterable[str]) -> None:
        """Remove those of a change that did not come to be."""
        sure = [each for each in references if each not in self._in_doubt]
        for key in map(secret_name, sure):
            await self._secrets[key.partition(".")[0]].remove(key)
        await _off_loop(self._copy.drop_secrets, sure)

    async def _sweep(self, head: Revision) -> None:
        """As in a folder: of an entry that exists only the secret it refers to stays, of one that was removed the last, as long as a revision could bring it back."""
        with suppress(BucketAway, CatalogueUnusable):
            held = named_secrets(head)
            for kind in KINDS:
                for key in await self._secrets[kind].keys(kind):
                    name, _, _ = key.rpartition(".")
                    _, id_, *_ = key.split(".")
                    if reference(key) in held:
                        continue
                    gone = head.entry(kind, id_) is None and await self.last_secret(kind, id_) == reference(key)
                    if not (gone and await self._remembered(name)):
                        await self._secrets[kind].remove(key)

    async def _remembered(self, name: str) -> bool:
        numbers = await self.numbers(None)
        if numbers and numbers[-1] == 1:
            return True  # nothing has been forgotten yet
        first, last = await self._catalogue.bounds()
        for at in range(first, last + 1):
            entry = await self._catalogue.at(at)
            if entry is not None and f"secrets/{name}.".encode() in entry.value:
                return True
        return False

    # -- the copy

    async def run(self) -> None:
        """Follow the bucket until cancelled."""
        self._together.hear(TOPIC, lambda _words: self._news.set())
        while True:
            self._news.clear()
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()

    async def look(self) -> None:
        """Take over what is in force, if that is news. What keeps it from that is logged once."""
        changed = False
        try:
            async with self._turn:
                _, last = await self._catalogue.bounds()
                if last == self._copied:
                    return
                changed = await self._begin() if not last else await self._follow(last)
            self._said = ""
        except (BucketAway, CatalogueUnusable) as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.warning(
                    "the shared catalogue cannot be followed; the last copy stays in force", extra={"problem": self._said}
                )
        if changed:
            await self._pod.changed()

    async def _begin(self) -> bool:
        """Nobody has made anything yet – unless it was made here, before there was a bucket."""
        local = await _off_loop(self._copy.head)
        if not local.number:
            await self._take_over(dumped(Revision()), Revision(), 0)
            return True
        if self._pod.edits:
            for key, value in (await _off_loop(self._copy.secrets)).items():
                if reference(key) in named_secrets(local):
                    await self._secrets[key.partition(".")[0]].put(key, value.encode())
            if await self._catalogue.put(_KEY, dumped(local).encode(), 0) is not None:
                _log.info("the catalogue made here is now every pod's", extra={"revision": local.number})
                self._together.say(TOPIC, b"")
        return False

    async def _follow(self, last: int) -> bool:
        text = await self._text(last)
        revision = parsed(text)
        missing = await self._fetch(revision)
        if missing:
            raise CatalogueUnusable(f"revision {revision.number} refers to secrets that are not there: {', '.join(missing)}")
        if not await _off_loop(self._pod.sound, text):
            raise CatalogueUnusable(f"revision {revision.number} has problems here; is this the same version as the admin's?")
        return await self._take_over(text, revision, last)

    async def _fetch(self, revision: Revision) -> list[str]:
        """Copy the secrets that ``revision`` names and this pod may see; those that are missing. Anew for the first time: what lies there may be of another life."""
        there = await _off_loop(self._copy.secrets) if self._copied is not None else {}
        found: dict[str, str] = {}
        missing = []
        for kind in self._seen_kinds():
            for name in named_secrets(revision, kind).values():
                if name in there:
                    continue
                entry = await self._secrets[kind].entry(name)
                if entry is None:
                    missing.append(name)
                else:
                    found[name] = entry.value.decode("utf-8", "replace")
        await _off_loop(self._copy.copy_secrets, found)
        return missing

    async def _take_over(self, text: str, revision: Revision, at: int) -> bool:
        """Whether the copy is another one now."""
        keep = {name for kind in self._seen_kinds() for name in named_secrets(revision, kind).values()}
        changed = await _off_loop(self._copy.copy_head, text, keep)
        self._copied = at
        return changed

    def _seen_kinds(self) -> tuple[str, ...]:
        return KINDS if self._pod.delivers else ("pipelines",)


class SharedStore:
    """The same for :class:`gateway.admin.changes.Changes`: implements :class:`gateway.catalog.store.Revisions` for threads."""

    def __init__(self, commons: Callable[[], Commons | None], loop: asyncio.AbstractEventLoop) -> None:
        self._commons = commons
        self._loop = loop

    def fault(self) -> str:
        """Why nothing can be changed now; empty = it can."""
        try:
            commons = self._there()
            return self._wait(commons.fault())
        except CatalogueUnusable as error:
            return str(error)

    def head(self) -> Revision:
        """See :class:`Revisions`."""
        return self._wait(self._there().head())

    def revision(self, number: int) -> Revision | None:
        """See :class:`Revisions`."""
        return self._wait(self._there().revision(number))

    def numbers(self, below: int | None = None) -> list[int]:
        """See :class:`Revisions`."""
        return self._wait(self._there().numbers(below))

    def keep_secret(self, kind: str, id_: str, value: str) -> str:
        """See :class:`Revisions`."""
        return self._wait(self._there().keep_secret(kind, id_, value))

    def last_secret(self, kind: str, id_: str) -> str:
        """See :class:`Revisions`."""
        return self._wait(self._there().last_secret(kind, id_))

    def drop_secrets(self, references: Iterable[str]) -> None:
        """See :class:`Revisions`."""
        with suppress(CatalogueUnusable):  # swept with the next change
            self._wait(self._there().drop_secrets(list(references)))

    def commit(self, revision: Revision) -> None:
        """See :class:`Revisions`."""
        self._wait(self._there().commit(revision))

    def _there(self) -> Commons:
        commons = self._commons()
        if commons is None:
            raise CatalogueUnusable("The broker that keeps the catalogue has not been reached yet; the log says why.")
        return commons

    def _wait(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        try:
            return tasks.from_thread(work, self._loop, _PATIENCE_S)
        except (BucketAway, TimeoutError) as error:
            raise CatalogueUnusable(
                f"The broker that keeps the catalogue does not answer ({str(error) or 'too slow'}); what is in force stays so, changes have to wait."
            ) from None


def _version(key: str) -> int:
    number = key.rpartition(".")[2]
    return int(number) if number.isdecimal() else 0


async def _off_loop(work: Callable[..., _Result], *arguments: Any) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)
