"""The commands (io): what a person types.

Law: a command says what happened and what to do next; a command's own module imports what it needs when it runs, so that ``ttgateway version`` is instant.
Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration has problems.
"""

from importlib import import_module

import click

from gateway import __version__

_COMMANDS = {
    "run": "Run the gateway with a configuration.",
    "check": "Print every problem of a configuration.",
    "init": "Write a commented starter configuration.",
    "send-test": "Send one event to TikTok and explain the answer.",
    "explain": "Show what becomes of an event, step by step.",
    "doctor": "Examine everything an event depends on, and say what to do.",
    "dead": "Look at dead letters; replay, drop or export them.",
    "spool": "Bring what waits in a SQLite spool to a broker.",
    "erase": "Remove a person's queued and dead events.",
    "snippet": "Print what to paste into a site's pages: the script's tag, the lines for a Content-Security-Policy, the no-script image.",
    "drain": "Drain the running gateway of this machine (preStop hook).",
    "sandbox": "Run the TikTok simulator alone.",
    "demo": "Run gateway, demo shop and TikTok sandbox together.",
    "version": "Print the version.",
}
_HIDDEN = frozenset({"shop"})
"""Commands that other commands start."""

EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration has problems."


class _Commands(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS and cmd_name not in _HIDDEN:
            return None
        command: click.Command = import_module(f"gateway.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ttgateway")
def main() -> None:
    """A first-party edge gateway for TikTok's Events API.

    \b
      ttgateway demo                          try it, with a shop and a TikTok sandbox
      ttgateway init > gateway.yaml           start a configuration
      ttgateway check -c gateway.yaml         find what is wrong with it
      ttgateway run -c gateway.yaml           run it
    """
