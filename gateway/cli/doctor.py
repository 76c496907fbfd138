"""``ttgateway doctor`` (io)."""

import asyncio
import sys
from pathlib import Path

import click

from gateway.cli import options

_SIGNS = {"ok": "ok   ", "note": "note ", "fault": "FAULT"}


@click.command(epilog="Exit codes: 0 no fault, 1 at least one fault, 78 the configuration has problems.")
@options.config
def command(config: Path) -> None:
    """Examine configuration, spool, clock, TikTok's endpoint, tokens, cookies and proxies, and say what to do.

    It sends no event and changes nothing, so it may run beside the gateway - best there, because a running gateway's metrics tell which
    addresses its visitors come from and how its deliveries fare. It also works where TikTok cannot be reached.

    \b
    Example:
      ttgateway doctor -c gateway.yaml
    """
    from gateway.app import checkup
    from gateway.config.load import load

    loaded = load(config)
    for problem in loaded.problems:
        click.echo(f"FAULT configuration: {problem}")
    if loaded.fatal:
        sys.exit(options.EXIT_CONFIGURATION)
    findings = asyncio.run(checkup.examine(checkup.Subject(loaded.settings, frozenset(loaded.off))))
    faults = len(loaded.problems)
    for finding in findings:
        click.echo(f"{_SIGNS[finding.level]} {finding.about}: {finding.words}")
        if finding.cure:
            click.echo(f"        → {finding.cure}")
        faults += finding.level == "fault"
    click.echo(f"\n{faults} fault{'' if faults == 1 else 's'}." if faults else "\nNothing is wrong that could be seen from here.")
    if loaded.problems:
        sys.exit(options.EXIT_CONFIGURATION)
    sys.exit(options.EXIT_FAILED if faults else 0)
