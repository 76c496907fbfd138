"""An event mapped ahead of its delivery (pure).

Law: what was prepared holds only for the very program that prepared it; under any other the event is mapped anew from what is stored. To prepare is an attempt: where it gives
nothing the event is mapped when it is delivered, and what is wrong with it is found there. It pays because the sealed event is at hand at the edge, and is read from its
bytes at delivery.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson

from gateway.mapping.compile import Mapped, Program

_dumps: Final[Callable[[Any], bytes]] = orjson.dumps


class Prepared:
    """A data item as it is sent, of one event under one program."""

    __slots__ = ("data", "event_id", "program")

    def __init__(self, program: Program, event_id: str, data: bytes) -> None:
        self.program = program
        self.event_id = event_id
        self.data = data


def prepare(program: Program, sealed: Any) -> Prepared | None:
    """The sealed event under ``program``; None if that sends nothing or cannot be told."""
    try:
        mapped = program.apply(sealed)
        if isinstance(mapped, Mapped):
            return Prepared(program, sealed["event_id"], _dumps(mapped.item))
    except Exception:  # noqa: BLE001, S110 - delivery meets it again, and has an answer to it
        pass
    return None
