"""What entries can be made of, and the gateway itself (io: HTTP only)."""

from typing import Any

from pydantic import BaseModel, SecretStr

from gateway.admin import figures
from gateway.admin.operation import Call, Operations
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.errors import SpoolUnavailable
from gateway.mapping import tiktok
from gateway.mapping.presets import PRESETS
from gateway.mapping.transforms import TRANSFORMS
from gateway.outcome import WORDS

operations = Operations()

_VENDORS = (
    {
        "vendor": "tiktok-events-api",
        "title": "TikTok Events API",
        "summary": "Server-side events for a TikTok pixel, with presets for four industries.",
        "presets": list(PRESETS),
    },
    {
        "vendor": "tiktok",
        "title": "TikTok (older entry)",
        "summary": "The same without the B2B / SaaS preset.",
        "presets": [name for name in PRESETS if name != "b2b_saas"],
    },
)
_PROPERTIES = {
    "value",
    "currency",
    "contents",
    "query",
    *tiktok.STRINGS,
    *tiktok.NUMBERS,
    *tiktok.INTEGERS,
    *tiktok.STRING_LISTS,
    *tiktok.ENUMS,
}


@operations.get(
    "catalogue", "What integrations can be made of: vendors, presets, fields, transforms, reasons", answer=figures.Catalogue
)
async def catalogue(_call: Call) -> dict[str, Any]:
    """The same for everybody."""
    return {
        "vendors": _VENDORS,
        "presets": {
            name: {"title": preset.title, "rows": [{"source": source, "event": event} for source, event in preset.events.items()]}
            for name, preset in PRESETS.items()
        },
        "fields": {"integration": _fields(IntegrationSettings), "pipeline": _fields(PipelineSettings)},
        "transforms": [{"name": name, "help": transform.help} for name, transform in sorted(TRANSFORMS.items())],
        "targets": [
            *(f"user.{field}" for field in sorted(tiktok.USER_FIELDS)),
            *(f"properties.{field}" for field in sorted(_PROPERTIES)),
        ],
        "events": sorted({*tiktok.STANDARD_EVENTS, *(event for preset in PRESETS.values() for event in preset.events.values())}),
        "reasons": {reason.value: sentence for reason, sentence in WORDS.items() if reason},
        "consent_categories": ["marketing", "advertising", "analytics", "functional"],
    }


@operations.get("settings", "The gateway itself: version, faults, what can be changed", answer=figures.Gateway)
async def settings(call: Call) -> dict[str, Any]:
    """Without secrets."""
    told = call.desk.about()
    if (spool := call.desk.spool()) is not None:
        try:
            stats = await spool.stats()
        except SpoolUnavailable:
            stats = None
        if stats is not None:
            told["spool"] |= {"used_bytes": stats.used_bytes, "records": sum(lane.queued for lane in stats.lanes)}
    if (changes := call.desk.changes) is not None:
        told["catalogue"] |= {"writable": not changes.fault, "reason": changes.fault, "revision": changes.head.number}
    return told


def _fields(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(by_alias=True)
    made = []
    for name, part in schema["properties"].items():
        required = name in schema.get("required", ()) or name == "access_token"
        made.append(
            {
                "name": name,
                "type": part.get("type", ""),
                "required": required,
                "help": part.get("description", ""),
                "default": _default(part),
                "enum": part.get("enum", []),
            }
        )
    return made


def _default(part: dict[str, Any]) -> Any:
    default = part.get("default")
    return None if isinstance(default, SecretStr) else default
