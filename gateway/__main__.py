"""``python -m gateway`` is ``ttgateway`` (io)."""

from gateway.cli import main

main(prog_name="ttgateway")
