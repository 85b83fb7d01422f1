"""AssetRegistry: one asset per meter point and key, and a history that can be read back from the chain alone."""

import pytest

from adapters.chain.typed import account_id

ROOF = account_id("house_07.pv")
METER = b"\x01" * 32


@pytest.fixture
def registry(bench):
    return bench.create("AssetRegistry", ["address"], [bench.operator.address])


def asset(owner, key, kind=1, capacity=9_800, meter=METER, efficiency=0, retired=False):
    return (owner.address, kind, retired, efficiency, key.address, capacity, meter, b"\x05" * 32)


def test_the_history_of_an_asset_is_read_back_from_its_events(bench, registry):
    owner, buyer, key, new_key = (bench.signer(name) for name in ("owner", "buyer", "key", "new key"))
    bench.send(registry, "register", "house_07.pv", asset(owner, key))
    bench.send(registry, "configure", ROOF, new_key.address, 12_000, 0, b"\x06" * 32, "two more modules")
    bench.send(registry, "offer", ROOF, buyer.address, by=owner)
    bench.send(registry, "accept", ROOF, by=buyer)
    bench.send(registry, "retire", ROOF, "sold to scrap", by=buyer)
    names = ("AssetRegistered", "AssetConfigured", "AssetOffered", "AssetTransferred", "AssetRetired")
    history = [registry.history(name, ROOF) for name in names]
    assert [len(events) for events in history] == [1] * 5
    assert history[0][0]["name"] == "house_07.pv"
    assert history[0][0]["asset"][5] == 9_800
    assert history[1][0]["asset"][4].lower() == new_key.address.lower()
    assert (history[1][0]["asset"][5], history[1][0]["reason"]) == (12_000, "two more modules")
    assert history[3][0]["to"].lower() == buyer.address.lower()
    state = registry.read("assetOf", ROOF)
    assert (state[0].lower(), state[2]) == (buyer.address.lower(), True)


def test_a_meter_point_and_a_key_serve_one_asset_at_a_time(bench, registry, refused):
    owner, key, other = bench.signer("owner"), bench.signer("key"), bench.signer("other")
    bench.send(registry, "register", "house_07.pv", asset(owner, key))
    with pytest.raises(refused, match="AssetExists"):
        bench.send(registry, "register", "house_07.pv", asset(owner, other, meter=b"\x02" * 32))
    with pytest.raises(refused, match="MeterPointTaken"):
        bench.send(registry, "register", "x", asset(owner, other))
    with pytest.raises(refused, match="DeviceKeyTaken"):
        bench.send(registry, "register", "x", asset(owner, key, meter=b"\x02" * 32))
    bench.send(registry, "retire", ROOF, "broken")
    bench.send(registry, "register", "x", asset(owner, key))  # both are free again
    with pytest.raises(refused, match="AssetExists"):
        bench.send(registry, "register", "house_07.pv", asset(owner, other, meter=b"\x02" * 32))
    assert registry.read("ids", 0, 9) == (ROOF, account_id("x"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"capacity": 0}, "capacity"),
        ({"meter": bytes(32)}, "meterPoint"),
        ({"efficiency": 1_000_001}, "efficiencyPpm"),
        ({"kind": 2, "efficiency": 0}, "efficiencyPpm"),
        ({"retired": True}, "retired"),
    ],
)
def test_an_asset_that_makes_no_sense_is_refused(bench, registry, refused, changes, said):
    with pytest.raises(refused, match=rf"BadAsset\(what={said}\)"):
        bench.send(registry, "register", "x", asset(bench.operator, bench.signer("key"), **changes))


def test_nobody_changes_what_is_not_theirs(bench, registry, refused):
    owner, key, nobody = bench.signer("owner"), bench.signer("key"), bench.signer("nobody")
    bench.send(registry, "register", "house_07.pv", asset(owner, key))
    for name, args, said in [
        ("register", ("x", asset(owner, nobody, meter=b"\x02" * 32)), "Unauthorized"),
        ("configure", (ROOF, key.address, 1, 0, METER, ""), "Unauthorized"),
        ("offer", (ROOF, nobody.address), "NotAllowed"),
        ("accept", (ROOF,), "NotAllowed"),
        ("retire", (ROOF, ""), "NotAllowed"),
    ]:
        with pytest.raises(refused, match=said):
            bench.send(registry, name, *args, by=nobody)
    bench.send(registry, "retire", ROOF, "", by=owner)
    for name, args in [("offer", (ROOF, nobody.address)), ("retire", (ROOF, ""))]:
        with pytest.raises(refused, match="AlreadyRetired"):
            bench.send(registry, name, *args, by=owner)
    with pytest.raises(refused, match="UnknownAsset"):
        bench.send(registry, "retire", account_id("nothing"), "")
