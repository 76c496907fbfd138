"""Pipelines and integrations as they are written down (pure).

Law: these models are the one description of an entry: configuration file, API and UI validate against them, and the field docstrings are the help texts.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import phonenumbers
from pydantic import AfterValidator, BeforeValidator

from gateway.errors import Problem
from gateway.mapping.names import canonical
from gateway.mapping.presets import PresetName
from gateway.mapping.settings import Defaults, EventOverride, GlobalMappings, SendSettings
from gateway.settings import Duration, Field, SecretStr, Settings

ID = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_DOMAIN = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAX_DOMAIN = 253
_TOKEN = re.compile(r"[!-~]{1,4096}")


def _domain(value: str) -> str:
    found = value.strip().lower().rstrip(".")
    if not found.isascii():
        # browsers send the host of münchen.example as xn--mnchen-3ya.example
        with suppress(UnicodeError):
            found = found.encode("idna").decode()
    if not _DOMAIN.fullmatch(found) or len(found) > _MAX_DOMAIN:
        hint = " (without scheme, port and path)" if ":" in found or "/" in found else ""
        raise ValueError(f"expected a host name such as shop.example.com{hint}, or *.example.com for all below it")
    return found


def _region(value: str) -> str:
    found = value.strip().upper()
    if found and found not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(
            f"expected an ISO 3166 country such as {'GB: the United Kingdom is not UK there' if found == 'UK' else 'GB or DE'}"
        )
    return found


def _token(value: SecretStr | None) -> SecretStr | None:
    found = value.get_secret_value().strip() if value else ""
    if found and not _TOKEN.fullmatch(found):
        raise ValueError("expected one word of printable ASCII characters; it is sent as a header")
    return SecretStr(found) if found else None


def _text(value: Any) -> Any:
    # YAML reads an unquoted 123456 as a number; codes and keys are text all the same.
    return str(value) if type(value) is int else value


Text = Annotated[str, BeforeValidator(_text)]


class PipelineSettings(Settings):
    """One site or app that sends events."""

    id: str = Field(pattern=ID)
    """Short name, used in metrics and logs."""
    key: Text = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")
    """Public key by which requests name this pipeline, e.g. ``dk_live_shop``. It is no secret: it stands in the page."""
    secret: SecretStr | None = None
    """Secret of the site's back end: signs ``v1/events`` (HMAC-SHA256) and may stand in place of the token in native bodies."""
    domains: list[Annotated[str, AfterValidator(_domain)]] = []
    """Hosts whose pages may send events; the first match also gives the cookies' domain. Empty = any host."""
    integrations: list[str] = []
    """Ids of the integrations that get this pipeline's events."""
    default_region: Annotated[str, AfterValidator(_region)] = ""
    """ISO 3166 country by which telephone numbers without a country code are read, e.g. ``GB``. Empty: such numbers are omitted."""
    rate_limit: int = Field(1000, ge=1, le=10_000_000)
    """Events a second before requests are answered 429. One address may use a quarter of it, a back end with its secret or token all of it."""
    bots: Literal["drop", "flag", "allow"] = "drop"
    """What happens to crawlers' events: ``drop`` them (outcome filtered), ``flag`` them in the stored event, or ``allow`` them."""
    server_consent: Literal["required", "asserted"] = "required"
    """Whether the site's back end must state consent with each call, or the call itself asserts it."""
    labels: dict[str, str] = {}
    """Free labels for people."""


class IntegrationSettings(Settings):
    """One TikTok pixel that events are delivered to."""

    id: str = Field(pattern=ID)
    """Short name, used in metrics, logs and the spool."""
    vendor: Literal["tiktok-events-api", "tiktok"] = "tiktok-events-api"
    """Catalogue entry: ``tiktok-events-api``, or ``tiktok``, the older one without the B2B / SaaS preset."""
    name: str = Field("", max_length=200)
    """Name for people."""
    preset: PresetName = "retail"
    """Industry whose event table applies."""
    pixel_code: Text = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    """The pixel's code, like ``C4ABCDEF1234567890AB``. You need a TikTok for Business account with admin or Events Manager permission and a pixel in it; then Ads Manager →
    Assets → Events → Web Events → your pixel (or Set up web events, if there is none yet): the code is on its overview page."""
    access_token: Annotated[SecretStr | None, AfterValidator(_token)] = None
    """The pixel's Events API token: Ads Manager → Assets → Events → Web Events → your pixel → Settings → Events API → Generate access token. It is shown once: copy it
    at once. Without it events queue up and wait."""
    test_event_code: Text | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9_-]*$")
    """A code such as ``TEST12345`` from the pixel's Test event tab, to see events arrive there within seconds. While it is set, events are not in the reports: remove it
    after testing."""
    consent: list[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]] = ["marketing"]
    """Consent categories that must all be granted. Empty means that no consent is needed."""
    dedupe_purchases: Annotated[Duration, Field(gt=0, le=400 * 86400)] | None = None
    """Send each order once within this time, e.g. ``30d``: a purchase whose order_id TikTok has taken already is ``deduplicated``, whatever its event_id, because thank-you
    pages are visited again. Unset: only the event_id tells. Orders are remembered as hashes in the spool, a million at most."""
    enabled: bool = True
    """False: nothing new is accepted for it, and its queue pauses."""
    default_action: Literal["drop", "passthrough"] = "drop"
    """What happens to events that no row names: ``drop``, or ``passthrough`` as custom events."""
    send: SendSettings = SendSettings()
    """Parts of identity to leave out."""
    limited_data_use: bool | Literal["gpc"] = False
    """TikTok's limited data use flag (US state privacy laws): always, never, or ``gpc`` = where the visitor sent Global Privacy Control."""
    events: dict[str, EventOverride] = {}
    """Overrides and additions to the preset, by event name in any spelling."""
    global_: GlobalMappings = Field(GlobalMappings(), alias="global")
    """Mappings for every event."""
    defaults: Defaults = Defaults()
    """Mappings and action for events that no row names."""


def validate(pipelines: Sequence[PipelineSettings], integrations: Sequence[IntegrationSettings]) -> list[Problem]:
    """What the entries contradict among themselves: ids and keys used twice, references to nothing, presets the vendor lacks."""
    problems = []
    known = {integration.id for integration in integrations}
    for kind, ids in (("pipelines", [entry.id for entry in pipelines]), ("integrations", [entry.id for entry in integrations])):
        for at, id_ in enumerate(ids):
            if id_ in ids[:at]:
                problems.append(Problem(f"{kind}.{at}.id", f"{id_!r} is used twice", "ids must differ"))
    keys: dict[str, str] = {}
    for at, pipeline in enumerate(pipelines):
        if pipeline.key in keys:
            problems.append(
                Problem(
                    f"pipelines.{at}.key",
                    f"the same key as pipeline {keys[pipeline.key]!r}",
                    "each pipeline needs a key of its own",
                )
            )
        keys[pipeline.key] = pipeline.id
        for number, reference in enumerate(pipeline.integrations):
            if reference not in known:
                hint = f"declared are: {', '.join(sorted(known))}" if known else "no integration is declared"
                problems.append(Problem(f"pipelines.{at}.integrations.{number}", f"there is no integration {reference!r}", hint))
    for at, integration in enumerate(integrations):
        if integration.vendor == "tiktok" and integration.preset == "b2b_saas":
            problems.append(
                Problem(f"integrations.{at}.preset", "vendor tiktok has no b2b_saas preset", "use vendor: tiktok-events-api")
            )
        names: dict[str, str] = {}
        for name in integration.events:
            if (key := canonical(name)) in names:
                problems.append(
                    Problem(f"integrations.{at}.events.{name}", f"the same event as {names[key]!r} in another spelling")
                )
            names[key] = name
    return problems
