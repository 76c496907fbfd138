"""The request that people may repeat: whole but for the person, and never with what looks like a value and is none."""

import orjson

from gateway.admin.requests import body

ITEM = {
    "event": "Purchase",
    "user": {"email": "a" * 64, "phone": ["b" * 64, "c" * 64], "ip": "81.2.69.142", "ttclid": "E.C.P", "user_agent": "Mozilla", "ttp": "d" * 64},
    "properties": {"value": 9.5, "description": "e" * 64},
}  # fmt: skip


def test_what_finds_a_person_is_named_and_the_rest_is_as_it_was_sent() -> None:
    found = body("C1", "", ITEM)
    assert found["data"][0] == {
        **ITEM,
        "user": {
            "email": "<sha256 of the e-mail>",
            "phone": ["<sha256 of the phone number>"] * 2,
            "ip": "<IP address>",
            "ttclid": "E.C.P",
            "user_agent": "Mozilla",
            "ttp": "<ttp>",
        },
    }
    assert (found["event_source_id"], "test_event_code" in found) == ("C1", False)


def test_the_test_code_stands_where_it_stood() -> None:
    assert list(body("C1", "TEST1", {"event": "x"})) == list(
        orjson.loads(b'{"event_source":"","event_source_id":"","test_event_code":"","data":[]}')
    )
