"""The micro-benchmarks time what the tests read: every wire format has vectors, and each of them goes the whole way."""

import os

import pytest

from benchmarks.micro import path, vectors
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import compile_catalogue
from gateway.consent.gate import Gate
from gateway.consent.settings import ConsentSettings
from gateway.consent.signals import RequestReader
from gateway.event.model import Wire
from gateway.identity.seal import Visitor
from gateway.mapping.compile import Mapped

# as many as there are in tests/vectors; the image and the pixel carry the events of Signal
COUNTS = {Wire.SIGNAL: 42, Wire.PIXEL: 42, Wire.IMAGE: 42, Wire.NATIVE: 8}


@pytest.mark.parametrize("wire", Wire)
def test_vectors_in_every_wire_format(wire: Wire) -> None:
    found = vectors.formats()[wire]
    parsed = [found.read(body) for body in found.bodies]
    assert not [rejection for each in parsed for rejection in each.rejected]
    catalogue = compile_catalogue(
        [PipelineSettings(id="shop", key="dk_1", integrations=["tiktok"])], [IntegrationSettings(id="tiktok", pixel_code="C4ABC")], os.urandom(16)
    )  # fmt: skip
    settings = ConsentSettings()
    request = RequestReader(settings).read({}, None)
    steps = path.way(
        found, Gate(settings), request, catalogue.pipelines[0].sealer, Visitor(), catalogue.integrations["tiktok"].program
    )
    events = steps.read()
    assert {event.wire for event in events} == {wire}
    assert len(events) == len(steps.seal()) == COUNTS[wire]
    outcomes = steps.map()
    assert isinstance(outcomes, list)
    assert sum(isinstance(outcome, Mapped) for outcome in outcomes) >= COUNTS[wire] // 2
