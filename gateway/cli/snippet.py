"""``ttgateway snippet`` (io)."""

import sys
from pathlib import Path

import click

from gateway.cli import options


def _print_types(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Callback of ``--types``."""
    if wanted:
        from gateway import snippet

        click.echo(snippet.types(), nl=False)
        context.exit()


@click.command()
@options.config
@click.option(
    "--pipeline", "pipeline_id", metavar="ID", help="The pipeline whose key the tag carries; needed where there are several."
)
@click.option(
    "--origin", default="", metavar="URL", help="Where the gateway is, if not on the site's own host: https://collect.example.com"
)
@click.option(
    "--types",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_types,
    help="Print the TypeScript types of what pages may call, and nothing else.",
)
def command(config: Path, pipeline_id: str | None, origin: str) -> None:
    """Print what to paste into a site's pages: the script's tag, the lines for a Content-Security-Policy, the no-script image.

    \b
    Examples:
      ttgateway snippet -c gateway.yaml --pipeline shop
      ttgateway snippet -c gateway.yaml --pipeline shop --origin https://collect.example.com
      ttgateway snippet --types > ttgateway.d.ts
    """
    from gateway import snippet
    from gateway.app import EXIT_CONFIGURATION, sound_parts
    from gateway.edge.settings import is_origin
    from gateway.snippet import tag

    origin = origin.strip().rstrip("/")
    if origin and not is_origin(origin):
        raise click.BadParameter("expected an origin such as https://collect.example.com, without a path", param_hint="--origin")
    settings, catalogue, problems = sound_parts(config)
    for problem in problems:
        click.echo(str(problem), err=True)
    if catalogue is None:
        sys.exit(EXIT_CONFIGURATION)
    found = {pipeline.id: pipeline for pipeline in catalogue.pipelines}
    chosen = found.get(pipeline_id) if pipeline_id else next(iter(found.values())) if len(found) == 1 else None
    if chosen is None:
        known = f"there are {', '.join(found)}" if found else "the configuration has none"
        raise click.UsageError(f"no pipeline {pipeline_id!r}: {known}." if pipeline_id else f"name one with --pipeline: {known}.")
    script = snippet.load()
    made = tag.tags(
        prefix=settings.edge.prefix,
        name=settings.edge.script.name,
        digest=script.hash,
        integrity=script.integrity,
        key=chosen.settings.key,
        global_name=settings.edge.script.global_name,
        origin=origin,
    )
    lines = [
        "In the <head> of every page, behind TikTok's own pixel if it stays:",
        f"  {made.script}",
        "",
        "Or this very version for ever (paste it anew after an update):",
        f"  {made.pinned}",
        "",
        "Add to your Content-Security-Policy, if you have one (img-src only for the no-script image):",
        *(f"  {line}" for line in made.policy),
        "",
        "For browsers without script, at the start of <body> (it counts where a consent cookie grants it):",
        f"  {made.noscript}",
    ]
    click.echo("\n".join(lines))
