"""The client script, built and ready to be served (pure data).

Law: what pages get is the committed output of ``make snippet``, so that users need no build step; nothing here changes it. ``source/`` is what people read and
change, ``built/`` what it becomes, ``ttgateway.d.ts`` says to TypeScript what pages may call.
"""

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

_HASH_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Script:
    """The built script in every encoding it is served in."""

    encodings: dict[str, bytes]
    """Content-Encoding → bytes, best first; ``identity`` is the text itself."""
    hash: str
    """Of the text: names the immutable address."""
    integrity: str
    """The text's digest as ``<script integrity>`` wants it."""


def types() -> str:
    """The TypeScript declarations of what pages may call."""
    return files(__name__).joinpath("ttgateway.d.ts").read_text(encoding="utf-8")


def load() -> Script:
    """The script that comes with this version."""
    built = files(__name__).joinpath("built")
    encodings = {
        encoding: built.joinpath(f"s.js{suffix}").read_bytes()
        for encoding, suffix in (("br", ".br"), ("gzip", ".gz"), ("identity", ""))
    }
    text = encodings["identity"]
    return Script(
        encodings,
        hashlib.sha256(text).hexdigest()[:_HASH_CHARACTERS],
        f"sha384-{base64.b64encode(hashlib.sha384(text).digest()).decode()}",
    )
