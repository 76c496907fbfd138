"""What looks personal anywhere but in the identity fields is removed (pure).

Law: e-mail addresses and telephone numbers in any string, values under keys that name a person or a secret, and such parameters of URLs never leave here; what
:mod:`gateway.identity.spot` calls no number stays. Results can always be serialised: integers that JSON cannot hold, broken Unicode and overlong strings are
replaced. Nearly all events have nothing to remove: :func:`untouched` tells so from all their strings at once, and only where it cannot is each looked at – within
an :class:`_Allowance`: what an event holds beyond what any event needs is lost unread, so that a hostile one cannot hold up the others.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from gateway.identity import spot
from gateway.identity.personal import (
    CODE,
    DROP,
    PARTY,
    PERSON,
    PLAIN,
    is_personal_key,
    is_personal_query,
    property_kind,
    trait_kind,
)

__all__ = [
    "REDACTED",
    "REDACTED_IN_URL",
    "identifier_is_clean",
    "is_personal_key",
    "page",
    "properties",
    "search",
    "text",
    "traits",
    "tree",
    "untouched",
    "url",
]

REDACTED: Final = "[redacted]"
REDACTED_IN_URL: Final = "redacted"
MAX_TEXT: Final = 8192
_MAX_DEPTH: Final = 40
_MAX_NESTED: Final = 253
"""Objects and lists within one another of a document left as it is: what writes a sealed event goes one deeper and no further."""
_MAX_UNQUOTE: Final = 3
_MAX_DECODED: Final = 64
_MAX_VALUES: Final = 20_000
_HASTY_VALUES: Final = 400
"""Values of a tree that is gone through again where that was not enough."""
_MAX_READ: Final = 64 << 10
_MAX_UNKNOWN: Final = 2000
_MAX_UNKNOWN_PARAMETERS: Final = 64
"""Keys and parameters that are judged before a text or document is no longer called calm."""
_FEW: Final = 16
"""Keys that are judged at once, whatever that costs."""
_NEW_KEY: Final = 4
"""What a key that was never seen costs, in values."""
_EACH: Final = 64
"""What a string costs however short it is, in characters."""
_INT64: Final = range(-(2**63), 2**64)
_SHORT: Final = 2**60
"""Integers up to it need no look at the range."""

_PARAMETER = re.compile(r"([?&;#])([^?&;#=\s\"\\]{1,100})=([^?&;#\s\"]*)")
_KEY = re.compile(r"[?&;#]([^?&;#=\s\"\\]{1,100})=")
_USERINFO = re.compile(r"//[^/?#\s]*@")
_JSON_KEY = re.compile(r"\"([^\"]{1,64})\"\s*:")

_clean_keys: Final[set[str]] = set()
"""Keys of properties seen to be plain, codes or, with a value that is no text, a party's."""
_parties: Final[set[str]] = set()
"""Those of them under which an object would describe a person."""
_clean_parameters: Final[set[str]] = set()
_MEMO: Final = 8192


def untouched(
    name: str, event_id: str, page: dict[str, str], properties: dict[str, Any], context: dict[str, Any], known: Iterable[str] = ()
) -> bool:
    """Nothing of an event would be removed, and all of it can be serialised; ``known`` as in :func:`text`."""
    texts = [name, event_id]
    for field, value in page.items():
        # A query holds parameters even where its mark is missing, see :func:`search`.
        texts.append("?" + value if field == "search" else value)
    new: dict[str, bool] = {}
    if not (_gather(properties, texts, new, 1) and _gather(context, texts, new, 1)):
        return False
    if not _all_calm(texts, known):
        return False
    if new:
        _learn(new)
    return True


def text(value: str, known: Iterable[str] = (), *, grouped: bool = True) -> str:
    """The string without addresses, numbers and personal parameters. ``known``: spellings, in lower case, of the visitor's own numbers and full name, removed wherever they
    occur; without ``grouped`` only numbers with an international prefix are looked for."""
    return _text(value, known, grouped=grouped, depth=0)


def _text(value: str, known: Iterable[str], *, grouped: bool, depth: int) -> str:
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    if not known and _calm(value):
        return value
    mark = REDACTED
    if "://" in value or value[:1] == "/":
        mark = REDACTED_IN_URL
        value = _USERINFO.sub("//", value)
    if "=" in value:
        value = _PARAMETER.sub(partial(_parameter, iter(range(_MAX_DECODED)), depth), value)
    if known:
        value = _without(value, known, mark)
    return spot.marked(value, mark, grouped=grouped)


def url(value: str, known: Iterable[str] = ()) -> str:
    """A URL without credentials, with personal and secret parameters replaced, and addresses and numbers anywhere in it."""
    return text(value, known)


def search(value: str, known: Iterable[str] = ()) -> str:
    """A query string with or without its ``?``, treated as in a URL."""
    return text(value, known) if value[:1] in {"?", "#"} else text("?" + value, known)[1:]


def page(value: dict[str, str], known: Iterable[str] = ()) -> dict[str, str]:
    """url, referrer, title, path and search of a page, redacted."""
    return {field: (search if field == "search" else text)(inner, known) for field, inner in value.items()}


def identifier_is_clean(value: str) -> bool:
    """Whether an event id may leave as it is: no address and no international number in it. Digits and dashes alone are an id, whatever they look like."""
    return value.isascii() and text(value, grouped=False) == value


def properties(value: dict[str, Any], known: Iterable[str] = ()) -> dict[str, Any]:
    """Properties or context, redacted."""
    return _redacted(value, False, known)


def traits(value: dict[str, Any], known: Iterable[str] = ()) -> dict[str, Any]:
    """What of the traits says nothing about who the person is."""
    if len(value) <= _FEW and all(trait_kind(key) == DROP for key in value):
        return {}  # nearly always there is nothing else among them
    return _redacted(value, True, known)


def tree(value: Any) -> Any:
    """Any JSON value, redacted as a property's."""
    return _value(value, PLAIN, False, (), 0, _Allowance())


class _Allowance:
    """How much of one tree is looked at: values, and characters of strings that may hold something personal."""

    __slots__ = ("_characters", "texts", "values")

    def __init__(self, values: int = _MAX_VALUES, texts: list[str] | None = None) -> None:
        """With ``texts`` strings are not looked at but added to it, to be looked at together."""
        self.values = values
        self.texts = texts
        self._characters = _MAX_READ

    def text(self, value: str, known: Iterable[str], *, grouped: bool) -> str:
        """:func:`text`; ``''`` where the string is overlong or the allowance used up."""
        if len(value) > MAX_TEXT:
            return ""
        if self.texts is not None:
            self.texts.append(value)
            return value
        if value.isascii() and _calm(value) and not (known and _mentions(value, known)):
            return value
        self._characters -= len(value) + _EACH
        return _text(value, known, grouped=grouped, depth=0) if self._characters >= 0 else ""


def _redacted(value: dict[str, Any], of_person: bool, known: Iterable[str]) -> dict[str, Any]:
    # Mostly it is keys that are personal, not the strings under the others: those are looked at together, as where nothing is removed.
    texts: list[str] = []
    hasty = _Allowance(_HASTY_VALUES, texts)
    kept = _object(value, of_person, known, 0, hasty)
    if hasty.values > 0 and _all_calm(texts, known):
        return kept
    return _object(value, of_person, known, 0, _Allowance())


def _all_calm(texts: list[str], known: Iterable[str]) -> bool:
    # No pattern reaches over a quotation mark: what holds for them joined holds for each.
    whole = '"'.join(texts)
    if len(whole) > MAX_TEXT and max(map(len, texts)) > MAX_TEXT:
        return False
    try:
        return _calm(whole) and not (known and _mentions(whole, known))
    except UnicodeEncodeError:
        return False


def _mentions(value: str, known: Iterable[str]) -> bool:
    low = value.lower()
    return any(spelling in low for spelling in known)


def _without(value: str, known: Iterable[str], mark: str) -> str:
    for spelling in known:
        low = value.lower()
        if spelling not in low:
            continue
        if len(low) != len(value):
            # A capital whose small letter is two: places can be told in what is lower-case only.
            value = low
        at, begin, kept = low.find(spelling), 0, ""
        while at >= 0:
            end = at + len(spelling)
            # Letters of a name are not cut out of a longer word; scripts without capitals write nothing between words.
            inside = (at > 0 and low[at - 1].islower() and spelling[0].islower()) or (
                low[end : end + 1].islower() and spelling[-1].islower()
            )
            if not inside:
                kept += value[begin:at] + mark
                begin = end
            at = low.find(spelling, at + 1 if inside else end)
        value = kept + value[begin:]
    return value


def _object(value: dict[str, Any], of_person: bool, known: Iterable[str], depth: int, allowance: _Allowance) -> dict[str, Any]:
    kept = {}
    for key, inner in value.items():
        if allowance.values <= 0:
            break
        allowance.values -= 1 if key in _clean_keys else _NEW_KEY
        kind = trait_kind(key) if of_person else property_kind(key)
        if kind == DROP or (key not in _clean_keys and allowance.text(key, known, grouped=True) != key):
            continue
        kept[key] = _value(inner, kind, of_person, known, depth + 1, allowance)
    return kept


def _value(value: Any, kind: int, of_person: bool, known: Iterable[str], depth: int, allowance: _Allowance) -> Any:
    shape = type(value)
    if shape is str:
        return "" if kind == PERSON else allowance.text(value, known, grouped=kind != CODE)
    if shape is int:
        return value if _is_scalar(value) else None
    if depth > _MAX_DEPTH:
        return None
    if shape is dict:
        return _object(value, of_person or kind in (PERSON, PARTY), known, depth, allowance)
    if shape is list:
        some = value[: max(0, allowance.values)]
        allowance.values -= len(some)
        return [_value(inner, kind, of_person, known, depth + 1, allowance) for inner in some]
    return value if _is_scalar(value) else None


def _gather(value: dict[str, Any], texts: list[str], new: dict[str, bool], depth: int) -> bool:
    """Add to ``texts`` what has to be looked at, and to ``new`` the keys never seen. False where something would surely be removed, or the walk has to decide."""
    if depth > _MAX_NESTED:
        return False
    for key, inner in value.items():
        if key not in _clean_keys and not _harmless(key, texts, new):
            return False
        shape = type(inner)
        if shape is str:
            texts.append(inner)
        elif shape is dict or shape is list:
            if key in _parties or (new and new.get(key)):
                return False
            if shape is dict:
                if not _gather(inner, texts, new, depth + 1):
                    return False
            elif depth == _MAX_NESTED:
                return False
            else:
                items: list[Any] = inner
                for item in items:
                    if type(item) is dict:
                        if not _gather(item, texts, new, depth + 2):
                            return False
                    elif type(item) is str:
                        texts.append(item)
                    elif not _is_scalar(item):
                        return False  # lists of lists are rare: let the walk decide
        elif not _is_scalar(inner):
            return False
    return True


def _is_scalar(value: Any) -> bool:
    shape = type(value)
    if shape is int:
        number: int = value
        return -_SHORT <= number <= _SHORT or number in _INT64
    return value is None or shape is float or shape is bool


def _harmless(key: str, texts: list[str], new: dict[str, bool]) -> bool:
    if key not in new:
        # Judging is dear: a document of nothing but new keys is left to the walk, which stops in time.
        if len(new) >= _MAX_UNKNOWN:
            return False
        kind = property_kind(key)
        if kind in (PERSON, DROP):
            return False
        new[key] = kind == PARTY
        texts.append(key)
    return True


def _learn(new: dict[str, bool]) -> None:
    for key, party in new.items():
        if len(key) <= 64:  # it came with a calm document, so it holds neither an address nor a number
            if len(_clean_keys) >= _MEMO:
                _clean_keys.clear()
                _parties.clear()
            _clean_keys.add(key)
            if party:
                _parties.add(key)


def _calm(value: str) -> bool:
    return spot.calm(value) and ("=" not in value or _calm_parameters(value))


def _calm_parameters(value: str) -> bool:
    # Nearly always each is one that was seen to be clean: then it need not be told exactly where they begin.
    last, at = 0, value.find("=")
    while at >= 0:
        begin = value.rfind("&", last, at) + 1 or value.rfind("?", last, at) + 1 or last
        if value[begin:at] not in _clean_parameters:
            break
        last = at + 1
        at = value.find("=", last)
    else:
        return True
    # Parameters stand together in one URL or two: what lies before the first and after the last need not be searched.
    unknown = 0
    for key in _KEY.findall(value, max(0, at - 101), value.rfind("=") + 1):
        if key not in _clean_parameters:
            unknown += 1
            if unknown > _MAX_UNKNOWN_PARAMETERS or is_personal_query(key):
                return False
            if len(key) <= 64:
                if len(_clean_parameters) >= _MEMO:
                    _clean_parameters.clear()
                _clean_parameters.add(key)
    return True


def _parameter(budget: Iterator[int], depth: int, match: re.Match[str]) -> str:
    before, key, value = match.groups()
    if value and (is_personal_query(key) or _suspect(value, budget, depth)):
        return f"{before}{key}={REDACTED_IN_URL}"
    return match[0]


def _suspect(value: str, budget: Iterator[int], depth: int) -> bool:
    # Decoding is dear: a text with more encoded parameters than any page has loses the rest of them unread.
    if ("%" in value or "+" in value) and next(budget, None) is None:
        return True
    return _hides(value, depth)


def _hides(value: str, depth: int) -> bool:
    """Whether a parameter's value, once decoded, holds something personal. What is encoded more often than anybody needs to does."""
    if value[:1] == "{" and any(map(is_personal_query, _JSON_KEY.findall(value))):
        return True
    if "%" in value or "+" in value:
        for decoded in {unquote(value), unquote_plus(value)} - {value}:
            if (
                depth >= _MAX_UNQUOTE
                or _text(decoded, (), grouped=True, depth=depth + 1) != decoded
                or _hides(decoded, depth + 1)
            ):
                return True
    return spot.numbers(spot.addresses(value, ""), "", grouped=False) != value
