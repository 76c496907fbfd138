"""Mapping programs (pure): an integration's settings compiled once, applied to every event.

Law: the data path walks no configuration: a name is resolved once and remembered as a plan, a mapping is a closure. Only an unusable name or time is fatal.

How a name is resolved, first match wins: an override by the event's own name; the preset's row; TikTok's own name as TikTok spells it; a GA4 name, which stands for the
preset's first row that leads to the same event and takes that row's override; TikTok's own name in any other spelling; else the event is unmapped, and passes as a custom
event only if ``default_action`` says so or if the site wrote it for TikTok (the browser pixel's wire, the ``ttq`` of our own script, native bodies).

Names renamed by TikTok in 2025 (CompletePayment, SubmitForm) go out under the new name; on the pixel's wire and from ``ttq`` they stay, because a pixel beside the gateway
sends the same event under the old one and TikTok tells duplicates by name and id. Native bodies are not renamed at all.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.event.model import Wire
from gateway.identity.seal import UserRule
from gateway.mapping import properties, tiktok
from gateway.mapping.names import GA4_ALIASES, TIKTOK_NAMES, TIKTOK_SPELLINGS, canonical
from gateway.mapping.presets import PRESETS
from gateway.mapping.properties import Shape
from gateway.mapping.settings import Defaults, EventOverride, FieldMapping, GlobalMappings, SendSettings
from gateway.mapping.steps import ContentsStep, Step, contents_steps, item_steps, user_rules
from gateway.outcome import Outcome, Reason

_MEMO: Final = 4096
"""Plans kept: names are the senders' and there may be any number of them."""
_SIGNAL: Final[str] = Wire.SIGNAL.value
_PIXEL: Final[str] = Wire.PIXEL.value
_NATIVE: Final[str] = Wire.NATIVE.value
_PASSING_WIRES = frozenset({_PIXEL, _NATIVE})
_WITHHELD = ("ip", "user_agent", "email", "phone")
_SOUGHT = {"Search": "destination"}
"""What a travel preset's event is about, where it is not the preset's content type."""


class Mapped:
    """A data item ready to be sent, and what a person should know about it. One is made per event: a class of slots costs a quarter of a named tuple."""

    __slots__ = ("findings", "item")

    def __init__(self, item: dict[str, Any], findings: tuple[str, ...]) -> None:
        self.item = item
        self.findings = findings


class Unmapped(NamedTuple):
    """Why an event is not sent: filtered by the mapping, or dead because its name or time is unusable."""

    outcome: Outcome
    reason: Reason
    detail: str


class _Fields:
    """Compiled field mappings that apply together."""

    __slots__ = ("contents", "rules", "steps")

    def __init__(self, steps: tuple[Step, ...], contents: tuple[ContentsStep, ...], rules: tuple[UserRule, ...]) -> None:
        self.steps = steps
        self.contents = contents
        self.rules = rules


class _Plan:
    """What an event's wire, type and name decide."""

    __slots__ = ("event", "fields", "keeps_others", "refusal", "shape")

    def __init__(self, event: str, refusal: Reason, fields: _Fields, shape: Shape, keeps_others: bool) -> None:
        self.event = event
        """TikTok's name; empty = not sent."""
        self.refusal = refusal
        self.fields = fields
        self.shape = shape
        self.keeps_others = keeps_others


class Program:
    """One integration's compiled mapping."""

    def __init__(
        self,
        *,
        preset: str = "retail",
        events: Mapping[str, EventOverride] | None = None,
        global_: GlobalMappings | None = None,
        defaults: Defaults | None = None,
        default_action: str = "drop",
        send: SendSettings | None = None,
        limited_data_use: bool | str = False,
    ) -> None:
        table = PRESETS[preset]
        send, defaults = send or SendSettings(), defaults or Defaults()
        everywhere = (global_ or GlobalMappings()).mappings
        self._preset = table
        self._withheld = tuple(field for field in _WITHHELD if not getattr(send, field))
        self._drops_query = send.page_query == "drop"
        self._limited = limited_data_use is True
        self._limited_by_gpc = limited_data_use == "gpc"
        self._passthrough = (defaults.action or default_action) == "passthrough"
        self._rows = {canonical(source): target for source, target in table.events.items()}
        self._row_of: dict[str, str] = {}
        for row, target in self._rows.items():
            self._row_of.setdefault(target, row)
        self._overrides = {canonical(name): override for name, override in (events or {}).items()}
        self._common = self._compile(everywhere)
        self._own = {row: self._compile([*everywhere, *override.mappings]) for row, override in self._overrides.items()}
        self._other = self._compile([*everywhere, *defaults.mappings])
        self.has_user_rules = any(fields.rules for fields in (self._common, self._other, *self._own.values()))
        """False lets the edge share one sealed payload between integrations."""
        self._tracks: dict[str, _Plan] = {}
        """Of Signal's tracks, which nearly all events are, by their names alone."""
        self._plans: dict[str, _Plan] = {}

    def user_rules(self, wire: str, kind: str, name: str) -> tuple[UserRule, ...]:
        """The ``user.*`` mappings of an event, for the sealer. Events that are not sent now have them as well: the mapping may change while they wait."""
        return self._plan(wire, kind, name).fields.rules

    def target(self, wire: str, kind: str, name: str) -> str:
        """TikTok's name for an event, ``''`` if it is not sent."""
        return self._plan(wire, kind, name).event

    def apply(self, sealed: dict[str, Any]) -> Mapped | Unmapped:
        """The data item for a sealed event under this program, or why there is none. The sealed event is not changed; the item may share parts of it, of the
        configuration and of other integrations' items, so that it is only read as well."""
        wire: str = sealed["wire"]
        if wire == _SIGNAL and _by_ttq(sealed.get("context")):
            wire = _PIXEL
        plan = self._plan(wire, sealed["type"], sealed["name"])
        event = plan.event
        if not event:
            return Unmapped(Outcome.FILTERED, plan.refusal, f"no mapping sends {sealed['name'][:100]!r}")
        event_id, event_time = sealed["event_id"], sealed["time"]
        if type(event_time) is not int or event_time <= 0 or not event_id:
            return Unmapped(Outcome.DEAD, Reason.INVALID_EVENT, "no usable event time or id")
        found = sealed.get("findings")
        findings: list[str] = list(found) if found else []
        source, fields = sealed["properties"], plan.fields
        change = _changer(fields.contents, sealed) if fields.contents else None
        built = properties.build(source, plan.shape, findings, change) if source or change is not None else {}
        if plan.keeps_others and source:
            properties.keep_others(built, source)
        user = sealed["user"]
        if self._withheld:
            user = {field: value for field, value in user.items() if field not in self._withheld}
        given: dict[str, Any] = sealed["page"]
        page: dict[str, Any] = {}
        if url := given.get("url"):
            page["url"] = url
        if referrer := given.get("referrer"):
            page["referrer"] = referrer
        item: dict[str, Any] = {
            "event": event,
            "event_time": event_time,
            "event_id": event_id if type(event_id) is str else str(event_id),
            "user": user,
            "page": page,
            "properties": built,
        }
        if self._limited or sealed.get("limited_data_use") or (self._limited_by_gpc and sealed.get("gpc")):
            item["limited_data_use"] = True
        for step in fields.steps:
            step(sealed, item, findings)
        if self._drops_query:
            item["page"] = {field: value.partition("?")[0].partition("#")[0] for field, value in page.items()}
        if not built:
            del item["properties"]
        return Mapped(item, tuple(findings))

    def _compile(self, mappings: Sequence[FieldMapping]) -> _Fields:
        withheld = frozenset(self._withheld)
        return _Fields(item_steps(mappings, withheld), contents_steps(mappings, withheld), user_rules(mappings))

    def _plan(self, wire: str, kind: str, name: str) -> _Plan:
        plans, key = self._tracks, name
        if kind != "track" or wire != _SIGNAL:
            # The first two are words of ours. A tuple of the three is hashed and compared one by one.
            plans, key = self._plans, f"{wire} {kind} {name}"
        plan = plans.get(key)
        if plan is None:
            if len(plans) >= _MEMO:
                plans.clear()
            plan = plans[key] = self._resolve(wire, kind, name)
        return plan

    def _resolve(self, wire: str, kind: str, name: str) -> _Plan:
        own = "page" if kind == "page" else canonical(name)
        row, target = self._row(wire, kind, name, own)
        override = self._overrides.get(row)
        custom = not target and kind == "track" and (override is not None or self._passthrough or wire in _PASSING_WIRES)
        if custom:
            target = name[: tiktok.MAX_EVENT_NAME]
        if override is not None and override.vendor_event_name and wire != _NATIVE:
            target = override.vendor_event_name
        unnamed = self._other if custom or not target else self._common
        fields = unnamed if override is None else self._own[row]
        refusal = Reason.NONE
        if override is not None and not override.enabled:
            target, refusal = "", Reason.EVENT_DISABLED
        elif not target.strip():
            target, refusal = "", Reason.UNMAPPED
        table = self._preset
        kind_of_thing = _SOUGHT.get(target, table.content_type) if table.content_type == "hotel" else table.content_type
        return _Plan(
            target, refusal, fields, Shape(kind_of_thing, table.derives_content_ids, table.id_keys), wire in _PASSING_WIRES
        )

    def _row(self, wire: str, kind: str, name: str, own: str) -> tuple[str, str]:
        """(the name whose override applies, TikTok's name or ``''``)."""
        if wire == _NATIVE:
            return own, name
        if own in self._rows:
            return own, self._rows[own]
        if kind != "track":
            return own, ""
        if name in TIKTOK_SPELLINGS:
            return own, name if wire == _PIXEL else TIKTOK_NAMES[own]
        row = self._row_of.get(GA4_ALIASES.get(own, ""))
        if row is not None:
            return own if own in self._overrides else row, self._rows[row]
        return own, TIKTOK_NAMES.get(own, "")


def _by_ttq(context: Any) -> bool:
    """Our own script says so of what was called by TikTok's names for its functions (``ttq.track``)."""
    library = context.get("library") if type(context) is dict else None
    return type(library) is dict and "api" in library and library["api"] == "ttq"


def _changer(steps: tuple[ContentsStep, ...], sealed: dict[str, Any]) -> properties.ContentStep:
    def change(contents: list[dict[str, Any]], findings: list[str]) -> list[dict[str, Any]]:
        for step in steps:
            contents = step(sealed, contents, findings)
        return [content for content in contents if content]

    return change
