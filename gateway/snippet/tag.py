"""What a site's developer pastes (pure): the tag, the Content-Security-Policy's lines, the no-script image.

Law: everything that comes from a configuration is escaped for where it stands; nothing printed needs inline script, ``eval`` or a wildcard.
"""

from html import escape
from typing import NamedTuple
from urllib.parse import quote

DEFAULT_GLOBAL = "ttq"


class Tags(NamedTuple):
    """Ready to paste."""

    script: str
    pinned: str
    """The same at the immutable address, with its digest: a script that is any other does not run."""
    policy: tuple[str, ...]
    noscript: str


def tags(*, prefix: str, name: str, digest: str, integrity: str, key: str, global_name: str, origin: str = "") -> Tags:
    """The tags of one pipeline. ``origin``: where the gateway is, if that is not the site itself."""
    attributes = f' data-key="{escape(key)}"'
    if global_name != DEFAULT_GLOBAL:
        attributes += f' data-global="{escape(global_name)}"'
    folder = f"{origin}{prefix}"
    crossorigin = ' crossorigin="anonymous"' if origin else ""
    source = origin or "'self'"
    image = f"{folder}/px?k={quote(key, safe='')}&ev=page"
    return Tags(
        f'<script async src="{escape(f"{folder}/{name}.js")}"{attributes}></script>',
        f'<script async src="{escape(f"{folder}/{name}.{digest}.js")}" integrity="{integrity}"{crossorigin}{attributes}></script>',
        (f"script-src {source}", f"connect-src {source}", f"img-src {source}"),
        f'<noscript><img src="{escape(image)}" width="1" height="1" alt=""></noscript>',
    )
