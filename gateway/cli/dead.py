"""``ttgateway dead`` (io): events that will not be sent again by themselves."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli import options
from gateway.settings import parse_duration

_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group()
def command() -> None:
    """Look at dead letters, send them again, drop them or take them away.

    A dead letter is an event that TikTok refused for good, that cannot be read, or whose integration was removed. It is kept for spool.dead_max_age. Works through the
    running gateway (its admin section with an editor's token), or on the spool itself while no gateway runs.

    \b
    Examples:
      ttgateway dead ls -c gateway.yaml --integration tiktok-shop
      ttgateway dead show -c gateway.yaml 42
      ttgateway dead replay -c gateway.yaml --all --reason tiktok_rejected
      ttgateway dead export -c gateway.yaml > dead-letters.jsonl
    """


def _age(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float:
    if not value:
        return 0.0
    try:
        return time.time() - parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _filters(function: _Command) -> _Command:
    for option in (
        click.option("--until", callback=_age, metavar="AGE", help="Died longer ago than this, e.g. 1d."),
        click.option("--since", callback=_age, metavar="AGE", help="Died within this, e.g. 2h."),
        click.option("-q", "--query", "q", default="", metavar="TEXT", help="Text in the event or in TikTok's answer."),
        click.option("--reason", default="", metavar="CODE", help="Only this reason, e.g. tiktok_rejected."),
        click.option("--integration", default="", metavar="ID", help="Only this integration's."),
    ):
        function = option(function)
    return function


@command.command("ls")
@options.config
@_filters
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
def ls(config: Path, limit: int, **filters: Any) -> None:
    """List dead letters, oldest first."""
    asyncio.run(_ls(config, limit, filters))


async def _ls(config: Path, limit: int, filters: dict[str, Any]) -> None:
    from gateway.cli.management import api

    async with api(config) as management:
        cursor: str | None = ""
        shown, total = 0, None
        while cursor is not None and shown < limit:
            page = await management.call("GET", "dead", query={**filters, "limit": min(500, limit - shown), "cursor": cursor})
            cursor, total = page["next"], page["total"]
            for row in page["items"]:
                died = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["died_at"]))
                click.echo(f"{row['id']:>8}  {died}  {row['integration']}  {row['name']!s:.40}  {row['reason']}  {row['answer']}")
            shown += len(page["items"])
    if not shown:
        click.echo("no dead letters" + (" that fit" if any(filters.values()) else ""), err=True)
    elif total is None or shown < total:
        click.echo(
            f"{shown} of {'more than 100000' if total is None else total}; see more with --limit, or narrow them down", err=True
        )


@command.command("show")
@options.config
@click.argument("id_", metavar="ID", type=click.IntRange(0))
def show(config: Path, id_: int) -> None:
    """Show one: as received, as it would be sent now, TikTok's answer and what to do. Identity is shortened."""
    click.echo(json.dumps(asyncio.run(_call(config, "GET", f"dead/{id_}")), indent=2, ensure_ascii=False))


async def _call(config: Path, method: str, path: str, body: Any = None) -> Any:
    from gateway.cli.management import api

    async with api(config) as management:
        return await management.call(method, path, body=body)


def _selection(ids: tuple[int, ...], everything: bool, filters: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in filters.items() if value}
    if ids and (everything or given):
        raise click.UsageError("name ids, or filters, not both")
    if ids:
        return {"ids": [str(id_) for id_ in ids]}
    if not given and not everything:
        raise click.UsageError("name ids or a filter, or say --all")
    return {"filter": given}


@command.command("replay")
@options.config
@click.argument("ids", nargs=-1, type=click.IntRange(0))
@_filters
@click.option("--all", "everything", is_flag=True, help="All that fit the filters, or all there are.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def replay(config: Path, ids: tuple[int, ...], everything: bool, yes: bool, **filters: Any) -> None:
    """Send dead letters again: mapped as the integration is now, with their old event_id, their age starting anew. Ctrl-C stops it; what was queued by then stays queued."""
    asyncio.run(_replay(config, _selection(ids, everything, filters), yes))


async def _replay(config: Path, selection: dict[str, Any], yes: bool) -> None:
    from gateway.cli.management import api

    async with api(config) as management:
        estimate = await management.call("POST", "dead/replay", body={**selection, "dry_run": True})
        for warning in estimate["warnings"]:
            click.echo(f"warning: {warning}", err=True)
        if not estimate["count"]:
            click.echo("no dead letters that fit")
            return
        click.echo(f"{estimate['count']} dead letters, about {estimate['estimate_s']:.0f} s to deliver")
        if not yes and not click.confirm("Replay them?"):
            return
        job = (await management.call("POST", "dead/replay", body=selection))["job"]
        told = await management.call("GET", f"dead/jobs/{job}")
        try:
            while told["state"] == "running":
                click.echo(f"\r{told['done']} of {told['count']} queued again", nl=False, err=True)
                await asyncio.sleep(0.2)
                told = await management.call("GET", f"dead/jobs/{job}")
        except asyncio.CancelledError:
            await management.call("DELETE", f"dead/jobs/{job}")
            raise
        click.echo("\r", nl=False, err=True)
        click.echo(f"{told['done']} of {told['count']} queued again" + (f": {told['message']}" if told["message"] else ""))
        if not management.running:
            click.echo("no gateway runs: they are sent when one does")
        if told["state"] != "done":
            sys.exit(options.EXIT_FAILED)


@command.command("drop")
@options.config
@click.argument("ids", nargs=-1, type=click.IntRange(0))
@_filters
@click.option("--all", "everything", is_flag=True, help="All that fit the filters, or all there are.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def drop(config: Path, ids: tuple[int, ...], everything: bool, yes: bool, **filters: Any) -> None:
    """Remove dead letters for good; they are counted as dropped."""
    selection = _selection(ids, everything, filters)
    if not yes:
        click.confirm("They are removed for good. Drop them?", abort=True)
    found = asyncio.run(_call(config, "POST", "dead/drop", selection))
    click.echo(f"{found['dropped']} dropped")


@command.command("export")
@options.config
@_filters
def export(config: Path, **filters: Any) -> None:
    """Write dead letters to standard output, a JSON object a line. Identity is shortened."""
    asyncio.run(_export(config, filters))


async def _export(config: Path, filters: dict[str, Any]) -> None:
    from gateway.cli.management import api

    async with api(config) as management:
        async for line in management.lines("dead/export", filters):
            click.echo(line, nl=False)
