"""The schema speaks for itself: units in the names, words for what is allowed, a description for each key."""

import json
import re

from twin.scenario.keypath import canonical, parse, render
from twin.scenario.keys import all_keys, allowed_at, json_schema, known_keys
from twin.scenario.quantity import UNITS, suggestion

UNITLESS = {
    "seed", "count", "factor", "robust", "efficiency", "soc_initial", "soc_min", "soc_max", "line_impedance_factor", "power_factor", "tap_pos", "min", "max",
    "chain_id", "confirmations", "reorg_blocks", "quorum", "horizon_intervals", "heat_initial", "comfort_min", "comfort_normal", "cop",
}  # fmt: skip


def test_every_number_carries_its_unit():
    for key in all_keys():
        name = key.path.rsplit(".", 1)[1] if "." in key.path else key.path
        if re.match(r"a (whole )?number|a price", key.allowed):
            assert name in UNITLESS or any(name.endswith(suffix) for suffix in UNITS), key.path


def test_every_key_is_described():
    assert [key.path for key in all_keys() if not key.description] == []


def test_what_is_allowed_in_words():
    tree = {"participants": {"assets": [{"kind": "battery"}]}}
    assert allowed_at(("judge",)) == "trades, feeder or both"
    assert allowed_at(("duration_days",)) == "a number above 0 and up to 3660"
    assert allowed_at(("participants", "include")) == "all or a list of names"
    assert allowed_at(("participants", "assets", 0, "soc_min"), tree) == "a number from 0 to 1"
    assert allowed_at(("participants", "assets", 0, "arrival_h"), tree) == ""
    assert allowed_at(("variants", "x", "judged")) == "true or false"
    assert allowed_at(("nonsense",)) == ""
    assert "arrival_h" not in known_keys(("participants", "assets", 0), tree)


def test_the_json_schema_is_plain_data_and_closed():
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    sections = [d for d in schema["$defs"].values() if "properties" in d]
    assert len(sections) > 10
    assert all(d["additionalProperties"] is False for d in sections)
    retail = schema["$defs"]["SupplierSection"]["properties"]["retail_price_eur_per_kwh"]
    assert (retail["type"], retail["default"]) == ("number", 0.32)


def test_key_paths_round_trip():
    for text in ("a", "a.b", "a[0]", "a.b[3].c", "a[1][2]"):
        assert render(parse(text)) == text
    assert canonical(("a", "0", "b"), {"a": [{"b": 1}]}) == ("a", 0, "b")
    assert canonical(("a", "0"), {"a": {"0": 1}}) == ("a", "0")


def test_quantities_in_the_unit_of_the_key():
    number = "a number"
    assert suggestion("p_max_w", "11kW", number) == "Write 11000."
    assert suggestion("capacity_wh", "13,5 kWh", number) == "Write 13500."
    assert suggestion("interval_s", "1 h", number) == "Write 3600."
    assert suggestion("duration_days", "2 weeks", number) == "Write 14."
    assert suggestion("voltage_min_pu", "94 %", number) == "Write 0.94."
    assert suggestion("feed_in_price_eur_per_kwh", "80 EUR/MWh", "a price") == "Write 0.08."
    assert suggestion("arrival_h", "17:45", number) == "Write 17.75."
    assert suggestion("p_max_w", "11 kWh", number) == "", "power is not energy"
    assert suggestion("title", "11 kW", "text") == ""
