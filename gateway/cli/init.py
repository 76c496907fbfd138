"""``ttgateway init`` (io)."""

import sys
from importlib.resources import files
from pathlib import Path

import click

from gateway.cli import options


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
def command(file: Path | None) -> None:
    """Write a commented starter configuration to FILE, or to standard output. An existing file is never overwritten.

    \b
    Examples:
      ttgateway init gateway.yaml
      ttgateway init > gateway.yaml
    """
    text = files("gateway.config").joinpath("starter.yaml").read_text(encoding="utf-8")
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        click.echo(f"{file} exists and is left as it is.", err=True)
        sys.exit(options.EXIT_FAILED)
    except OSError as error:
        click.echo(f"{file} cannot be written: {error.strerror}", err=True)
        sys.exit(options.EXIT_FAILED)
    click.echo(f"Wrote {file}. Fill in upstream, pixel_code and access_token, then: ttgateway check -c {file}")
