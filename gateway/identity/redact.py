"""What looks personal anywhere but in the identity fields is removed (pure).

Law: e-mail addresses and telephone numbers in any string, values under keys that name a person or a secret, and such parameters of URLs never leave here.
Order numbers, SKUs, prices, dates and UUIDs do: a number is a telephone number only with an international prefix or written in groups as people write one. Every
pattern is linear: no nested or adjacent unbounded repetition over the same characters.
"""

import re
from typing import Any

import orjson

REDACTED = "[redacted]"
REDACTED_IN_URL = "redacted"
MAX_TEXT = 8192

_EMAIL = re.compile(r"[^\s@\"'<>,;:()\[\]/?&=#]{1,64}(?:@|%40)[^\s@\"'<>,;:()\[\]/?&=#%]{1,255}", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w+])(?:tel:)?(?:\+|%2[bB]|00(?=[1-9]))[1-9](?:[ ().\-/]{0,3}\d){6,14}(?!\d)"  # international
    r"|(?<![\w.\-/])\(?0?\d{2,5}\)?[ \-./]{1,2}\d{3,4}[ \-.]\d{3,4}(?![\w\-/])"  # in three groups, as people write one
    r"|(?<![\w.\-/])0\d{2,4}[ \-]\d{5,8}(?![\w\-/])"  # area code and number
)
_CLASSES = bytes(
    ord("d")
    if chr(code) in "0123456789"
    else ord("s")
    if chr(code) in " ().-/"
    else ord("@")
    if chr(code) in "@+%"
    else code
    if chr(code) in ':"\n'
    else ord(".")
    for code in range(256)
)
"""Every byte to its class: ``d``igit, ``s``eparator, ``@`` for a sign of an address or a prefix, itself, or nothing of interest."""
_ZERO_PREFIX = re.compile(rb"00[1-9](?:[ ().\-/]{0,3}\d){6}")

_PERSONAL_KEYS = frozenset("""
    email emailaddress mail useremail customeremail billingemail shippingemail contactemail sha256email hashedemail emailsha256 em
    phone phonenumber telephone tel mobile mobilephone cell cellphone userphone customerphone billingphone shippingphone contactphone sha256phonenumber fax
    firstname lastname fullname givenname familyname surname middlename customername username billingname shippingname contactname recipientname
    address address1 address2 addressline1 addressline2 street streetaddress billingaddress shippingaddress deliveryaddress
    birthday birthdate dateofbirth dob gender ssn socialsecurity passport nationalid taxid iban creditcard cardnumber cvv cvc accountnumber
    password passwd pwd secret token accesstoken authtoken authorization apikey sessionid ip ipaddress externalid userid customerid
""".split())  # fmt: skip
"""Keys, lower-case without separators, whose values are dropped from properties and context."""
_PERSONAL_TRAITS = _PERSONAL_KEYS | frozenset(
    {"name", "nickname", "avatar", "zip", "zipcode", "postalcode", "postcode", "city", "title", "description", "id"}
)
"""The same for traits, which describe a person: there even ``name`` is one."""
_PERSONAL_QUERY = frozenset("""
    email e mail useremail emailaddress em phone phonenumber tel mobile name firstname lastname fullname surname username user uid userid
    token accesstoken authtoken idtoken refreshtoken code key apikey password passwd pwd secret auth authorization session sessionid sid signature sig otp
    address street dob birthday ssn
""".split())  # fmt: skip
_SEPARATORS = str.maketrans("", "", "_- .$")

_KNOWN_KEYS = 8192
# Property names repeat for ever, so they are remembered in plain dictionaries, emptied when an attacker fills them: a lookup costs a
# twentieth of an LRU cache's, and there are dozens per event.
_keys: dict[str, bool] = {}
_trait_keys: dict[str, bool] = {}
_names: set[str] = set()


def is_personal_key(key: str) -> bool:
    """Whether a property's name says that its value is a person's or a secret; the name may itself hold an address."""
    known = _keys.get(key)
    return _remember(_keys, key, _PERSONAL_KEYS) if known is None else known


def is_personal_trait(key: str) -> bool:
    """The same for a trait's name."""
    known = _trait_keys.get(key)
    return _remember(_trait_keys, key, _PERSONAL_TRAITS) if known is None else known


def _remember(memo: dict[str, bool], key: str, personal: frozenset[str]) -> bool:
    known = key.lower().translate(_SEPARATORS) in personal or text(key) != key
    if len(key) <= 64 and not known:
        if len(memo) >= _KNOWN_KEYS:
            memo.clear()
        memo[key] = False
    return known


def name(value: str) -> str:
    """An event name, redacted; clean ones are remembered, as they repeat for ever."""
    if value in _names:
        return value
    found = text(value)
    if found == value:
        if len(_names) >= _KNOWN_KEYS:
            _names.clear()
        _names.add(value)
    return found


def identifier_is_clean(value: str) -> bool:
    """An id without an address or an international number in it. Digits and dashes alone are an id, whatever they look like."""
    return "@" not in value and "+" not in value and "%" not in value and " " not in value


def text(value: str) -> str:
    """The string with e-mail addresses and telephone numbers replaced."""
    if len(value) < 5:
        return value
    if "@" in value or "%40" in value:
        value = _EMAIL.sub(REDACTED, value)
    if _has_digit_group(value):
        value = _PHONE.sub(REDACTED, value)
    return value


def _has_digit_group(value: str) -> bool:
    return (
        "+" in value
        or "%2" in value
        or " " in value
        or "-" in value
        or "(" in value
        or "." in value
        or "/" in value
        or value.startswith("00")
    )


def properties(value: dict[str, Any]) -> dict[str, Any]:
    """Properties without personal keys, their strings redacted; the same object if there was nothing to do."""
    if not value or is_clean(value):
        return value
    return {key: tree(inner) for key, inner in value.items() if not is_personal_key(key)}


def is_clean(value: dict[str, Any]) -> bool:
    """Nothing in it can be personal. Nearly all events have no trace of an address or number, and a few byte searches over the whole (``in`` is a memory
    search) are cheaper than a look at each string. Every string that :func:`text` or :func:`url` would change leaves one of these traces."""
    if _has_personal_key(value):
        return False
    raw = orjson.dumps(value)
    classes = raw.translate(_CLASSES)
    return not (
        b"@" in classes
        or b"sddds" in classes
        or b"sdddds" in classes
        or b"sddddd" in classes
        or b":ss" in classes
        or (b"00" in raw and _ZERO_PREFIX.search(raw) is not None)
        or len(raw) > MAX_TEXT
    )


def _has_personal_key(value: dict[str, Any]) -> bool:
    known = _keys
    for key, inner in value.items():
        # Only harmless names are remembered, so a miss is either new or personal.
        if key not in known and is_personal_key(key):
            return True
        kind = type(inner)
        if kind is dict:
            if _has_personal_key(inner):
                return True
        elif kind is list:
            for item in inner:
                if type(item) is dict:
                    if _has_personal_key(item):
                        return True
                elif type(item) is list and any(type(deep) in {dict, list} for deep in item):
                    return True  # arrays of arrays are rare: let the walk decide
    return False


def tree(value: Any) -> Any:
    """Any JSON value, redacted; strings over 8 KiB are dropped to ``''``."""
    kind = type(value)
    if kind is str:
        if len(value) > MAX_TEXT:
            return ""
        return url(value) if "://" in value[:12] else text(value)
    if kind is dict:
        return {key: tree(inner) for key, inner in value.items() if not is_personal_key(key)}
    if kind is list:
        return [tree(inner) for inner in value]
    return value


def traits(value: dict[str, Any]) -> dict[str, Any]:
    """Traits that say nothing about who the person is."""
    return {key: tree(inner) for key, inner in value.items() if not is_personal_trait(key)}


def url(value: str) -> str:
    """A URL without credentials, with the values of personal and secret parameters replaced, and addresses in its path or fragment."""
    if "?" in value or "#" in value:
        head, mark, rest = value.partition("?")
        if not mark:
            head, mark, rest = value.partition("#")
            return _clean_path(head) + mark + _parameters(rest)
        query, hash_mark, fragment = rest.partition("#")
        return _clean_path(head) + mark + _parameters(query) + hash_mark + _parameters(fragment)
    return _clean_path(value)


def _clean_path(value: str) -> str:
    if "@" in value:
        scheme, mark, rest = value.partition("://")
        if mark:
            authority, slash, path = rest.partition("/")
            value = scheme + mark + authority.rpartition("@")[2] + slash + path
    return text(value) if "@" in value or "%" in value or "+" in value else value


def _parameters(query: str) -> str:
    if not query:
        return query
    dirty = False
    parts = query.split("&")
    for number, part in enumerate(parts):
        key, mark, value = part.partition("=")
        if not mark:
            cleaned = text(part) if "@" in part or "%" in part else part
        elif _query_key(key):
            cleaned = f"{key}={REDACTED_IN_URL}" if value else part
        elif "@" in value or "%" in value or "+" in value:
            cleaned = f"{key}={_query_value(value)}"
        else:
            continue
        if cleaned != part:
            parts[number] = cleaned
            dirty = True
    return "&".join(parts) if dirty else query


def _query_value(value: str) -> str:
    replaced = _PHONE.sub(REDACTED_IN_URL, _EMAIL.sub(REDACTED_IN_URL, value))
    # A whole URL as a parameter (returnUrl=…) may hold encoded parameters of its own.
    return REDACTED_IN_URL if "%3D" in replaced.upper() and _nested(replaced) else replaced


_NESTED = re.compile(r"(?:%3F|%26|%253F|%2526)([\w%.-]{1,40}?)(?:%3D|%253D)", re.IGNORECASE)


def _nested(value: str) -> bool:
    return any(_query_key(key) for key in _NESTED.findall(value)) or "%2540" in value


def _query_key(key: str) -> bool:
    return key.lower().translate(_SEPARATORS) in _PERSONAL_QUERY
