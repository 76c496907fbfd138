"""E-mail addresses and telephone numbers in free text (pure).

Law: addresses go in any spelling, percent-encoded ones included; a number is a telephone number with an international prefix or ``tel:``, or written in groups as
people write one (North American 3-3-4, or a leading 0 and at least one gap). Order numbers, SKUs, prices, dates and UUIDs stay. Every pattern takes linear time:
repetitions are bounded or possessive, and a run is entered only at its start. :func:`calm` never says yes to a text that :func:`addresses` or :func:`numbers` would change.
"""

import re
from typing import TYPE_CHECKING, Final

import phonenumbers

if TYPE_CHECKING:
    from mypy_extensions import i64  # a machine's integer in the compiled build; the name is not needed when it runs

_STOP = r"\s\"'<>,;:()\[\]{}|\\/?&=#!`"
_AT = r"(?:[@＠]|%(?:25){0,4}40)"
_RUN = rf"(?:[^{_STOP}@＠%]|%(?!(?:25){{0,4}}40))"
_ADDRESS = re.compile(rf"(?<![^{_STOP}@＠]){_RUN}++(?:{_AT}{_RUN}*+)++")
_SPLIT_AT = re.compile(_AT)
_NOT_A_HOST = re.compile(r"[\d.]*|[\d.]+x(?:\.[a-z]{2,5})?")
"""``logo@2x.png`` and ``jquery@3.6.0`` are no addresses."""

_GAP = r"(?:[ \t\r\n().\-/\u00a0\u2000-\u200b\u2010-\u2015\u202f]|%20){0,3}"
_PLUS = r"(?:[+＋]|%(?:25){0,4}2[bB])"
_INTERNATIONAL = re.compile(rf"(?<![\w+]){_PLUS}{_GAP}[1-9](?:{_GAP}[0-9]){{6,14}}(?![0-9])")
_AFTER_WORD = re.compile(rf"(?<=[^\W\d_]){_PLUS}({_GAP}[1-9](?:{_GAP}[0-9]){{9,14}})(?![0-9])")
"""``q=call+447700900123``: the plus is a space, and only a number that can exist is one."""
_ZEROS = re.compile(rf"00(?<![\w.\-/+=]00)[1-9](?:{_GAP}[0-9]){{6,13}}(?![\w\-])")
_URI = re.compile(rf"[tT]el(?::|%3[aA]) ?\(?{_PLUS}?[0-9](?:{_GAP}[0-9]){{4,14}}+")
_AMERICAN = re.compile(
    r"(?<![\w.\-/+])(?:1[ .\-])?(?:\([2-9][0-9]{2}\)[ .\-]?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}(?![\w\-])"
)
_TRUNK = re.compile(r"(?<![\w.\-/+])\(?0[1-9][0-9]{0,4}\)?((?:[ .\-/]{1,2}[0-9]{2,8}){1,5})(?![\w\-:])")
_GROUP = re.compile(r"[0-9]+")

_MAX_CHECKS = 16
"""Numbers of a text that are looked up, which is dear; further ones are taken for telephone numbers."""
_MAX_ROUNDS = 4
"""A text that still has some behind others after that is one of nothing else."""

# The same over a whole document's strings, wider than the patterns above.
_ANY_ENCODED = re.compile(r"%(?:25){0,4}(?:40|2[bB])|[tT]el%3[aA]")
_ANY_PLUS = re.compile(r"\+[ \t\r\n().\-/%\x80-\U0010ffff]{0,9}[1-9](?:[ \t\r\n().\-/%\x80-\U0010ffff]{0,9}[0-9]){6}")
_ANY_HIDING = re.compile(r"=[^&;#\s\"=]*?(?:%(?:2[2567]|3[adfADF]|7[bB])|[0-9](?:%20|\+)\(?[0-9]{2})")
"""A parameter's value that may hold parameters, an object or a number of its own once it is decoded."""
_ANY_ZERO = re.compile(r"0(?<![\w.\-/+]0)(?:0[1-9]|[1-9][0-9]{0,4}\)?[ .\-/]{1,2}[0-9]{2})")
_INSIDE: Final = bytes(chr(byte).isalnum() or byte in b"_.-/+" for byte in range(128))
"""Per ASCII character, whether no number begins with a zero right after it."""
_MIN_DIGITS: Final = 9
"""Numbers without a plus and without ``tel:`` have as many, or more."""
_ZERO: Final = 48
_TWO: Final = 50
_NINE: Final = 57
_CLOSING: Final = 41
_GAPS: Final = bytes(byte in b" .-" for byte in range(256))
_STRIDE: Final = bytes(4 if byte in b"0123456789 .-)" else 9 for byte in range(256))
"""Per byte, how far to the next one that has to be looked at, see :func:`_american`."""


def calm(text: str) -> bool:
    """No trace of an address or a number in this text. Raises UnicodeEncodeError where it is no Unicode."""
    raw = text.encode()
    # On every event's way: single characters are searched at memory speed, and each pattern comes after such a search.
    if "@" in text or "el:" in text or "＠" in text or "＋" in text:
        return False
    if "%" in text and (_ANY_ENCODED.search(text) or _ANY_HIDING.search(text)):
        return False
    if "+" in text and (_ANY_PLUS.search(text) or _ANY_HIDING.search(text)):
        return False
    if len(raw) < _MIN_DIGITS:
        return True
    at = text.find("0")
    if len(raw) == len(text):  # a place in the one is the same in the other
        while at > 0 and _INSIDE[raw[at - 1]]:
            at += 1
            while at < len(raw) and raw[at] == _ZERO:
                at += 1  # none begins behind another zero either
            at = text.find("0", at)
    if at >= 0 and _ANY_ZERO.search(text, at):
        return False
    return not _american(raw)


def _american(raw: bytes) -> bool:
    """Whether nine bytes are written like the end of a number in American groups, `` 555-0123`` or ``)555 0123``.

    Every fourth byte is looked at, so that one of the last four digits always is; a byte that none of the nine can be lets all nine be passed over.
    """
    at: i64 = _MIN_DIGITS - 1
    end: i64 = len(raw)
    while at < end:
        here: i64 = raw[at]
        if _ZERO <= here <= _NINE and _ends_american(raw, at, end):
            return True
        at += _STRIDE[here]
    return False


def _ends_american(raw: bytes, at: "i64", end: "i64") -> bool:
    """Whether the digit at ``at``, with eight bytes before it at least, is one of the last four."""
    begin: i64 = at
    while begin > at - 3 and _ZERO <= raw[begin - 1] <= _NINE:
        begin -= 1
    if not _GAPS[raw[begin - 1]] or begin + 4 > end or (begin + 4 < end and _ZERO <= raw[begin + 4] <= _NINE):
        return False
    for place in range(begin - 4, begin + 4):
        if place != begin - 1 and not _ZERO <= raw[place] <= _NINE:
            return False
    # An exchange code begins with 2 to 9, and an area code stands before it.
    return raw[begin - 4] >= _TWO and (raw[begin - 5] == _CLOSING or _GAPS[raw[begin - 5]] != 0)


def marked(text: str, mark: str, *, grouped: bool = True) -> str:
    """The text with ``mark`` in place of every address and number: looked at again, it stays as it is."""
    # One may stand right behind another, and be seen to begin only where that has become a mark.
    for _ in range(_MAX_ROUNDS):
        before = text
        text = numbers(addresses(text, mark), mark, grouped=grouped)
        if text == before:
            return text
    return mark


def addresses(text: str, mark: str) -> str:
    """The text with ``mark`` in place of every e-mail address."""
    if "@" not in text and "%" not in text and "＠" not in text:
        return text
    return _ADDRESS.sub(lambda match: mark if _is_address(match[0]) else match[0], text)


def numbers(text: str, mark: str, *, grouped: bool = True) -> str:
    """The text with ``mark`` in place of telephone numbers; without ``grouped`` only of those with ``+`` or ``tel:``."""
    if "el" in text:
        text = _URI.sub(mark, text)
    if "+" in text or "%" in text or "＋" in text:
        text = _INTERNATIONAL.sub(mark, text)
        checks = iter(range(_MAX_CHECKS))
        text = _AFTER_WORD.sub(lambda match: mark if next(checks, None) is None or _possible(match[1]) else match[0], text)
    if grouped:
        text = _ZEROS.sub(mark, text)
        text = _AMERICAN.sub(mark, text)
        text = _TRUNK.sub(lambda match: mark if _is_trunk(match) else match[0], text)
    return text


def _is_address(found: str) -> bool:
    for domain in _SPLIT_AT.split(found)[1:]:
        host = domain.strip(".-_*~$")
        if host and not _NOT_A_HOST.fullmatch(host):
            return True
    return False


def _is_trunk(match: re.Match[str]) -> bool:
    groups = _GROUP.findall(match[1])
    digits = sum(map(len, _GROUP.findall(match[0])))
    pairs = len(groups) >= 4 and len(match[1]) == sum(map(len, groups)) + len(groups)  # 06 12 34 56 78
    return 9 <= digits <= 12 and (pairs or any(len(group) >= 3 for group in groups))


def _possible(digits: str) -> bool:
    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse("+" + digits)))
    except phonenumbers.NumberParseException:
        return False
