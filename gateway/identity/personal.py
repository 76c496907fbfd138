"""Which names of fields and parameters stand for a person or a secret (pure).

Law: a key is judged by its words, whatever its spelling (``customerEmail`` = ``customer_email`` = ``checkout[email]``). ``name`` is a product's in
properties and a person's in traits. Verdicts are remembered under the key only where the key itself holds nothing personal.
"""

import re
from typing import Final, TypeVar
from urllib.parse import unquote

_V = TypeVar("_V")


# Verdicts on a key. Plain integers: an enumeration's members cost more to look up than all else that is done with them.
PLAIN: Final = 0
"""Says nothing: look at the value."""
CODE: Final = 1
"""An identifier, a code, an amount or a date: digits in it are not a telephone number written for people."""
PERSON: Final = 2
"""An object below it describes a person; a text below it names one."""
PARTY: Final = 3
"""An object below it describes a person; a text below it need not (``shipping: express``)."""
DROP: Final = 4
"""A person's or a secret: its value never leaves."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_MAX_KEY: Final = 64
_MEMO: Final = 8192

_HASHES: Final = frozenset("sha sha1 sha256 md5 hash hashed hex".split())
_NOUNS: Final = frozenset("""
    email emails mail phone phones telephone tel mobile cell cellphone fax msisdn whatsapp
    firstname lastname fullname surname forename nickname username birthday birthdate dob ssn passport iban
    password passwd pwd passcode secret token tokens authorization credential credentials cookie otp cvv cvc
    telefon telefono telefone telefonnummer handy handynummer vorname nachname prenom apellido apellidos cognome correo adresse direccion indirizzo
    strasse geburtsdatum passwort contrasena
""".split())  # fmt: skip
"""As the last word of a key they decide, whatever stands before them."""
_PAIRS: Final = frozenset("""
    emailaddress mailaddress phonenumber telephonenumber mobilenumber cellnumber mobilephone cellphone contactnumber
    firstname lastname givenname familyname middlename maidenname fullname birthdate dateofbirth
    addressline streetaddress streetname housenumber postaladdress taxid nationalid vatnumber passportnumber idnumber
    cardnumber creditcard accountnumber socialsecurity securitynumber apikey accesskey secretkey privatekey authkey sessionkey
    sessionid userid customerid externalid externalids visitorid memberid anonymousid deviceid advertisingid ipaddress
""".split())  # fmt: skip
"""The last two (or three) words, joined."""
_NUMBERED: Final = frozenset("phone telephone tel mobile cell cellphone fax contact whatsapp msisdn telefon handy".split())
"""Before ``no``, ``nr`` or ``num``: a number to call."""
_NUMBERS: Final = frozenset(f"{kind}{number}" for kind in _NUMBERED for number in ("no", "nr", "num"))
_EXACT: Final = frozenset(
    "em gender_identity ip idfa idfv gaid aaid adid street street1 street2 address address1 address2 useragent auth session".split()
)
_WHO: Final = frozenset("""
    first last full given family middle maiden nick user customer billing shipping contact recipient buyer guest passenger member holder cardholder
    driver traveler traveller patient employee student subscriber client sender visitor lead owner attendee parent child login account person display your my
""".split())  # fmt: skip
"""``<who>_name`` is a person's; ``product_name``, ``page_name`` are not."""
_PREMISES: Final = frozenset(
    "hotel store shop venue property listing dealer dealership branch merchant restaurant destination pickup web".split()
)
"""Whose address is a place of business."""
_PERSONS: Final = frozenset("""
    customer user buyer recipient person contact visitor passenger traveler traveller driver attendee patient student subscriber sender
    customers users contacts passengers travelers travellers drivers attendees
""".split())  # fmt: skip
_PARTIES: Final = frozenset("""
    billing shipping delivery account profile lead client guest guests member members participants traits company household
    customerinfo customerdetails customerdata userinfo userdata userdetails userproperties contactinfo contactdetails
    billinginfo billingdetails shippinginfo shippingdetails passengerdetails guestdetails personal personalinfo
""".split())  # fmt: skip
_CODES: Final = frozenset("""
    id ids sku skus gtin ean upc isbn mpn asin vin barcode number no code codes ref reference price value revenue total subtotal amount quantity tax discount
    date time timestamp version currency uuid guid order transaction invoice
""".split())  # fmt: skip
_TRAITS: Final = frozenset("""
    name nickname avatar photo picture image zip zipcode postalcode postcode plz city title salutation description bio about id uid gender sex age
    lat latitude lng lon longitude location login handle website fn ln ph
""".split())  # fmt: skip
"""In what describes a person these too are personal."""
_QUERY: Final = frozenset("""
    e em ph fn ln name names code key user uid login auth sig signature sid session credential hmac jwt otp pin zip zipcode postalcode postcode
    pass userpass loginpass fname lname street city dob birthday jsessionid phpsessid sessid
""".split())  # fmt: skip
"""In URLs these too: an OAuth code, a reset key, a name typed into a form."""
_SECRET_CODES: Final = frozenset(
    "auth authorization verification verify reset access invite activation security login otp confirm confirmation magic".split()
)
"""``<one of these>_code`` and ``_key`` in a URL opens something; ``coupon_code`` and ``product_code`` do not."""

_properties: Final[dict[str, int]] = {}
_traits: Final[dict[str, int]] = {}
_queries: Final[dict[str, bool]] = {}


def property_kind(key: str) -> int:
    """The verdict on a key of properties or context."""
    found = _properties.get(key)
    if found is None:
        found = _judge(key)
        _remember(_properties, key, found)
    return found


def trait_kind(key: str) -> int:
    """The verdict on a key of traits, or of an object that describes a person."""
    found = _traits.get(key)
    if found is None:
        found = _judge(key)
        words = _words(key)
        if found != DROP and words and ("".join(words) in _TRAITS or words[-1] in {"name", "city", "zip", "postcode"}):
            found = DROP
        _remember(_traits, key, found)
    return found


def is_personal_query(key: str) -> bool:
    """Whether a URL parameter's name says that its value is a person's or a secret."""
    found = _queries.get(key)
    if found is None:
        words = _words(key)
        found = bool(words) and (
            _judge(key) == DROP
            or "".join(words) in _QUERY
            or words[-1] in {"auth", "signature", "sig", "jwt", "hmac", "session"}
            or (words[-1] in {"code", "key"} and len(words) > 1 and words[-2] in _SECRET_CODES)
        )
        _remember(_queries, key, found)
    return found


def is_personal_key(key: str) -> bool:
    """Whether a property of this name is dropped."""
    return property_kind(key) == DROP


def _remember(memo: dict[str, _V], key: str, value: _V) -> None:
    # A key that holds digits may itself be somebody's number, a long one anything: those are judged anew each time.
    if len(key) <= _MAX_KEY and sum(map(str.isdigit, key)) < 6 and "@" not in key:
        if len(memo) >= _MEMO:
            memo.clear()
        memo[key] = value


def _words(key: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(unquote(key[:256]))]
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _HASHES or words[-1] == "s"):
        words.pop()
    start = 0
    while start < len(words) - 1 and (words[start] in _HASHES or words[start] in {"256", "1"}):
        start += 1
    return words[start:]


def _judge(key: str) -> int:
    words = _words(key)
    if not words:
        return PLAIN
    last, joined = words[-1], "".join(words)
    if (
        last in _NOUNS
        or joined in _EXACT
        or joined in _NOUNS
        or "".join(words[-2:]) in _PAIRS
        or "".join(words[-3:]) in _PAIRS
        or joined in _PAIRS
        or (last in {"no", "nr", "num"} and len(words) > 1 and words[-2] in _NUMBERED)
        or joined in _NUMBERS
        or (last == "name" and len(words) > 1 and words[-2] in _WHO)
        or (last in {"address", "street"} and not _PREMISES.intersection(words))
    ):
        return DROP
    if joined in _PERSONS:
        return PERSON
    if joined in _PARTIES:
        return PARTY
    return CODE if last in _CODES else PLAIN
