"""``ttgateway doctor``'s examination (io: the disk, the network, TikTok without sending an event).

Law: it changes nothing and sends no event: credentials are tried with an empty batch, the spool's directory with a file that is removed at once, the spool itself is
never opened. Each look is bounded in time, and none keeps the next from being taken: with TikTok out of reach everything else is still examined.
"""

import asyncio
import os
import re
import statistics
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from gateway.app.symptoms import Finding, Level, read
from gateway.catalog.domains import registrable
from gateway.catalog.model import IntegrationSettings
from gateway.config.settings import GatewaySettings
from gateway.delivery import batch
from gateway.delivery.client import Client, explain
from gateway.delivery.settings import ENDPOINT
from gateway.delivery.verdict import Action, Verdict
from gateway.edge.settings import parse_listen
from gateway.spool import schema
from gateway.telemetry.metrics import Metrics

_PATIENCE_S = 5.0
_SYNCS = 9
_SLOW_SYNC_S = 0.05
_SLOW_ENDPOINT_S = 1.0
_SKEW_S, _BAD_SKEW_S = 2.0, 60.0
_PIXEL = re.compile(r"[A-Z0-9]{20}")
_VERSION_AT = 60
"""Where SQLite's file format keeps ``user_version``."""


class Subject(NamedTuple):
    """What is examined: the sound parts of a configuration."""

    settings: GatewaySettings
    off: frozenset[str] = frozenset()


async def examine(subject: Subject) -> list[Finding]:
    """Everything, in the order of an event's way."""
    settings = subject.settings
    running, metrics = await _running(settings)
    findings = [running]
    findings += await _upstream(settings)
    loop = asyncio.get_running_loop()
    findings += await loop.run_in_executor(None, _cookies, settings)
    findings += _proxies(settings)
    if "spool" not in subject.off:
        findings += await loop.run_in_executor(None, _spool, settings)
    if "delivery" not in subject.off:
        reachable, found = await _endpoint(settings)
        findings += found
        for integration in settings.integrations:
            findings += await _integration(settings, integration, reachable=reachable)
    if not settings.integrations:
        findings.append(Finding(Level.FAULT, "token", "no integration is configured: nothing can be delivered", "Add one."))
    return findings + (read(metrics) if metrics else [])


# -- the gateway that runs


def local(listen: str) -> tuple[str, int]:
    """Where a listener of this machine is reached."""
    host, port = parse_listen(listen)
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


async def _running(settings: GatewaySettings) -> tuple[Finding, str]:
    host, port = local(settings.ops.listen)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE_S), trust_env=False) as session,
            session.get(f"http://{where}/metrics", allow_redirects=False) as answer,
        ):
            text = (await answer.content.read(4 << 20)).decode("utf-8", "replace")
            if answer.status == 200 and "ttgateway_build_info" in text:
                return Finding(Level.OK, "gateway", f"runs; its metrics are at {where}"), text
            words = f"something else answers on {where}, which is ops.listen"
            return Finding(Level.FAULT, "gateway", words, "Choose another port for ops.listen, or stop what uses it."), ""
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        words = f"none runs with this configuration ({where} does not answer): what only it can tell was not looked at"
        return Finding(Level.NOTE, "gateway", words, "Run doctor again where and while it runs."), ""


async def _upstream(settings: GatewaySettings) -> list[Finding]:
    upstream = settings.edge.upstream
    if upstream is None:
        return [Finding(Level.NOTE, "site", "no edge.upstream: only the first-party endpoints are served")]
    try:
        async with asyncio.timeout(_PATIENCE_S):
            if upstream.startswith("unix:"):
                _, writer = await asyncio.open_unix_connection(upstream.removeprefix("unix:"))
            else:
                parts = urlsplit(upstream)
                _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except (OSError, TimeoutError, ValueError) as error:
        words = f"the app at {upstream} cannot be reached ({type(error).__name__})"
        return [Finding(Level.FAULT, "site", words, "Start the app, or mend edge.upstream: visitors get 502.")]
    writer.close()
    return [Finding(Level.OK, "site", f"the app at {upstream} accepts connections")]


# -- what is configured


def _cookies(settings: GatewaySettings) -> list[Finding]:
    if settings.cookies.domain == "host":
        return [Finding(Level.OK, "cookies", "cookies.domain is host: each host has cookies of its own")]
    findings = []
    for pipeline in settings.pipelines:
        if not pipeline.domains:
            words = f"pipeline {pipeline.id} names no domains: its cookies stay with the one host that is visited"
            findings.append(
                Finding(Level.NOTE, "cookies", words, "Name domains, such as shop.example.com, to share _ttp between subdomains.")
            )
        for entry in pipeline.domains:
            if found := registrable(entry.removeprefix("*.")):
                findings.append(Finding(Level.OK, "cookies", f"{entry}: cookies are set for {found} and all below it"))
            else:
                words = f"{entry} is an address, a bare name or a public suffix: its cookies stay with the host"
                findings.append(Finding(Level.NOTE, "cookies", words, "Use the site's own domain in production."))
    return findings


def _proxies(settings: GatewaySettings) -> list[Finding]:
    client_ip = settings.edge.client_ip
    trusted = ", ".join(client_ip.trusted_proxies) or "nobody"
    hops = "" if client_ip.trusted_hops == "auto" else f", {client_ip.trusted_hops} hops"
    return [Finding(Level.OK, "proxies", f"trusted: {trusted}; the visitor's address is read from {client_ip.header}{hops}")]


# -- the disk


def _spool(settings: GatewaySettings) -> list[Finding]:
    directory = Path(settings.spool.path)
    nearest = next((each for each in (directory, *directory.parents) if each.exists()), directory)
    probe = nearest / f".ttgateway-doctor-{os.getpid()}"
    syncs = []
    try:
        handle = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(_SYNCS):
                os.write(handle, bytes(4096))
                begin = time.perf_counter()
                os.fsync(handle)
                syncs.append(time.perf_counter() - begin)
        finally:
            os.close(handle)
            probe.unlink(missing_ok=True)
    except OSError as error:
        words = f"{nearest} cannot be written: {error.strerror}; events cannot be made durable, collect would answer 503"
        return [
            Finding(
                Level.FAULT, "spool", words, "Mount a writable volume there, owned by the gateway's user, or change spool.path."
            )
        ]
    sync_s = statistics.median(syncs)
    findings = [Finding(Level.OK, "spool", f"{nearest} is writable; an fsync takes {sync_s * 1000:.2f} ms")]
    if sync_s > _SLOW_SYNC_S:
        findings.append(
            Finding(
                Level.NOTE,
                "spool",
                "the disk is slow to sync, and every answer to an event waits for one",
                "Use a faster volume.",
            )
        )
    space = os.statvfs(nearest)
    free = space.f_bavail * space.f_frsize
    most = settings.spool.disk_bytes
    if free < most:
        name = "spool.max_bytes" if most == settings.spool.max_bytes else "spool.local_max_bytes"
        words = f"{free >> 20} MiB are free, {name} is {most >> 20} MiB: the disk would be full first"
        findings.append(Finding(Level.NOTE, "spool", words, f"Lower {name} or enlarge the volume."))
    return findings + _schema(directory)


def _schema(directory: Path) -> list[Finding]:
    damaged = sorted(each.name for each in directory.glob(f"{schema.FILE}.damaged-*") if each.name.count("-") == 1)
    findings = []
    if damaged:
        words = f"{len(damaged)} damaged file(s) were set aside: {', '.join(damaged[:3])}"
        findings.append(
            Finding(Level.NOTE, "spool", words, "What was readable was taken over; keep them for analysis or remove them.")
        )
    try:
        with (directory / schema.FILE).open("rb") as file:
            head = file.read(100)
    except OSError:
        return findings
    version = int.from_bytes(head[_VERSION_AT : _VERSION_AT + 4], "big")
    if len(head) == 100 and version > schema.VERSION:
        words = f"its schema is {version}, this program knows {schema.VERSION}: it would be left untouched and collect answer 503"
        findings.append(Finding(Level.FAULT, "spool", words, "Update the gateway, or set another spool.path."))
    return findings


# -- TikTok


async def _endpoint(settings: GatewaySettings) -> tuple[bool, list[Finding]]:
    endpoint = settings.delivery.endpoint
    findings = []
    if endpoint != ENDPOINT:
        findings.append(Finding(Level.NOTE, "endpoint", f"delivery.endpoint is {endpoint}, not TikTok's own", "Fine for a test."))
    timeout = aiohttp.ClientTimeout(total=min(_PATIENCE_S, settings.delivery.timeout))
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False, auto_decompress=False) as session:
            # The first request pays for DNS and TLS, as the first batch does; the second tells the way there and back.
            await _knock(session, endpoint)
            begin, sent = time.perf_counter(), time.time()
            status, date = await _knock(session, endpoint)
            seconds = time.perf_counter() - begin
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        words, cure = explain(error) if not isinstance(error, TimeoutError) else ("no answer in time", "")
        cure = cure or "Check delivery.endpoint, DNS, egress rules and firewalls."
        words = f"{endpoint} cannot be reached: {words or type(error).__name__}; events queue up and wait"
        unknown = Finding(Level.NOTE, "clock", "not compared: the endpoint cannot be reached")
        return False, [*findings, Finding(Level.FAULT, "endpoint", words, cure), unknown]
    findings.append(Finding(Level.OK, "endpoint", f"reached in {seconds * 1000:.0f} ms (HTTP {status})"))
    if seconds > _SLOW_ENDPOINT_S:
        findings.append(
            Finding(Level.NOTE, "endpoint", "the way there is slow", "delivery.in_flight makes up for it; nothing is lost.")
        )
    return True, [*findings, clock(date, sent + seconds / 2)]


async def _knock(session: aiohttp.ClientSession, endpoint: str) -> tuple[int, str]:
    """An empty request without a token: it can only be refused."""
    async with session.post(endpoint, data=b"{}", headers={"Content-Type": "application/json"}, allow_redirects=False) as answer:
        await answer.content.read(1 << 16)
        return answer.status, answer.headers.get("Date", "")


def clock(date: str, here: float) -> Finding:
    """This machine's clock against a Date header, which counts whole seconds; ``here`` is Unix seconds."""
    try:
        there = parsedate_to_datetime(date).timestamp() + 0.5
    except (ValueError, TypeError, OverflowError):
        return Finding(Level.NOTE, "clock", "not compared: the endpoint's answer has no usable Date header")
    skew = here - there
    if abs(skew) <= _SKEW_S:
        return Finding(Level.OK, "clock", "agrees with the endpoint's")
    words = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the endpoint's"
    cure = "Synchronise it (NTP, chrony): event times, signatures of v1/events (± 5 min) and TLS depend on it."
    return Finding(Level.FAULT if abs(skew) >= _BAD_SKEW_S else Level.NOTE, "clock", words, cure)


async def _integration(settings: GatewaySettings, integration: IntegrationSettings, *, reachable: bool) -> list[Finding]:
    name = integration.id
    findings = []
    if not any(name in pipeline.integrations for pipeline in settings.pipelines):
        findings.append(
            Finding(Level.NOTE, "pixel", f"{name}: no pipeline sends events to it", "Add it to a pipeline's integrations.")
        )
    if not _PIXEL.fullmatch(integration.pixel_code):
        words = f"{name}: {integration.pixel_code} does not look like TikTok's pixel codes (20 capitals and digits)"
        findings.append(Finding(Level.NOTE, "pixel", words, "Compare it with the pixel's overview page in Events Manager."))
    if not integration.enabled:
        return [*findings, Finding(Level.NOTE, "token", f"{name} is disabled: its queue waits", "Set enabled: true.")]
    token = integration.access_token.get_secret_value().strip() if integration.access_token else ""
    if not token:
        cure = "Events Manager → your pixel → Settings → Events API → Generate access token; set access_token."
        return [*findings, Finding(Level.FAULT, "token", f"{name} has no access_token: events queue up and wait", cure)]
    if not reachable:
        return [*findings, Finding(Level.NOTE, "token", f"{name}: not tried, the endpoint cannot be reached")]
    client = Client(settings.delivery, Metrics())
    try:
        reply = await client.post(name, token, batch.body(integration.pixel_code, integration.test_event_code or "", []))
    finally:
        await client.close()
    return [*findings, credentials(name, reply.verdict)]


def credentials(name: str, verdict: Verdict) -> Finding:
    """What TikTok's answer to an empty batch says about token and pixel."""
    said = f"{verdict.code} {verdict.message}".strip()
    match verdict.action:
        case Action.SUSPEND:
            return Finding(Level.FAULT, "token", f"{name}: TikTok refuses token or pixel ({said})", verdict.cure)
        case Action.RETRY:
            return Finding(
                Level.NOTE, "token", f"{name}: TikTok could not tell ({said})", verdict.cure or "Try again in a minute."
            )
        case _:
            words = f"{name}: TikTok takes the token; it was sent no event. Whether the pixel gets events, send-test tells"
            return Finding(Level.OK, "token", words)
