"""Cookies by hand (pure): the few that are read, and the Set-Cookie lines that are written.

Law: only names that were asked for are looked at; a value is taken as it stands, and nothing that came from outside is written into a Set-Cookie before its
shape was checked by the caller.
"""

from typing import Final

MAX_VALUE: Final = 4096
"""What browsers keep of one cookie. What is read is remembered by its value elsewhere: this bounds it."""


def read(header: str, names: frozenset[str]) -> dict[str, str]:
    """Values of the cookies in ``names``; the first of a name wins, quotes around a value are removed, longer ones than a browser keeps are none."""
    found: dict[str, str] = {}
    begin, length = 0, len(header)
    while begin < length:
        end = header.find(";", begin)
        if end < 0:
            end = length
        if header[begin] == " ":
            begin += 1  # as nearly all names have it: stripping it would copy the name
        at = header.find("=", begin, end)
        if at >= 0 and (name := header[begin:at].strip()) in names and name not in found and end - at <= MAX_VALUE + 1:
            value = header[at + 1 : end].strip()
            found[name] = value[1:-1] if len(value) >= 2 and value[0] == '"' == value[-1] else value
        begin = end + 1
    return found


def set_line(name: str, value: str, *, max_age_s: int, domain: str, secure: bool, http_only: bool = False) -> bytes:
    """One ``Set-Cookie`` header line, CRLF included. ``domain`` empty = host-only."""
    return (
        f"Set-Cookie: {name}={value}; Path=/; Max-Age={max_age_s}"
        f"{f'; Domain={domain}' if domain else ''}{'; Secure' if secure else ''}{'; HttpOnly' if http_only else ''}; SameSite=Lax\r\n"
    ).encode("ascii")


def expire_lines(name: str, *, domain: str, secure: bool) -> bytes:
    """Lines that remove a cookie, both as host-only and for ``domain``: it may have been set either way."""
    lines = set_line(name, "", max_age_s=0, domain="", secure=secure)
    return lines + set_line(name, "", max_age_s=0, domain=domain, secure=secure) if domain else lines
