"""What editors do to the catalogue (io: through its store).

Law: every change is one revision, checked as a whole by the same rules as a configuration file before it is written, and in force when the caller is answered. One change at a
time; who changes an entry names the state that was looked at (its ETag). What the configuration file declares is not changed here. Secrets come in and never go out.
"""

import asyncio
import copy
import difflib
import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
import yaml

from gateway.admin.errors import Refused, missing, refused
from gateway.catalog.store import HEAD, KINDS, SECRETS, CatalogueUnusable, ChangedMeanwhile, Entry, Revision, Revisions, dumped
from gateway.errors import Problem

GATEWAY = "ttgateway"
"""The actor of changes that nobody asked for just now."""
_VERSION = re.compile(r"\$\{file:secrets/.*\.(\d+)\}")
_SINGULAR = {"pipelines": "pipeline", "integrations": "integration"}
_CONTEXT_LINES = 3
_Result = TypeVar("_Result")


class Rules(NamedTuple):
    """What the composition root knows of the catalogue."""

    check: Callable[[str], list[Problem]]
    """A revision's text → what is wrong with its entries, beside what is wrong already. Blocks."""
    apply: Callable[[], Awaitable[int]]
    """Put what is on the disk in force; the number of the revision that is then."""
    declared: Callable[[str], Mapping[str, Collection[str]]]
    """``pipelines`` or ``integrations`` that the configuration file declares: id → the integrations that a pipeline names."""
    lifetime_s: Callable[[], float]
    """How long a test event code stays; 0 = until it is removed."""


class Draft:
    """The catalogue while it is being changed."""

    def __init__(self, base: Revision, store: Revisions) -> None:
        self.pipelines: list[Entry] = copy.deepcopy(base.pipelines)
        self.integrations: list[Entry] = copy.deepcopy(base.integrations)
        self.test_codes = dict(base.test_codes)
        self.written: list[str] = []
        """References to the secrets that came with the change."""
        self._store = store

    def entries(self, kind: str) -> list[Entry]:
        """Those of a kind."""
        return self.pipelines if kind == "pipelines" else self.integrations

    def entry(self, kind: str, id_: str) -> Entry:
        """The one of that id; 404 if there is none."""
        for each in self.entries(kind):
            if each["id"] == id_:
                return each
        raise missing(f"{_SINGULAR[kind]} of that id")

    def put(self, kind: str, entry: Entry, secret: str) -> None:
        """Add ``entry``, or put it in the place of the one with its id. An empty ``secret`` leaves what there is."""
        found = self.entries(kind)
        at = next((index for index, each in enumerate(found) if each["id"] == entry["id"]), None)
        field = SECRETS[kind]
        if secret:
            entry[field] = self._store.keep_secret(kind, entry["id"], secret)
            self.written.append(entry[field])
        elif at is not None and (kept := found[at].get(field)):
            entry[field] = kept
        if at is None:
            found.append(entry)
        else:
            found[at] = entry

    def runs_on(self, integration: str, pipelines: Collection[str]) -> None:
        """Let exactly those of our pipelines name the integration."""
        for each in self.pipelines:
            named = [name for name in each.get("integrations", []) if name != integration or each["id"] in pipelines]
            if each["id"] in pipelines and integration not in named:
                named.append(integration)
            each["integrations"] = named


class Changes:
    """One per listener."""

    def __init__(self, store: Revisions, rules: Rules, now: Callable[[], float]) -> None:
        self.store = store
        self._rules = rules
        self._now = now
        self._turn = asyncio.Lock()
        self.head = Revision()
        """As of the last look."""
        self.fault = ""
        """Why nothing can be changed; empty = it can."""

    async def look(self) -> None:
        """Learn what is on the disk, and whether it can be written."""
        try:
            self.fault = await _off_loop(self.store.fault)
            self.head = await _off_loop(self.store.head)
        except CatalogueUnusable as error:
            self.fault = str(error)

    # -- what can be asked

    def declared(self, kind: str, id_: str) -> bool:
        """Whether the configuration file has it."""
        return id_ in self._rules.declared(kind)

    def etag(self, kind: str, id_: str) -> str:
        """Of an entry made here; empty for others."""
        entry = self.head.entry(kind, id_)
        if entry is None:
            return ""
        around = (
            [each["id"] for each in self.head.pipelines if id_ in each.get("integrations", [])] if kind == "integrations" else []
        )
        state = orjson.dumps([entry, around, self.head.test_codes.get(id_) if kind == "integrations" else None])
        return f'"{hashlib.sha256(state).hexdigest()[:20]}"'

    async def revisions(self, below: int | None, limit: int) -> tuple[list[Revision], int | None]:
        """The newest first, and where the next page begins."""

        def read() -> tuple[list[Revision], int | None]:
            numbers = self.store.numbers(below)
            found = [self.store.revision(number) for number in numbers[:limit]]
            return [each for each in found if each is not None], numbers[limit - 1] if len(numbers) > limit else None

        return await _off_loop(read)

    async def difference(self, number: int) -> list[dict[str, Any]]:
        """What revision ``number`` changed, file by file: ``{"path", "lines": [{"op", "text"}]}``."""

        def read() -> list[dict[str, Any]]:
            after, before = self.store.revision(number), self.store.revision(number - 1) or Revision()
            if after is None or number > self.head.number:
                raise missing("revision of that number")
            return difference(before, after)

        return await _off_loop(read)

    # -- what can be done

    async def create(
        self, actor: str, kind: str, entry: Entry, *, secret: str, pipelines: Collection[str], until: float | None
    ) -> None:
        """Add an entry; 409 if its id is taken."""

        def work(draft: Draft) -> str:
            id_ = entry["id"]
            if self.declared(kind, id_) or any(each["id"] == id_ for each in draft.entries(kind)):
                raise refused(
                    [
                        Problem(
                            "id",
                            f"there is {'an' if kind == 'integrations' else 'a'} {_SINGULAR[kind]} {id_!r} already",
                            "choose another id",
                        )
                    ]
                )
            self._put(draft, kind, entry, secret, pipelines, until)
            return f"Added {_SINGULAR[kind]} {id_}"

        await self._change(actor, work)

    async def replace(
        self, actor: str, etag: str, kind: str, entry: Entry, *, secret: str, pipelines: Collection[str], until: float | None
    ) -> None:
        """Change an entry; its secret stays if none is given."""

        def work(draft: Draft) -> str:
            id_ = entry["id"]
            before = dict(draft.entry(kind, id_))
            self._put(draft, kind, entry, secret, pipelines, until)
            changed = sorted(name for name in before.keys() | entry.keys() if before.get(name) != entry.get(name))
            return f"Changed {_SINGULAR[kind]} {id_}{': ' if changed else ''}{', '.join(changed)}"

        await self._change(actor, work, (kind, entry["id"], etag))

    async def update(self, actor: str, etag: str, id_: str, values: Entry, summary: str) -> None:
        """Change some fields of an integration; a value that is empty takes the field out."""

        def work(draft: Draft) -> str:
            entry = draft.entry("integrations", id_)
            for name, value in values.items():
                if value is None or value in ({}, []):
                    entry.pop(name, None)
                else:
                    entry[name] = value
            if not entry.get("test_event_code"):
                draft.test_codes.pop(id_, None)
            return summary

        await self._change(actor, work, ("integrations", id_, etag))

    async def remove(self, actor: str, etag: str, kind: str, id_: str) -> None:
        """Take an entry out; what waits for an integration becomes dead letters."""

        def work(draft: Draft) -> str:
            draft.entries(kind).remove(draft.entry(kind, id_))
            if kind == "integrations":
                draft.runs_on(id_, ())
                draft.test_codes.pop(id_, None)
            return f"Removed {_SINGULAR[kind]} {id_}"

        await self._change(actor, work, (kind, id_, etag))

    async def roll_back(self, actor: str, number: int) -> None:
        """Make the catalogue what it was right after revision ``number``; secrets stay the current ones."""
        wanted = await _off_loop(self.store.revision, number)
        if wanted is None or number > self.head.number:
            raise missing("revision of that number")

        def work(draft: Draft) -> str:
            for kind in KINDS:
                restored = copy.deepcopy(wanted.entries(kind))
                for entry in restored:
                    entry.pop(SECRETS[kind], None)
                    if reference := self.store.last_secret(kind, entry["id"]):
                        entry[SECRETS[kind]] = reference
                draft.entries(kind)[:] = restored
            # a code whose time is over does not come back
            now = self._now()
            draft.test_codes = {name: at for name, at in wanted.test_codes.items() if at > now}
            for entry in draft.integrations:
                if wanted.test_codes.get(entry["id"], now + 1) <= now:
                    entry.pop("test_event_code", None)
            return f"Rolled back to #{number}"

        await self._change(actor, work)

    async def expire(self) -> None:
        """Take out the test event codes whose time is over."""
        now = self._now()
        over = sorted(name for name, at in self.head.test_codes.items() if at <= now)
        if not over or self.fault:
            return

        def work(draft: Draft) -> str:
            for name in over:
                draft.test_codes.pop(name, None)
                for entry in draft.integrations:
                    if entry["id"] == name:
                        entry.pop("test_event_code", None)
            return f"The test event code of {', '.join(over)} expired"

        try:
            await self._change(GATEWAY, work)
        except Refused as refused:
            if refused.code not in {"changed_meanwhile", "read_only"}:
                raise
            # another pod's, a moment earlier; or the next look finds it again

    # -- inside

    def _put(self, draft: Draft, kind: str, entry: Entry, secret: str, pipelines: Collection[str], until: float | None) -> None:
        id_ = entry["id"]
        before = next((each for each in draft.entries(kind) if each["id"] == id_), {})
        draft.put(kind, entry, secret)
        if kind != "integrations":
            return
        self._check_pipelines(draft, id_, pipelines)
        draft.runs_on(id_, pipelines)
        code, lifetime = entry.get("test_event_code"), self._rules.lifetime_s()
        if not code:
            draft.test_codes.pop(id_, None)
        elif until is not None:
            draft.test_codes[id_] = until
        elif lifetime and code != before.get("test_event_code"):
            draft.test_codes[id_] = self._now() + lifetime

    def _check_pipelines(self, draft: Draft, integration: str, pipelines: Collection[str]) -> None:
        ours, declared = {each["id"] for each in draft.pipelines}, self._rules.declared("pipelines")
        problems = []
        for name in pipelines:
            if name not in ours and name not in declared:
                problems.append(Problem("pipelines", f"there is no pipeline {name!r}"))
            elif name not in ours and integration not in declared[name]:
                hint = "name the integration there, or duplicate the pipeline to edit a copy"
                problems.append(Problem("pipelines", f"pipeline {name!r} is declared in the configuration file", hint))
        if problems:
            raise refused(problems)

    async def _change(self, actor: str, work: Callable[[Draft], str], seen: tuple[str, str, str] | None = None) -> None:
        async with self._turn:
            await self.look()
            if self.fault:
                raise Refused("read_only", self.fault)
            if seen is not None:
                self._compare(*seen)
            draft = Draft(self.head, self.store)
            try:
                summary = await _off_loop(work, draft)
                fresh = Revision(
                    self.head.number + 1, self._now(), actor, summary, draft.pipelines, draft.integrations, draft.test_codes
                )
                if problems := await _off_loop(self._rules.check, dumped(fresh)):
                    raise refused([_own(problem, fresh) for problem in problems])
                await _off_loop(self.store.commit, fresh)
            except ChangedMeanwhile as error:
                await _off_loop(self.store.drop_secrets, draft.written)
                raise Refused("changed_meanwhile", str(error)) from None
            except (Refused, CatalogueUnusable, OSError) as error:
                await _off_loop(self.store.drop_secrets, draft.written)
                raise error if isinstance(error, Refused) else Refused("read_only", str(error)) from None
            self.head = fresh
            if await self._rules.apply() != fresh.number:
                raise Refused(
                    "unavailable",
                    f"saved as revision {fresh.number}, but not in force: the configuration has a problem that keeps it out; see the log",
                )

    def _compare(self, kind: str, id_: str, etag: str) -> None:
        if self.declared(kind, id_):
            raise Refused(
                "read_only", f"{id_} is declared in the configuration file; change it there, or duplicate it to edit a copy"
            )
        own = self.etag(kind, id_)
        if not own:
            raise missing(f"{_SINGULAR[kind]} of that id")
        if not etag:
            raise Refused("etag_needed", "send If-Match with the ETag of the state you looked at")
        if etag not in {own, "*"}:
            raise Refused("changed_meanwhile", "somebody else changed it meanwhile; read it again")


def difference(before: Revision, after: Revision) -> list[dict[str, Any]]:
    """Entry by entry, as people write them; a secret is told by its version."""
    found = []
    for kind in KINDS:
        ids = dict.fromkeys([*(each["id"] for each in before.entries(kind)), *(each["id"] for each in after.entries(kind))])
        for id_ in ids:
            old, new = (_lines(revision, kind, id_) for revision in (before, after))
            if old == new:
                continue
            lines = [
                {"op": line[:1], "text": line[1:]} if line[:1] in "+- " else {"op": " ", "text": "…"}
                for line in list(difflib.unified_diff(old, new, n=_CONTEXT_LINES, lineterm=""))[2:]
            ]
            found.append({"path": f"{kind}/{id_}", "lines": lines[1:]})
    return found


def _lines(revision: Revision, kind: str, id_: str) -> list[str]:
    entry = revision.entry(kind, id_)
    if entry is None:
        return []
    told = dict(entry)
    if match := _VERSION.fullmatch(str(told.get(SECRETS[kind], ""))):
        told[SECRETS[kind]] = f"(set, version {match[1]})"
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True).splitlines()


def _own(problem: Problem, revision: Revision) -> Problem:
    """With a path that an editor of one entry understands."""
    if Path(problem.file).name != HEAD:
        return Problem("(configuration file)", f"{problem.path}: {problem.message}", "change it there first")
    kind, _, rest = problem.path.partition(".")
    number, _, path = rest.partition(".")
    if kind not in KINDS or not number.isdigit():
        return Problem(problem.path, problem.message, problem.hint)
    id_ = revision.entries(kind)[int(number)]["id"]
    return Problem(path or "(entry)", f"{problem.message} ({_SINGULAR[kind]} {id_})", problem.hint)


async def _off_loop(work: Callable[..., _Result], *arguments: Any) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)
