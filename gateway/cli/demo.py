"""``ttgateway demo`` (io): everything at once, to try it out."""

import contextlib
import json
import secrets
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from gateway.catalog.store import CatalogueUnusable, ChangedMeanwhile, Revision, Store
from gateway.cli import options
from gateway.cli.furnish import INTEGRATION, Beginning, Wanted, furnish
from gateway.cli.processes import Parts, free_port, is_free

_KEY = "dk_demo_shop"
_VISITOR_IP = "81.2.69.142"
_ADMIN_TOKEN = "TTGATEWAY_DEMO_ADMIN_TOKEN"  # noqa: S105 - the variable's name
_CONFIG = """\
# Written by `ttgateway demo`.
version: 1
edge:
  listen: 127.0.0.1:{port}
  upstream: {upstream}
  prefix: /gw
ops: {{listen: 127.0.0.1:{ops}}}
admin: {{listen: 127.0.0.1:{admin}, tokens: [{{name: demo, role: editor, token: "${{env:{admin_token}}}"}}]}}
catalog: {{path: {catalogue}, test_code_lifetime: {lifetime}}}
spool: {{path: {state}/spool, max_bytes: 64MiB}}
consent: {{default: deny}}
drain: {{delay: 0s, grace: 5s}}
{delivery}
"""
_SANDBOX_PIXEL = "CDEMO0000000000000AB"
_PRESET = "retail"


class _Wish(NamedTuple):
    upstream: str
    pixel: str
    token: str
    test_code: str
    preset: str

    @property
    def real(self) -> bool:
        return bool(self.pixel)


@click.command()
@click.option(
    "--upstream",
    envvar="UPSTREAM",
    default="",
    metavar="URL",
    help="Your app, such as http://127.0.0.1:3000, instead of the demo shop.",
)
@click.option(
    "--pixel", envvar="PIXEL", default="", metavar="CODE", help="Your pixel's code: send to TikTok instead of the sandbox."
)
@click.option("--token", envvar="TOKEN", default="", help="The pixel's Events API access token; best by the variable.")
@click.option(
    "--test-code", envvar="TEST_CODE", default="", metavar="CODE", help="Test event code: keeps events out of your reports."
)
@click.option(
    "--preset",
    envvar="PRESET",
    default=_PRESET,
    show_default=True,
    type=click.Choice(["retail", "travel", "automotive", "b2b_saas"]),
)
@click.option("--port", envvar="PORT", type=click.IntRange(1, 65535), help="The gateway's port; 8080 or a free one by default.")
@click.pass_context
def command(context: click.Context, upstream: str, pixel: str, token: str, test_code: str, preset: str, port: int | None) -> None:
    """Run the gateway in front of a demo shop, with a TikTok sandbox behind it; Ctrl-C ends everything.

    Its pipeline and integration can be changed in the management UI. What is changed there is kept below .run in the current directory, and holds the next
    time wherever no option says otherwise.

    Each option can also be given as the environment variable UPSTREAM, PIXEL, TOKEN, TEST_CODE, PRESET or PORT (make run UPSTREAM=...).

    \b
    Examples:
      ttgateway demo
      ttgateway demo --upstream http://127.0.0.1:3000
      PIXEL=C4AB... TOKEN=... TEST_CODE=TEST12345 ttgateway demo --upstream http://127.0.0.1:3000
    """
    if context.get_parameter_source("preset") is ParameterSource.DEFAULT:
        preset = ""
    wish = _Wish(upstream.strip(), pixel.strip(), token.strip(), test_code.strip(), preset)
    _check(wish, port)
    # with TikTok behind it, what is not delivered yet must survive the demo
    state = Path(".run/tiktok").absolute() if wish.real else Path(tempfile.mkdtemp(prefix="ttgateway-demo-"))
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        sys.exit(_run(wish, port or free_port(8080), state))
    finally:
        if not wish.real:
            shutil.rmtree(state, ignore_errors=True)


def _check(wish: _Wish, port: int | None) -> None:
    if wish.pixel and not wish.token:
        raise click.UsageError(
            "PIXEL is given but TOKEN is missing: Events Manager → your pixel → Settings → Events API → Generate access token."
        )
    if wish.token and not wish.pixel:
        raise click.UsageError(
            "TOKEN is given but PIXEL is missing: the code on your pixel's overview page, like C4ABCDEF1234567890AB."
        )
    if wish.real and not wish.upstream and not wish.test_code:
        raise click.UsageError(
            "the demo shop's orders are invented: give TEST_CODE to keep them out of your reports, or UPSTREAM to front your own app."
        )
    if port is not None and not is_free(port):
        raise click.UsageError(f"port {port} is in use; choose another with PORT=… or leave it out.")


def _catalogue(wish: _Wish, state: Path) -> Store:
    """Where the entries are kept: also of the sandbox's demo they outlive it, or nobody could build on them. Where nothing can be written, for its duration."""
    if not wish.real:
        kept = Store(Path(".run/demo/catalog").absolute())
        if not kept.fault():
            return kept
    return Store(state / "catalog")


def _run(wish: _Wish, port: int, state: Path) -> int:
    from gateway.config import environment
    from gateway.config.load import load

    ops, admin, sandbox, shop = free_port(9090), free_port(8081), free_port(), free_port()
    secret = secrets.token_urlsafe(24)
    sandbox_url = "" if wish.real else f"http://127.0.0.1:{sandbox}"
    store = _catalogue(wish, state)
    config = state / "gateway.yaml"
    config.write_text(
        _CONFIG.format(
            port=port,
            upstream=wish.upstream or f"http://127.0.0.1:{shop}",
            ops=ops,
            admin=admin,
            admin_token=_ADMIN_TOKEN,
            state=state,
            catalogue=json.dumps(str(store.folder)),
            # the demo shop's orders are invented: no clock may let them count
            lifetime="0s" if wish.real and not wish.upstream else "1h",
            delivery="" if wish.real else f'delivery: {{endpoint: "{sandbox_url}/open_api/v1.3/event/track/", linger: 50ms}}',
        ),
        encoding="utf-8",
    )
    variables = environment.variables() | {_ADMIN_TOKEN: secret}
    wanted = Wanted(_KEY, wish.pixel, wish.token, wish.test_code, wish.preset)
    beginning = Beginning(_SANDBOX_PIXEL, "sandbox", _PRESET)
    try:
        head, problems = furnish(store, wanted, beginning, lambda text: load(config, variables, text).problems, time.time())
    except (CatalogueUnusable, ChangedMeanwhile, OSError) as error:
        click.echo(f"{error}\nDelete {store.folder} to begin anew.", err=True)
        return options.EXIT_CONFIGURATION
    if problems:
        for problem in problems:
            click.echo(str(problem), err=True)
        return options.EXIT_CONFIGURATION
    with Parts(variables) as parts:
        if not wish.real:
            parts.start("tiktok", ["sandbox", "--listen", f"127.0.0.1:{sandbox}"], sandbox, "/sandbox/stats")
        if not wish.upstream:
            arguments = [
                "shop",
                "--listen",
                f"127.0.0.1:{shop}",
                "--sandbox-url",
                sandbox_url and f"{sandbox_url}/sandbox/",
                "--key",
                _KEY,
            ]
            if not wish.real:
                # On one machine every visitor comes from loopback, and only public addresses are passed on.
                arguments += ["--visitor-ip", _VISITOR_IP]
            parts.start("shop", arguments, shop, "/")
        parts.start("gateway", ["run", "-c", str(config), "--log-level", "warning"], ops, "/readyz")
        if not parts.wait_ready():
            if parts.ending.is_set():
                return 0
            click.echo("a part did not start; see its lines above.", err=True)
            return options.EXIT_FAILED
        _tell(wish, head, store.folder, port, ops, f"http://127.0.0.1:{admin}/login#token={secret}", sandbox_url)
        if ended := parts.wait_ended():
            click.echo(f"{ended} ended by itself; stopping the rest.", err=True)
            return options.EXIT_FAILED
        click.echo("\nstopping …")
    return 0


def _tell(wish: _Wish, head: Revision, catalogue: Path, port: int, ops: int, login: str, sandbox_url: str) -> None:
    site = f"http://127.0.0.1:{port}"
    lines = ["", f"  {'your app' if wish.upstream else 'demo shop'}, through the gateway   {site}/"]
    if sandbox_url:
        lines.append(f"  what TikTok's sandbox received    {sandbox_url}/sandbox/")
    else:
        code = (head.entry("integrations", INTEGRATION) or {}).get("test_event_code")
        where = f"test event code {code}: see your pixel's Test events tab" if code else "LIVE: events count in your reports"
        lines.append(f"  TikTok, pixel {wish.pixel}           {where}")
    lines += [f"  management UI, signed in          {login}"]
    lines += [f"  what you change there is kept in   {catalogue}"]
    lines += [f"  every event's outcome in numbers  http://127.0.0.1:{ops}/metrics", "", "  Try"]
    if wish.upstream:
        if not _reachable(wish.upstream):
            lines.append(f"  ! nothing answers at {wish.upstream} yet; the gateway passes requests on as soon as it does")
        lines += [
            "  - send an event from a page of your app (its browser console):",
            "      fetch('/gw/e', {method: 'POST', body: JSON.stringify({type: 'track', event: 'Order Completed', properties: {value: 9.99, currency: 'EUR'},",
            "        context: {page: {url: location.href}, consent: {marketing: true}}})}).then(r => r.json()).then(console.log)",
        ]
    else:
        lines += [
            f"  - land as from an ad: {site}/?ttclid=demo-click-0001 – accept the cookies, look at a product, buy it",
            "  - see Pageview, ViewContent, AddToCart, InitiateCheckout and Purchase arrive, with hashed identity",
            "  - refuse the cookies in a private window: nothing leaves the page",
        ]
    lines += ["", "  Ctrl-C ends everything.", ""]
    click.echo("\n".join(lines))


def _reachable(upstream: str) -> bool:
    parts = urlsplit(upstream)
    if parts.scheme != "http":
        return True
    with contextlib.suppress(OSError, ValueError), socket.create_connection((parts.hostname or "", parts.port or 80), 1.0):
        return True
    return False
