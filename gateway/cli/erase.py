"""``ttgateway erase`` (io)."""

import asyncio
from pathlib import Path
from typing import Any

import click

from gateway.cli import options


@click.command()
@options.config
@click.option("--email", default="", help="E-mail address, or its SHA-256.")
@click.option("--external-id", default="", help="The site's id of the customer, or its SHA-256.")
@click.option("--anonymous-id", default="", help="The visitor's anonymous id, as in the _dfid cookie.")
def command(config: Path, email: str, external_id: str, anonymous_id: str) -> None:
    """Remove a person's queued and dead events, and say how many.

    Works through the running gateway (its admin section with an editor's token), or on the spool itself while no gateway runs. What TikTok has received already must be
    erased there.

    \b
    Example:
      ttgateway erase -c gateway.yaml --email alice@example.com
    """
    person = {"email": email, "external_id": external_id, "anonymous_id": anonymous_id}
    given = {name: value for name, value in person.items() if value.strip()}
    if len(given) != 1:
        raise click.UsageError("name exactly one of --email, --external-id and --anonymous-id")
    found = asyncio.run(_erase(config, given))
    removed = found["removed"]
    click.echo(f"{sum(removed.values())} events removed ({', '.join(f'{count} by {name}' for name, count in removed.items())})")
    if under_way := found["under_way"]:
        click.echo(
            f"{under_way} more were being delivered: they are removed as well, unless their request to TikTok was on its way"
        )


async def _erase(config: Path, person: dict[str, str]) -> dict[str, Any]:
    from gateway.cli.management import api

    async with api(config) as management:
        found: dict[str, Any] = await management.call("POST", "erase", body=person)
        return found
