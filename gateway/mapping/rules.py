"""TikTok's rules for a data item, checked before it is sent (pure).

Law: a finding names a path and never a value; only what makes TikTok refuse the whole request – a name, a time, an id of the wrong kind – is fatal.
"""

from typing import Any, NamedTuple

from gateway.mapping import tiktok


class Finding(NamedTuple):
    """One thing TikTok would refuse or ignore."""

    path: str
    message: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def check(item: dict[str, Any]) -> list[Finding]:
    """What is wrong with ``item``, most serious first."""
    findings = []
    event = item.get("event")
    if not isinstance(event, str) or not event.strip() or len(event) > tiktok.MAX_EVENT_NAME:
        findings.append(Finding("event", "a name of at most 100 characters is required", fatal=True))
    elif event in tiktok.RETIRING_EVENTS:
        better = tiktok.RETIRING_EVENTS[event]
        findings.append(Finding("event", f"{event} ends in 2027" + (f"; use {better}" if better else "")))
    if type(item.get("event_time")) is not int or item["event_time"] <= 0:
        findings.append(Finding("event_time", "whole Unix seconds are required", fatal=True))
    if not isinstance(item.get("event_id"), str) or not item["event_id"]:
        findings.append(Finding("event_id", "a non-empty string is required", fatal=True))
    page = item.get("page")
    if not isinstance(page, dict) or not page.get("url"):
        findings.append(Finding("page.url", "required for web events"))
    user = item.get("user")
    if not isinstance(user, dict) or not user:
        findings.append(Finding("user", "nothing to match the visitor by"))
    else:
        findings += [Finding(f"user.{key[:64]}", "TikTok ignores this field") for key in user if key not in tiktok.USER_FIELDS]
    return findings
