"""``ttgateway send-test`` (io)."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options

if TYPE_CHECKING:
    from gateway.catalog.model import IntegrationSettings
    from gateway.config.load import Loaded

_PARTS = ("delivery", "consent", "cookies")


@click.command()
@options.config
@click.option("--integration", metavar="ID", help="Which integration; needed if there are several.")
@click.option("--test-event-code", metavar="CODE", help="The code of the pixel's Test events tab, such as TEST12345.")
@click.option("--live", is_flag=True, help="Send without a test event code: the event counts in reports.")
def command(config: Path, integration: str | None, test_event_code: str | None, live: bool) -> None:
    """Send one page view to TikTok and explain the answer.

    It goes the real way - collected, sealed, mapped, posted - but through memory, so that it can run beside the gateway. Without a test
    event code, here or in the configuration, it refuses, because the event would count in reports; --live insists.

    \b
    Examples:
      ttgateway send-test -c gateway.yaml --test-event-code TEST12345
      ttgateway send-test -c gateway.yaml --integration tiktok-shop --live
    """
    from gateway.config.load import load

    loaded = load(config)
    for problem in loaded.problems:
        click.echo(str(problem), err=True)
    if loaded.fatal or any(part in loaded.off for part in _PARTS):
        sys.exit(options.EXIT_CONFIGURATION)
    chosen = _choose(loaded, integration)
    code = "" if live else test_event_code or chosen.test_event_code or ""
    if not code and not live:
        raise click.UsageError(
            "without a test event code this event would count in your reports. Take the code from Events Manager → your pixel → Test events and"
            " pass --test-event-code CODE, or insist with --live."
        )
    if chosen.access_token is None:
        click.echo(
            f"{chosen.id} has no access_token. Events Manager → your pixel → Settings → Events API → Generate access token.",
            err=True,
        )
        sys.exit(options.EXIT_CONFIGURATION)
    sys.exit(_send(loaded, chosen, code))


def _choose(loaded: "Loaded", wanted: str | None) -> "IntegrationSettings":
    integrations = {each.id: each for each in loaded.settings.integrations}
    known = ", ".join(integrations) or "none"
    if wanted is None and len(integrations) == 1:
        return next(iter(integrations.values()))
    if wanted is None and integrations:
        raise click.UsageError(f"there are several integrations; name one with --integration: {known}")
    if wanted in integrations:
        return integrations[wanted]
    if f"integrations.{wanted}" in loaded.off or not integrations:
        click.echo(
            "the integration's configuration has problems, see above" if loaded.problems else "there is no integration", err=True
        )
        sys.exit(options.EXIT_CONFIGURATION)
    raise click.UsageError(f"there is no integration {wanted!r}; there are: {known}")


def _send(loaded: "Loaded", chosen: "IntegrationSettings", code: str) -> int:
    from gateway.app import trial
    from gateway.delivery.verdict import Action

    result = asyncio.run(trial.send(loaded.settings, chosen, code))
    where = f"with test event code {code}" if code else "LIVE"
    if result.verdict is None:
        click.echo(f"nothing was sent: {result.explained['answer']['body']}")
        for fate in result.explained["integrations"]:
            click.echo(f"  {fate['outcome']}, {fate['reason']}: {fate['detail']}")
        return options.EXIT_FAILED
    verdict = result.verdict
    click.echo(f"sent    one page view {where}, event_id {result.event_id}, pixel {chosen.pixel_code}")
    click.echo(f"to      {loaded.settings.delivery.endpoint} ({result.seconds * 1000:.0f} ms)")
    click.echo(f"answer  {verdict.code} {verdict.message}".rstrip())
    if verdict.action is Action.DELIVERED:
        seen = "it shows in the pixel's Test events tab within seconds" if code else "it shows in Events Manager within minutes"
        click.echo(f"result  accepted; {seen}.")
        if verdict.cure:
            click.echo(f"note    {verdict.cure}")
        return 0
    meaning = {
        Action.RETRY: "not now: the gateway would keep the event and try again.",
        Action.SUSPEND: "refused for a reason that is not the event: the gateway would keep all events and probe once a minute.",
        Action.BAD_EVENT: "TikTok refuses this event: the gateway would make it a dead letter.",
        Action.SPLIT: "too large: the gateway would split the batch.",
    }[verdict.action]
    click.echo(f"result  {meaning}")
    if verdict.cure:
        click.echo(f"cure    {verdict.cure}")
    return options.EXIT_FAILED
