"""``ttgateway explain`` (io)."""

import asyncio
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from gateway.cli import options

if TYPE_CHECKING:
    from gateway.app.rehearsal import Request


@click.command()
@options.config
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.argument("input", type=click.File("rb"), metavar="INPUT.json")
def command(config: Path, as_json: bool, input: IO[bytes]) -> None:  # noqa: A002 - the name people read in the usage line
    """Show what becomes of an event: parsed, consent, sealed, mapped - or why it is dropped. Nothing is stored or sent.

    INPUT.json holds one event, a list of events, a native Events API body, or {"event": ..., "headers": {...}, "cookies": {...}}; "-" reads
    standard input.

    \b
    Examples:
      ttgateway explain -c gateway.yaml event.json
      echo '{"type":"page","context":{"consent":{"marketing":true}}}' | ttgateway explain -c gateway.yaml -
    """
    import orjson

    from gateway.app import EXIT_CONFIGURATION, sound_parts
    from gateway.errors import BadInput
    from gateway.event import jsonbody

    try:
        requests = _requests(jsonbody.load(input.read()))
    except BadInput as error:
        click.echo(f"{getattr(input, 'name', 'input')}: {error.detail}", err=True)
        sys.exit(options.EXIT_FAILED)
    settings, catalogue, problems = sound_parts(config)
    for problem in problems:
        click.echo(str(problem), err=True)
    if catalogue is None:
        sys.exit(EXIT_CONFIGURATION)

    async def explain() -> list[dict[str, Any]]:
        from gateway.app.rehearsal import Rehearsal

        # a rehearsal each: an event is explained as if it came alone
        return [await Rehearsal(settings, catalogue).explain(request) for request in requests]

    explained = asyncio.run(explain())
    if as_json:
        click.echo(orjson.dumps(explained if len(explained) != 1 else explained[0], option=orjson.OPT_INDENT_2).decode())
        return
    for number, (request, result) in enumerate(zip(requests, explained, strict=True)):
        click.echo("\n".join(_text(number, request, result)))


def _requests(document: Any) -> "list[Request]":
    from gateway.app.rehearsal import Request

    headers: Any = {}
    cookies: Any = {}
    if isinstance(document, dict) and isinstance(document.get("event"), dict | list):
        headers, cookies = document.get("headers") or {}, document.get("cookies") or {}
        document = document["event"]
    if isinstance(document, dict) and isinstance(document.get("batch"), list):
        shared = {key: value for key, value in document.items() if key != "batch"}
        events = [event | shared if isinstance(event, dict) else event for event in document["batch"]]
    else:
        events = document if isinstance(document, list) else [document]
    if not isinstance(headers, dict) or not isinstance(cookies, dict):
        raise click.UsageError("headers and cookies must be JSON objects")
    return [Request(event, headers, cookies) for event in events]


def _text(number: int, request: "Request", result: dict[str, Any]) -> list[str]:
    import orjson

    event = request.event if isinstance(request.event, dict) else {}
    status, body, consent = result["answer"]["status"], result["answer"]["body"], result["consent"]
    lines = [f"event {number}: {event.get('type', '')} {event.get('event') or event.get('name') or ''}".rstrip()]
    parsed = result["parsed"]
    if "error" in parsed:
        lines.append(f"  parsed     not usable: {parsed['error']}")
    else:
        lines.append(
            f"  parsed     {parsed['type']} {parsed['name']!r} (wire {parsed['wire']}), id {parsed['event_id'] or 'none: one is made'}"
        )
        lines.append(
            f"             identity: {', '.join(parsed['identity']) or 'none'}; properties: {', '.join(parsed['properties']) or 'none'}"
        )
    lines.append(f"  answer     {status} {orjson.dumps(body).decode()}")
    signals = [f"event says {consent['event']}"] if consent["event"] is not None else []
    signals += [f"{consent['cookies_read']} says {consent['cookies']}"] if consent["cookies"] else []
    signals += ["Sec-GPC: 1"] if consent["gpc"] else []
    lines.append(f"  consent    {'; '.join(signals) or 'no signal'} (default: {consent['default']})")
    for fate in result["integrations"]:
        name = fate["integration"] or "(all)"
        if "payload" not in fate:
            lines.append(f"  {name}: {fate['outcome']}, {fate['reason']} – {fate['detail']}")
            lines += _block("sealed", fate["sealed"]) if "sealed" in fate else []
            continue
        code = f" (test event code {fate['test_event_code']})" if fate["test_event_code"] else ""
        granted = ", ".join(fate["sealed"]["consent"].get("granted", [])) or "by default"
        granted = granted if fate["needs_consent"] else "none needed"
        lines.append(f"  {name}: sent as {fate['payload']['event']}{code}; consent: {granted}")
        lines += _block("sealed, as it is stored", fate["sealed"])
        lines += _block("mapped, as TikTok gets it", fate["payload"])
        lines += [f"    note: {finding}" for finding in fate["findings"]]
    return lines


def _block(title: str, document: Any) -> list[str]:
    import orjson

    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    return [f"    {title}:", *(f"      {line}" for line in text.splitlines())]
