import hashlib
import hmac
from dataclasses import replace

import pytest

from market.admission import CODES, AssetPool, Condition, Registration
from market.errors import AdmissionError

KEYS = {"anna": b"a", "ben": b"b"}


def verify(message, signature, owner):
    return owner in KEYS and hmac.compare_digest(sign(message, owner), signature)


def sign(message, owner):
    return hmac.new(KEYS[owner], message, hashlib.sha256).digest()


def registration(asset="pv_1", owner="anna", place="DE001", stake=0):
    unsigned = Registration(asset, owner, place, "pv", 8_000, stake, b"")
    return replace(unsigned, signature=sign(unsigned.message(), owner))


def codes(decision):
    return [reason.code for reason in decision.reasons]


def test_a_signed_asset_at_its_own_place_is_admitted():
    pool = AssetPool(Condition(), verify)
    decision = pool.admit(registration(), 0)
    assert decision.admitted
    assert [a.asset_id for a in pool.assets] == ["pv_1"]


def test_every_reason_for_refusal_is_given_as_data():
    pool = AssetPool(Condition("stake", stake_micro=100), verify)
    assert pool.admit(registration(stake=100), 0).admitted
    forged = replace(registration(asset="pv_2", owner="ben", stake=50), p_max_w=9_000)
    decision = pool.admit(forged, 0)
    assert codes(decision) == ["not_signed", "location_taken", "stake_too_low"]
    assert set(codes(decision)) <= set(CODES)
    assert "location of pv_1" in decision.reasons[1].text
    assert len(pool.assets) == 1
    assert codes(pool.admit(registration(stake=100), 0)) == ["asset_known"]


def test_a_changed_field_breaks_the_signature():
    signed = registration()
    for change in (
        {"p_max_w": 1},
        {"meter_point": "DE002"},
        {"owner": "ben"},
        {"kind": "ev"},
        {"stake_micro": 5},
    ):
        pool = AssetPool(Condition(), verify)
        assert codes(pool.admit(replace(signed, **change), 0)) == ["not_signed"]


def test_a_window_is_half_open():
    pool = AssetPool(Condition("window", from_s=10, to_s=20), verify)
    assert codes(pool.admit(registration(), 9)) == ["outside_window"]
    assert codes(pool.admit(registration(), 20)) == ["outside_window"]
    assert pool.admit(registration(), 10).admitted


def test_withdrawing_frees_the_place():
    pool = AssetPool(Condition(), verify)
    pool.admit(registration(), 0)
    assert pool.withdraw("pv_1").meter_point == "DE001"
    assert pool.admit(registration("pv_2", "ben"), 0).admitted
    with pytest.raises(AdmissionError, match="is not in the pool"):
        pool.withdraw("pv_1")


def test_malformed_registrations_are_errors_with_all_problems():
    with pytest.raises(AdmissionError) as caught:
        Registration("a\nb", "", "x", "pv", 0, -1, b"")
    assert len(caught.value.problems) == 3
