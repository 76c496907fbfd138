"""``ttgateway check`` (io)."""

import sys
from pathlib import Path

import click

from gateway.cli import options


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
    for integration in settings.integrations:
        if integration.access_token is None and role in {"all", "deliver"}:
            click.echo(f"  note: {integration.id} has no access_token yet; its events will queue up and wait.")
        if integration.test_event_code:
            click.echo(f"  note: {integration.id} has a test_event_code; its events will not reach reports.")
