"""``ttgateway check`` (io)."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.config.settings import GatewaySettings


@click.command()
@options.config
@options.role
def command(config: Path, role: str) -> None:
    """Print every problem of a configuration, with file and line; exit 78 if there is any.

    References to secrets are resolved, so run it where they are mounted. With --role edge no access token is looked at, with --role admin one may be missing.

    \b
    Example:
      ttgateway check -c gateway.yaml
    """
    from gateway.config.load import load

    loaded = load(config, role=role)
    for problem in loaded.problems:
        click.echo(str(problem))
    if loaded.problems:
        count = len(loaded.problems)
        effect = "run would not start" if loaded.fatal else "run would serve the site with the affected parts off"
        click.echo(f"{count} problem{'s' if count > 1 else ''}; {effect}.", err=True)
        sys.exit(options.EXIT_CONFIGURATION)
    settings = loaded.settings
    click.echo(f"{config}: sound. {len(settings.pipelines)} pipeline(s), {len(settings.integrations)} integration(s).")
    for note in _notes(settings, role):
        click.echo(f"  note: {note}")


def _notes(settings: "GatewaySettings", role: str) -> "Iterator[str]":
    """What is sound and may not be meant."""
    from gateway.config import words
    from gateway.consent.signals import categories_of

    for pipeline in settings.pipelines:
        if not pipeline.integrations:
            yield f"{pipeline.id} has no integration; its events are filtered."
        for name in dict.fromkeys(pipeline.integrations):
            if pipeline.integrations.count(name) > 1:
                yield f"{pipeline.id} names {name} more than once; it gets each event once."
    spoken_of = categories_of(settings.consent)
    for integration in settings.integrations:
        if integration.access_token is None and role in {"all", "deliver"}:
            yield f"{integration.id} has no access_token yet; its events will queue up and wait."
        if integration.test_event_code:
            yield f"{integration.id} has a test_event_code; its events will not reach reports."
        if not integration.consent:
            yield f"{integration.id} needs no consent (consent: []); it gets events of visitors who denied it too."
        for category in integration.consent:
            if category not in spoken_of:
                hint = words.nearest(category, sorted(spoken_of))
                yield f"{integration.id} needs consent to {category}, which only an event itself could state ({hint})."
