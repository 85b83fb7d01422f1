"""Assets must be admitted to the local market: what was refused trades with the supplier only, and why is data."""

import pytest

from adapters.chain.errors import ChainInputError
from adapters.chain.signatures import participant_signer, sign_text, signer_of


def frame(result, table):
    return result.table(table).to_pandas()


REGISTRATIONS = [
    {"participant": "load 0", "device": "battery", "signed_by": "load 1"},
    {"participant": "load 1", "device": "battery", "meter_point": "load 2/battery"},
    {"participant": "load 3", "device": "battery", "stake_eur": 1},
    {"participant": "load 4", "device": "battery", "at_h": 2},
    {"participant": "load 6", "device": "pv", "at_h": 48},  # the run is over by then
]


@pytest.fixture(scope="module")
def admitted(run_street):
    admission = {"condition": "stake", "stake_eur": 5, "default_stake_eur": 5, "registrations": REGISTRATIONS}
    market = {"mechanism": "call_auction", "admission": admission, "shadow": ["pay_as_bid"]}
    return run_street(market=market, duration_days=0.2)


def test_every_reason_is_data(admitted):
    rows = frame(admitted, "admissions").set_index("asset")
    refused = rows[~rows["admitted"]]
    assert {asset: list(codes) for asset, codes in refused["codes"].items()} == {
        "load 0/battery": ["not_signed"],
        "load 2/battery": ["location_taken"],  # house 1 registered first, at house 2's meter point
        "load 3/battery": ["stake_too_low"],
        "load 6/pv": ["after_the_end"],
    }
    assert len(rows) == 14, "five cars, five batteries, four plants"
    assert "is the location of load 1/battery" in refused.loc["load 2/battery", "reasons"]
    assert rows.loc["load 4/battery", "at_s"] == 7200
    assert [entry["asset"] for entry in admitted.verdict_record["refused"]] == sorted(refused.index)


def test_what_is_not_admitted_trades_with_the_supplier_only(admitted):
    trades = frame(admitted, "trades")
    batteries = trades[(trades["device"] == "battery") & (trades["counterparty"] == "pool")]
    assert set(batteries["participant"]) == {"load 1", "load 4"}
    late = batteries[batteries["participant"] == "load 4"]
    assert late["interval"].min() >= 8
    assert (trades["device"] == "house").any(), "a house needs no admission"


def test_shadows_clear_what_the_settling_mechanism_may(admitted):
    rows = frame(admitted, "mechanisms")
    volumes = rows.pivot_table(index="interval", columns="mechanism", values="volume_wh")
    assert (volumes["call_auction"] == volumes["pay_as_bid"]).all()


def test_a_window_admits_who_comes_in_time(run_street):
    late = [{"participant": "load 0", "device": "battery", "at_h": 1}]
    admission = {"condition": "window", "from_h": 0, "to_h": 1, "registrations": late}
    result = run_street(market={"admission": admission}, duration_days=0.02)
    rows = frame(result, "admissions")
    assert rows.loc[~rows["admitted"], "asset"].tolist() == ["load 0/battery"]
    assert list(rows.loc[~rows["admitted"], "codes"].iloc[0]) == ["outside_window", "after_the_end"]


def test_who_signed_can_be_read_from_the_signature():
    one, other = participant_signer(7, "load 1"), participant_signer(7, "load 2")
    signature = sign_text(one, b"a text")
    assert signer_of(b"a text", signature) == one.address != other.address
    assert signer_of(b"another text", signature) != one.address
    assert participant_signer(8, "load 1").address != one.address
    for broken in (b"", b"x" * 65, signature[:-1]):
        with pytest.raises(ChainInputError, match="65 bytes"):
            signer_of(b"a text", broken)


@pytest.mark.parametrize("condition", [{}, {"condition": "stake", "stake_eur": 0, "registrations": []}])
def test_where_nothing_is_refused_the_table_says_so(run_street, condition):
    result = run_street(market={"admission": condition}, duration_days=0.02)
    rows = frame(result, "admissions")
    assert rows["admitted"].all() and len(rows) == 14
    assert [list(codes) for codes in rows["codes"]] == [[]] * 14


def registered(**differs):
    return {"admission": {"registrations": [{"participant": "load 0", "device": "battery", **differs}]}}


WRONG = [
    (registered(stake_eur=-5), "registrations[0].stake_eur", "too small"),
    (registered(meter_point="a\nb"), "registrations[0].meter_point", "printable"),
    ({"admission": {"default_stake_eur": -1}}, "admission.default_stake_eur", "too small"),
    ({"admission": {"condition": "stake", "stake_eur": -1}}, "admission.stake_eur", "too small"),
    ({"mechanism": "call_auction", "ahead": {}}, "market.ahead", "pool_and_book or order_book"),
    ({"mechanism": "pool_and_book", "ahead": {"arbitrageur": "load 99"}}, "arbitrageur", "no such connection point"),
    ({"mechanism": "order_book", "ahead": {"leaving": [{"provider": "load 1", "at_h": 1}]}}, "leaving", "no pool to leave"),
    ({"mechanism": "pool_and_book", "ahead": {"leaving": [{"provider": "who", "at_h": 1}]}}, "leaving[0].provider", "no such"),
    ({"mechanism": "order_book", "ahead": {"arbitrageur": "load 1"}}, "arbitrageur", "no pool to trade with"),
    ({"mechanism": "order_book", "parameters": {"horizon": 9}, "ahead": {}}, "parameters.horizon", "differs"),
    ({"mechanism": "pool_and_book", "index": "mid_market"}, "market.index", "an index of its own"),
    ({"mechanism": "none", "admission": {}}, "market.mechanism", "admission needs a local market"),
    ({"admission": {"from_h": 3, "to_h": 2}}, "market.admission", "must be before"),
    (
        {"admission": {"registrations": [{"participant": "load 9", "device": "pv"}]}},
        "registrations[0].device", "no such asset",
    ),
    (
        {"admission": {"registrations": [{"participant": "who", "device": "pv", "signed_by": "me"}]}},
        "registrations[0].signed_by", "no such connection point",
    ),
    (
        {"mechanism": "amm", "supplier": {"retail_price_eur_per_kwh": 0.08, "feed_in_price_eur_per_kwh": 0.08}},
        "market.mechanism", "band",
    ),
    (
        {"shadow": ["pool_and_book"],
         "supplier": {"retail_price_eur_per_kwh": 0.08, "feed_in_price_eur_per_kwh": 0.08}},
        "market.shadow[0]", "no band",
    ),
    ({"shadow": ["mcafee", "amm", "mcafee"]}, "market.shadow", "more than once"),
    ({"index": "supply_demand", "supplier": {"feed_in_price_eur_per_kwh": 0}}, "market.index", "positive feed-in"),
]  # fmt: skip


@pytest.mark.parametrize(("market", "where", "what"), WRONG)
def test_wrong_input_is_refused_before_anything_runs(run_street, market, where, what):
    from twin.scenario.problems import ScenarioError

    with pytest.raises(ScenarioError) as caught:
        run_street(market=market, duration_days=0.02)
    assert where in str(caught.value)
    assert what in str(caught.value)
