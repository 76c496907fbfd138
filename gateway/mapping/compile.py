"""Mapping programs (pure): an integration's settings compiled once, applied to every event.

Law: the data path walks no configuration: a name is resolved once and remembered, a mapping is a closure. ``user.*`` targets are not applied here but
handed to the sealer, which alone sees raw identity.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gateway.event.model import Wire
from gateway.identity.seal import UserRule
from gateway.mapping import properties, tiktok
from gateway.mapping.names import GA4_ALIASES, TIKTOK_NAMES, canonical
from gateway.mapping.presets import PRESETS
from gateway.mapping.settings import Defaults, EventOverride, FieldMapping, GlobalMappings, SendSettings
from gateway.mapping.transforms import TRANSFORMS
from gateway.outcome import Outcome, Reason

Step = Callable[[Mapping[str, Any], dict[str, Any], list[str]], None]
"""(sealed event, item, findings) → sets one target of the item."""

_MEMO = 4096
_PASSING_WIRES = frozenset({Wire.PIXEL.value, Wire.NATIVE.value})


class Mapped(NamedTuple):
    """A data item ready to be sent, and what a person should know about it."""

    item: dict[str, Any]
    findings: tuple[str, ...]


class Unmapped(NamedTuple):
    """Why an event is not sent: filtered by the mapping, or dead because its name or time is unusable."""

    outcome: Outcome
    reason: Reason
    detail: str


class _Plan(NamedTuple):
    event: str
    """TikTok's name; empty = not sent."""
    refusal: Reason
    steps: tuple[Step, ...]
    row: str
    """Canonical name of the preset's or override's row, for user rules."""


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
        self._content_type = table.content_type
        self._derive_ids = table.derives_content_ids
        self._send = send or SendSettings()
        self._limited = limited_data_use
        self._drop_user = tuple(field for field in ("ip", "user_agent", "email", "phone") if not getattr(self._send, field))
        self._drop_query = self._send.page_query == "drop"
        defaults = defaults or Defaults()
        self._passthrough = (defaults.action or default_action) == "passthrough"
        self._rows = {canonical(source): target for source, target in table.events.items()}
        self._by_target: dict[str, str] = {}
        for row, target in self._rows.items():
            self._by_target.setdefault(target, row)
        self._overrides = {canonical(name): override for name, override in (events or {}).items()}
        everywhere = (global_ or GlobalMappings()).mappings
        self._global_steps = _steps(everywhere)
        self._default_steps = self._global_steps + _steps(defaults.mappings)
        self._event_steps = {row: self._global_steps + _steps(override.mappings) for row, override in self._overrides.items()}
        self._global_rules = _user_rules(everywhere)
        self._event_rules = {
            row: self._global_rules + _user_rules(override.mappings) for row, override in self._overrides.items()
        }
        self.has_user_rules = bool(self._global_rules or any(self._event_rules.values()))
        """False lets the edge share one sealed payload between integrations."""
        self._plans: dict[tuple[str, str, str], _Plan] = {}

    def user_rules(self, wire: str, kind: str, name: str) -> tuple[UserRule, ...]:
        """The ``user.*`` mappings of an event, for the sealer."""
        return self._event_rules.get(self._plan(wire, kind, name).row, self._global_rules)

    def target(self, wire: str, kind: str, name: str) -> str:
        """TikTok's name for an event, ``''`` if it is not sent."""
        return self._plan(wire, kind, name).event

    def apply(self, sealed: Mapping[str, Any]) -> Mapped | Unmapped:
        """The data item for a sealed event under this program, or why there is none."""
        wire, kind, name = sealed["wire"], sealed["type"], sealed["name"]
        plan = self._plans.get((wire, kind, name)) or self._plan(wire, kind, name)
        if not plan.event:
            return Unmapped(Outcome.FILTERED, plan.refusal, f"no mapping sends {name[:100]!r}")
        event_id, event_time = sealed.get("event_id"), sealed.get("time")
        if type(event_time) is not int or event_time <= 0 or not event_id:
            return Unmapped(Outcome.DEAD, Reason.INVALID_EVENT, "no usable event time or id")
        findings: list[str] = list(sealed.get("findings", ()))
        source = sealed["properties"]
        event = plan.event
        built = (
            properties.build(
                source,
                content_type=properties.content_type_of(self._content_type, source, event),
                derive_ids=self._derive_ids,
                findings=findings,
            )
            if source
            else {}
        )
        if wire == "native" and source:
            # The site's own back end chose these names for TikTok: what we do not know is passed on as well.
            for key, value in source.items():
                if key not in built and key not in {"contents", "products", "items"}:
                    properties.put(built, key, value, findings)
        user = sealed["user"]
        if self._drop_user:
            user = {field: value for field, value in user.items() if field not in self._drop_user}
        item: dict[str, Any] = {
            "event": event,
            "event_time": event_time,
            "event_id": str(event_id),
            "user": user,
            "page": self._page(sealed["page"]),
        }
        item["properties"] = built
        limited = sealed.get("limited_data_use")
        if limited or self._limited is True or (self._limited == "gpc" and sealed.get("gpc")):
            item["limited_data_use"] = True
        for step in plan.steps:
            step(sealed, item, findings)
        if not built:
            del item["properties"]
        return Mapped(item, tuple(findings))

    def _page(self, page: Mapping[str, str]) -> dict[str, str]:
        out = {field: page[field] for field in ("url", "referrer") if field in page}
        if self._drop_query:
            out = {field: value.partition("?")[0].partition("#")[0] for field, value in out.items()}
        return out

    def _plan(self, wire: str, kind: str, name: str) -> _Plan:
        key = (wire, kind, name)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MEMO:
                self._plans.clear()
            plan = self._plans[key] = self._resolve(wire, kind, name)
        return plan

    def _resolve(self, wire: str, kind: str, name: str) -> _Plan:
        row = "page" if kind == "page" else canonical(name)
        if row not in self._overrides and row not in self._rows:
            # A GA4 name means the preset's own row that leads to the same event, and takes that row's overrides with it.
            row = self._by_target.get(GA4_ALIASES.get(row, ""), row)
        override = self._overrides.get(row)
        steps = self._event_steps.get(row, self._global_steps)
        if override and not override.enabled:
            return _Plan("", Reason.EVENT_DISABLED, (), row)
        if override and override.vendor_event_name:
            return _Plan(override.vendor_event_name, Reason.NONE, steps, row)
        if wire == Wire.NATIVE.value:
            return _Plan(name[: tiktok.MAX_EVENT_NAME], Reason.NONE, steps, row)
        if target := self._rows.get(row):
            return _Plan(target, Reason.NONE, steps, row)
        if kind == "track" and (target := TIKTOK_NAMES.get(row)):
            return _Plan(target, Reason.NONE, steps, row)
        if kind == "track" and (override or self._passthrough or wire in _PASSING_WIRES):
            return _Plan(name[: tiktok.MAX_EVENT_NAME], Reason.NONE, steps if override else self._default_steps, row)
        return _Plan("", Reason.UNMAPPED, (), row)


def _user_rules(mappings: list[FieldMapping]) -> tuple[UserRule, ...]:
    return tuple(
        UserRule(mapping.target.removeprefix("user."), mapping.source, "" if mapping.default is None else str(mapping.default))
        for mapping in mappings
        if mapping.target.startswith("user.")
    )


def _steps(mappings: list[FieldMapping]) -> tuple[Step, ...]:
    return tuple(_step(mapping) for mapping in mappings if not mapping.target.startswith("user."))


def _step(mapping: FieldMapping) -> Step:
    read = reader(mapping.source) if mapping.source else (lambda _sealed: None)
    transform = TRANSFORMS[mapping.transform] if mapping.transform else None
    room, _, field = mapping.target.partition(".")

    def step(sealed: Mapping[str, Any], item: dict[str, Any], findings: list[str]) -> None:
        value = read(sealed)
        if value is not None and mapping.value_map and isinstance(value, str | int | float):
            value = mapping.value_map.get(str(value), value)
        if value is not None and transform:
            value = transform(value)
        if value is not None and mapping.format:
            value = mapping.format.replace("{value}", str(value))
        if value is None or value == "":
            value = mapping.default
        if value is None:
            return
        if room == "properties":
            properties.put(item.setdefault("properties", {}), field, value, findings)
        elif room == "page":
            item["page"][field] = str(value)[:8192]
        elif room == "event_id":
            item["event_id"] = str(value)[:256]
        elif room == "limited_data_use" and value:
            item["limited_data_use"] = True

    return step


def reader(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """A getter for a dotted path; ``[]`` after a name collects from every element, a number picks one."""
    parts = path.split(".")

    def walk(value: Any, at: int) -> Any:
        while at < len(parts):
            part = parts[at]
            every = part.endswith("[]")
            name = part[:-2] if every else part
            if isinstance(value, Mapping):
                value = value.get(name)
            elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
                value = value[int(name)]
            else:
                return None
            at += 1
            if every:
                if not isinstance(value, list):
                    return None
                return [found for entry in value if (found := walk(entry, at)) is not None]
        return value

    return lambda sealed: walk(sealed, 0)
