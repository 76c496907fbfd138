"""What a running gateway's metrics say about its health, in words (pure).

Law: a table of signs, each with what it means and what to do; a metric that is not there says nothing. Read from Prometheus' text, so that ``ttgateway doctor``
needs nothing of a running gateway but its ops port.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Good to know, or could not be looked at."""
    FAULT = "fault"


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: Level
    about: str
    words: str
    cure: str = ""


_SAMPLE = re.compile(r"^([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_DOMINATES = 0.6
_NEARLY_FULL = 0.9

Samples = dict[str, list[tuple[dict[str, str], float]]]


def parse(text: str) -> Samples:
    """Prometheus' text → name → (labels, value); lines that are none are left out."""
    found: Samples = {}
    for name, labels, value in _SAMPLE.findall(text):
        try:
            number = float(value)
        except ValueError:
            continue
        found.setdefault(name, []).append((dict(_LABEL.findall(labels)), number))
    return found


def read(text: str) -> list[Finding]:
    """All findings of one scrape."""
    samples = parse(text)
    return [finding for look in _LOOKS for finding in look(samples)]


def _lanes(samples: Samples) -> Iterator[Finding]:
    cures = {
        1: (Level.NOTE, "backs off: TikTok fails or throttles; events are kept", "Nothing, if it passes. Else see the log line 'lane backing_off'."),
        2: (
            Level.FAULT,
            "is suspended: TikTok refuses the token, the pixel or every event; events are kept",
            "The log line 'lane suspended' holds TikTok's words and the cure; mostly: regenerate the access token.",
        ),
        3: (Level.NOTE, "is paused: its integration is disabled, removed or has problems", "Enable or mend the integration."),
    }  # fmt: skip
    for labels, state in samples.get("ttgateway_lane_state", ()):
        if int(state) in cures:
            level, words, cure = cures[int(state)]
            yield Finding(level, "delivery", f"the lane of {labels.get('integration', '?')} {words}", cure)


def _spool(samples: Samples) -> Iterator[Finding]:
    used, most = _one(samples, "ttgateway_spool_bytes"), _one(samples, "ttgateway_spool_max_bytes")
    if _one(samples, "ttgateway_spool_available") == 0:
        yield Finding(
            Level.FAULT,
            "spool",
            "the running gateway cannot make events durable: collect answers 503",
            "See its log for the disk's error; free space, mend the volume or raise spool.max_bytes (spool.local_max_bytes while a broker is away). It comes back by itself.",
        )
    elif used is not None and most and used > _NEARLY_FULL * most:
        yield Finding(
            Level.FAULT,
            "spool",
            f"{used / most:.0%} of spool.max_bytes are used",
            "Mend delivery (below), or raise spool.max_bytes.",
        )


def _letters(samples: Samples) -> Iterator[Finding]:
    for labels, n in samples.get("ttgateway_dead_letters", ()):
        if n:
            yield Finding(
                Level.NOTE,
                "delivery",
                f"{n:.0f} dead letters of {labels.get('integration', '?')}",
                "ttgateway dead ls shows why; after mending the mapping, replay them.",
            )


def _test_codes(samples: Samples) -> Iterator[Finding]:
    for labels, active in samples.get("ttgateway_test_code_active", ()):
        if active:
            yield Finding(
                Level.NOTE,
                "delivery",
                f"a test event code is set for {labels.get('integration', '?')}: its events do not reach reports",
                "Remove test_event_code when you have finished testing.",
            )


def _configuration(samples: Samples) -> Iterator[Finding]:
    if _one(samples, "ttgateway_config_reload_success") == 0:
        yield Finding(
            Level.FAULT, "configuration", "the last change was refused; the one before is in force", "ttgateway check says why."
        )


def _addresses(samples: Samples) -> Iterator[Finding]:
    for labels, share in samples.get("ttgateway_busiest_address_share", ()):
        if share < _DOMINATES:
            continue
        if labels.get("kind") == "private":
            yield Finding(
                Level.FAULT,
                "client ip",
                f"{share:.0%} of the last minutes' events came from one private address: a proxy's, taken for all visitors'",
                "Let your load balancer send X-Forwarded-For (or name its header in edge.client_ip.header), and list it in trusted_proxies.",
            )
        else:
            yield Finding(
                Level.NOTE,
                "client ip",
                f"{share:.0%} of the last minutes' events came from one public address: a CDN's, a monitor's, or a quiet site's only visitor",
                "If it is your CDN's, add its ranges to edge.client_ip.trusted_proxies, or set trusted_hops.",
            )


def _proxies(samples: Samples) -> Iterator[Finding]:
    seen = {
        labels["what"].removeprefix("clients_"): n
        for labels, n in samples.get("ttgateway_edge", ())
        if labels.get("what", "").startswith("clients_")
    }
    if not sum(seen.values()):
        return
    yield Finding(
        Level.OK,
        "proxies",
        f"clients seen: {seen.get('trusted_forwarding', 0):.0f} through trusted proxies, {seen.get('trusted_silent', 0):.0f} from trusted addresses that"
        f" forwarded nobody, {seen.get('stranger', 0):.0f} directly, {seen.get('stranger_forwarding', 0):.0f} through proxies that are not trusted",
    )
    strangers = seen.get("stranger_forwarding", 0)
    if strangers > seen.get("trusted_forwarding", 0):
        yield Finding(
            Level.FAULT,
            "proxies",
            "most clients come through a proxy that edge.client_ip.trusted_proxies does not list: its X-Forwarded-For is not believed",
            "If it is yours, list its addresses in edge.client_ip.trusted_proxies.",
        )
    silent = seen.get("trusted_silent", 0)
    if silent > seen.get("trusted_forwarding", 0) + seen.get("stranger", 0):
        yield Finding(
            Level.NOTE,
            "proxies",
            "most clients come from a trusted proxy that names no visitor: their IP address is unknown and is not sent",
            "Let the proxy set X-Forwarded-For, or set edge.client_ip.header to the one it sets.",
        )


def _one(samples: Samples, name: str) -> float | None:
    found = samples.get(name)
    return found[0][1] if found else None


_LOOKS: tuple[Callable[[Samples], Iterator[Finding]], ...] = (
    _configuration,
    _spool,
    _lanes,
    _letters,
    _test_codes,
    _proxies,
    _addresses,
)
