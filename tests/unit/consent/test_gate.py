"""The gate: which signals win, and what an integration is told."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent import gate as gate_module
from gateway.consent.gate import Gate
from gateway.consent.settings import ConsentSettings
from gateway.consent.signals import RequestSignals
from gateway.outcome import Reason

MARKETING = ("marketing",)


def decide(event=None, mode="", cookies=None, *, gpc=False, **settings):
    return Gate(ConsentSettings(**settings)).decide(
        event, mode, RequestSignals(cookies or {}, "onetrust" if cookies else "", gpc)
    )


@pytest.mark.parametrize(
    ("event", "mode", "cookies", "gpc", "default", "reason", "source"),
    [
        (None, "", {}, False, "deny", Reason.CONSENT_MISSING, "default"),
        (None, "", {}, False, "grant", Reason.NONE, "default"),
        ({}, "", {}, False, "deny", Reason.CONSENT_MISSING, "default"),
        ({"marketing": True}, "", {}, False, "deny", Reason.NONE, "event"),
        ({"marketing": False}, "", {}, False, "grant", Reason.CONSENT_DENIED, "event"),
        ({"analytics": True}, "", {}, False, "deny", Reason.CONSENT_MISSING, "event"),
        (None, "", {"marketing": True}, False, "deny", Reason.NONE, "onetrust"),
        (None, "G111", {}, False, "deny", Reason.NONE, "consent_mode"),
        (None, "G100", {}, False, "grant", Reason.CONSENT_DENIED, "consent_mode"),
        (None, "G1--", {}, False, "deny", Reason.CONSENT_MISSING, "default"),
        # any denial beats any grant
        ({"marketing": True}, "G111", {"marketing": False}, False, "grant", Reason.CONSENT_DENIED, "event+onetrust+consent_mode"),
        ({"marketing": False}, "G111", {"marketing": True}, False, "grant", Reason.CONSENT_DENIED, "event+onetrust+consent_mode"),
        ({"marketing": True}, "G100", {"marketing": True}, False, "grant", Reason.CONSENT_DENIED, "event+onetrust+consent_mode"),
        ({"marketing": True}, "", {"marketing": True}, True, "grant", Reason.GPC, "event+onetrust+gpc"),
        (None, "", {}, True, "grant", Reason.GPC, "gpc"),
        ({"marketing": False}, "", {}, True, "deny", Reason.CONSENT_DENIED, "event+gpc"),
    ],
)
def test_who_wins(event, mode, cookies, gpc, default, reason, source):
    decision = decide(event, mode, cookies, gpc=gpc, default=default)
    assert decision.refusal(MARKETING) is reason
    assert decision.source == source
    assert decision.allows("marketing") is (reason is Reason.NONE)
    assert decision.explicitly_denied("marketing") is (reason in {Reason.GPC, Reason.CONSENT_DENIED})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"advertising": True}, Reason.NONE),
        ({"advertising": False}, Reason.CONSENT_DENIED),
        ({"advertising": True, "marketing": False}, Reason.CONSENT_DENIED),
        ({"advertising": False, "marketing": True}, Reason.NONE),
        ({"analytics": True}, Reason.CONSENT_MISSING),
    ],
)
def test_marketing_falls_back_to_advertising_only_where_it_is_absent(said, reason):
    assert decide(said).refusal(MARKETING) is reason
    assert decide({"marketing": True}).refusal(("advertising",)) is Reason.CONSENT_MISSING


def test_all_categories_are_needed():
    both = ("marketing", "analytics")
    assert decide({"marketing": True, "analytics": True}).refusal(both) is Reason.NONE
    assert decide({"marketing": True}).refusal(both) is Reason.CONSENT_MISSING
    assert decide({"marketing": True, "analytics": False}).refusal(both) is Reason.CONSENT_DENIED
    assert decide({"analytics": True}, gpc=True).refusal(both) is Reason.GPC
    assert decide({"analytics": False}, gpc=True).refusal(both) is Reason.CONSENT_DENIED
    assert decide({"analytics": True}, gpc=True).refusal(("analytics",)) is Reason.NONE
    assert decide().refusal(()) is Reason.NONE


def test_gpc_that_is_not_honoured_is_only_recorded():
    decision = decide({"marketing": True}, gpc=True, honour_gpc=False)
    assert decision.allows("marketing")
    assert decision.gpc
    assert decision.source == "event"
    assert not decide({"marketing": True}).gpc


def test_what_a_decision_says():
    decision = decide({"marketing": True, "analytics": False}, cookies={"functional": True, "marketing": True})
    assert decision.granted == ["functional", "marketing"]
    assert decision.denied == ["analytics"]
    assert not decision.explicitly_denied("unheard-of")


def test_server_side_senders_have_no_request():
    gate = Gate(ConsentSettings())
    assert gate.decide({"marketing": True}, "", None).allows("marketing")
    assert not gate.decide(None, "", None).allows("marketing")


def test_odd_category_names_go_no_further():
    names = {"jane@example.com": True, "+447700900123": True, "": True, "x" * 50: True, "marketing": True, "a\nb": True}
    assert decide(names).granted == ["marketing"]
    assert len(decide({f"c{n}": True for n in range(500)}).granted) <= 32


def test_equal_signals_share_a_decision_and_different_ones_do_not():
    gate = Gate(ConsentSettings())
    seen = {}
    requests = [
        RequestSignals(said, source, gpc)
        for said in ({}, {"marketing": True}, {"marketing": False})
        for source in ("onetrust", "tcf")
        for gpc in (False, True)
    ]
    for number, request in enumerate(requests):
        for event, mode in itertools.product((None, {"marketing": True}, {"marketing": False}), ("", "G111", "G100")):
            decision = gate.decide(event, mode, request)
            assert (
                gate.decide(event and dict(event), mode, RequestSignals(dict(request.categories), request.source, request.gpc))
                is decision
            )
            assert seen.setdefault(id(decision), (number, str(event), mode)) == (number, str(event), mode)


def test_decisions_are_remembered_within_bounds():
    gate = Gate(ConsentSettings())
    for n in range(gate_module._MEMO + 10):
        gate.decide({f"c{n}": True}, "", None)
    assert len(gate._memo) <= gate_module._MEMO
    before = len(gate._memo)
    assert gate.decide({"x" * 200: True, "y" * 200: True, "marketing": True}, "", None).allows("marketing")
    assert not gate.decide(None, "G111" + "x" * 200, None).explicitly_denied("marketing")
    gate.decide({"marketing": True}, "x" * 200, None)
    assert len(gate._memo) == before


_SAID = st.dictionaries(st.sampled_from(["marketing", "advertising", "analytics"]), st.booleans())


@given(_SAID, _SAID, st.sampled_from(["", "G111", "G100", "G101", "G1-0"]), st.booleans(), st.sampled_from(["deny", "grant"]))
def test_a_denial_from_anybody_is_final(event, cookies, mode, gpc, default):
    decision = decide(event, mode, cookies, gpc=gpc, default=default)
    denied = event.get("marketing") is False or cookies.get("marketing") is False or mode in {"G100", "G101"} or gpc
    if denied:
        assert decision.refusal(MARKETING) in {Reason.CONSENT_DENIED, Reason.GPC}
    elif event.get("marketing") or cookies.get("marketing") or mode == "G111":
        assert decision.allows("marketing")
    assert not set(decision.granted) & set(decision.denied)
