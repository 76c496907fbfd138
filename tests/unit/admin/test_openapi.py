"""The API's document: every answer has a shape, and the check that holds answers against it finds what is wrong."""

from typing import Any

import pytest
from documented import document, undocumented

TOLD = {"id": 7, "at": 1.5, "actor": "ops", "summary": "Edited", "current": True}


def test_every_answer_is_described() -> None:
    """A client made from the document knows what it gets."""
    bare = []
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            status = next(each for each in operation["responses"] if each.startswith("2"))
            for media, content in operation["responses"][status].get("content", {}).items():
                described = (
                    "$ref" in content["schema"] if media == "application/json" else content["schema"] == {"type": "string"}
                )
                bare += [] if described else [f"{method} {path}"]
    assert bare == []


def test_entries_are_told_by_the_fields_of_their_configuration_and_no_secret() -> None:
    schemas = document()["components"]["schemas"]
    for name, secret in (("Integration", "access_token"), ("Pipeline", "secret")):
        settings = schemas[{"Integration": "IntegrationInput", "Pipeline": "PipelineSettings"}[name]]["properties"]
        told = schemas[name]["properties"]
        assert settings.keys() - told.keys() == {secret}
        assert told["id"]["description"] == settings["id"]["description"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"at": 1}, ""),
        ({"id": "7"}, "$.items[0].id is '7', no integer"),
        ({"id": True}, "no integer"),
        ({"more": 1}, "$.items[0].more is not in the document"),
        ({"at": None}, "no number"),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], words: str) -> None:
    found = undocumented("GET", "revisions?limit=3", 200, {"items": [{**TOLD, **change}], "next": None})
    assert [words in each for each in found] == ([True] if words else [])


def test_what_is_missing_is_named_and_so_is_what_nobody_declared() -> None:
    assert undocumented("GET", "revisions", 200, {"items": []}) == ["GET /api/v1/revisions: $.next is missing"]
    assert undocumented("GET", "revisions/7/diff", 200, {"files": [{"path": "x", "lines": [{"op": "?", "text": ""}]}]})
    assert "no answer 204" in undocumented("GET", "revisions", 204, None)[0]
    assert "no such operation" in undocumented("GET", "nothing", 200, {})[0]
