"""GreenCertificates: never more certified than metered, each Wh once, also through a battery."""

import pytest

from adapters.chain import typed
from adapters.chain.readings import MeterReading, Tree, readings_root
from market.merkle import merkle_proof, merkle_root, verify_proof

START_S = 1_453_114_800
QUARTER_S = 900


def reading(asset, slot=0, exported=0, imported=0, length_s=QUARTER_S):
    start_s = START_S + slot * QUARTER_S
    return MeterReading(asset, start_s, start_s + length_s, exported, imported)


class Street:
    """A PV owner and a battery owner with registered assets and certificates over the bench's settlement."""

    def __init__(self, bench):
        self.bench = bench
        self.registry = bench.create("AssetRegistry", ["address"], [bench.operator.address])
        types = ["address", "address", "uint64"]
        addresses = [bench.settlement.address, self.registry.address, QUARTER_S]
        self.green = bench.create("GreenCertificates", types, addresses)
        self.sun, self.store = bench.signer("sun"), bench.signer("store")
        for i, (name, owner, kind) in enumerate([("pv", self.sun, 1), ("battery", self.store, 2)]):
            key = bench.signer(f"key {name}").address
            asset = (
                owner.address,
                kind,
                False,
                900_000 * (kind == 2),
                key,
                5000,
                bytes([i + 1]) * 32,
                bytes(32),
            )
            bench.send(self.registry, "register", name, asset)
        bench.open(a=10**6, b=0)

    def settle(self, readings, day=0):
        """Settle a batch that commits to readings; what shows one of them."""
        positions = typed.pack(tuple(sorted([(typed.account_id("a"), -5), (typed.account_id("b"), 5)])))
        header = self.bench.header(day, readings_root=readings_root(readings))
        self.bench.settle(header, positions)
        return lambda item: self.evidence(header, positions, readings, item)

    def evidence(self, header, positions, readings, item):
        from eth_hash.auto import keccak

        siblings, bits = Tree([reading.line() for reading in readings]).proof(item.line())
        return (header.values(), bytes(keccak(positions)), siblings, bits)

    def id_of(self, item):
        return self.green.read("tokenId", *item.values()[:3])

    def balance(self, owner, item):
        return self.green.read("balanceOf", owner.address, self.id_of(item))


@pytest.fixture
def street(bench):
    return Street(bench)


def test_each_reading_of_a_final_batch_is_certified_once(street, refused):
    bench, green = street.bench, street.green
    readings = [reading("pv", slot, exported=100 + slot) for slot in range(5)]
    shown = street.settle(readings)
    for item in readings:
        bench.send(green, "claim", item.values(), shown(item), by=street.sun)
        assert street.balance(street.sun, item) == item.exported_wh
        with pytest.raises(refused, match="AlreadyUsed"):
            bench.send(green, "claim", item.values(), shown(item), by=street.sun)
    events = green.history("Claimed")
    assert sum(event["energyWh"] for event in events) == sum(item.exported_wh for item in readings)


def test_nothing_is_certified_that_no_final_batch_commits_to(street, refused):
    bench, green = street.bench, street.green
    true = reading("pv", 0, exported=100)
    others = [reading("pv", slot, exported=1) for slot in (1, 2)]
    shown = street.settle([true, *others])
    more = reading("pv", 0, exported=101)
    with pytest.raises(refused, match="NotInBatch"):
        bench.send(green, "claim", more.values(), shown(true), by=street.sun)
    header = bench.header(1, readings_root=readings_root([true]))
    proposed = bench.header(1, readings_root=readings_root([true]))
    positions = typed.pack(tuple(sorted([(typed.account_id("a"), -5), (typed.account_id("b"), 5)])))
    bench.propose(proposed, positions)
    with pytest.raises(refused, match="NotFinal"):
        bench.send(
            green, "claim", true.values(), street.evidence(header, positions, [true], true), by=street.sun
        )
    bench.send(green, "claim", true.values(), shown(true), by=street.sun)


def test_only_the_owner_of_a_pv_plant_claims_on_the_grid_of_intervals(street, refused):
    bench, green = street.bench, street.green
    readings = [
        reading("pv", 0, exported=10),
        reading("battery", 0, exported=10),
        reading("pv", 1, exported=0),
        reading("pv", 2, exported=10, length_s=1800),
        MeterReading("pv", START_S + 1, START_S + 901, 10, 0),
        reading("ghost", 0, exported=10),
    ]
    shown = street.settle(readings)
    for item, owner, said in [
        (readings[0], street.store, "NotAssetOwner"),
        (readings[1], street.store, "WrongKind"),
        (readings[2], street.sun, "NothingMetered"),
        (readings[3], street.sun, "BadInterval"),
        (readings[4], street.sun, "BadInterval"),
        (readings[5], street.sun, "0x"),
    ]:
        with pytest.raises(refused, match=said):
            bench.send(green, "claim", item.values(), shown(item), by=owner)


def test_energy_is_followed_through_a_battery_with_its_losses(street, refused):
    bench, green = street.bench, street.green
    made = reading("pv", 0, exported=1000)
    charged = reading("battery", 0, imported=600)
    given = reading("battery", 1, exported=540)
    again = reading("battery", 2, exported=540)
    shown = street.settle([made, charged, given, again])
    bench.send(green, "claim", made.values(), shown(made), by=street.sun)
    token = street.id_of(made)
    bench.send(
        green, "safeTransferFrom", street.sun.address, street.store.address, token, 700, b"", by=street.sun
    )
    battery = typed.account_id("battery")
    with pytest.raises(refused, match="NotCharged"):  # nothing was charged yet
        bench.send(green, "store", battery, [token], [600], by=street.store)
    bench.send(green, "charge", charged.values(), shown(charged), by=street.store)
    with pytest.raises(refused, match="AlreadyUsed"):
        bench.send(green, "charge", charged.values(), shown(charged), by=street.store)
    with pytest.raises(refused, match="NotCharged"):  # more than the meter saw
        bench.send(green, "store", battery, [token], [601], by=street.store)
    bench.send(green, "store", battery, [token], [600], by=street.store)
    assert street.balance(street.store, made) == 100
    with pytest.raises(refused, match="MoreThanMetered"):
        bench.send(green, "release", given.values(), shown(given), 541, by=street.store)
    # 90 % round trip: 600 Wh in are at most 540 Wh out, to the last Wh
    bench.send(green, "release", given.values(), shown(given), 540, by=street.store)
    assert street.balance(street.store, given) == 540
    assert green.read("storedWh", battery) == 0
    with pytest.raises(refused, match="NotStored"):
        bench.send(green, "release", again.values(), shown(again), 1, by=street.store)


def test_losses_are_rounded_against_the_owner(street, refused):
    bench, green = street.bench, street.green
    made, charged = reading("pv", 0, exported=10), reading("battery", 0, imported=10)
    out = [reading("battery", slot, exported=9) for slot in (1, 2, 3)]
    shown = street.settle([made, charged, *out])
    bench.send(green, "claim", made.values(), shown(made), by=street.sun)
    token = street.id_of(made)
    bench.send(
        green, "safeTransferFrom", street.sun.address, street.store.address, token, 10, b"", by=street.sun
    )
    bench.send(green, "charge", charged.values(), shown(charged), by=street.store)
    bench.send(green, "store", typed.account_id("battery"), [token], [10], by=street.store)
    bench.send(green, "release", out[0].values(), shown(out[0]), 4, by=street.store)  # 4 / 0.9 -> 5
    bench.send(green, "release", out[1].values(), shown(out[1]), 4, by=street.store)  # 4 / 0.9 -> 5
    with pytest.raises(refused, match=r"NotStored.*storedWh=0, neededWh=2"):
        bench.send(green, "release", out[2].values(), shown(out[2]), 1, by=street.store)


def test_retiring_names_a_purpose_and_ends_the_certificate(street, refused):
    bench, green = street.bench, street.green
    item = reading("pv", 0, exported=100)
    shown = street.settle([item])
    bench.send(green, "claim", item.values(), shown(item), by=street.sun)
    token = street.id_of(item)
    with pytest.raises(refused, match="NoPurpose"):
        bench.send(green, "retire", token, 10, "", "", by=street.sun)
    bench.send(green, "retire", token, 60, "disclosure 2016", "house_03", by=street.sun)
    with pytest.raises(refused, match="ERC1155InsufficientBalance"):
        bench.send(green, "retire", token, 41, "disclosure 2016", "", by=street.sun)
    (event,) = green.history("Retired")
    assert (event["energyWh"], event["purpose"], event["beneficiary"]) == (60, "disclosure 2016", "house_03")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 8, 9, 13])
def test_the_contract_verifies_every_leaf_of_odd_and_even_trees(street, count):
    lines = [f"line {i}".encode() for i in range(count)]
    root = merkle_root(lines)
    for line in lines:
        path = merkle_proof(lines, line)
        bits = sum(1 << i for i, (left, _) in enumerate(path) if left)
        siblings = [sibling for _, sibling in path]
        assert verify_proof(root, line, path)
        assert street.green.read("verify", line, siblings, bits, root)
        assert not street.green.read("verify", line + b"!", siblings, bits, root)
        if siblings:
            assert not street.green.read("verify", line, siblings[:-1], bits, root)
            assert not street.green.read("verify", line, siblings, bits ^ 1, root)


def test_two_children_cannot_be_shown_as_a_leaf(street, refused):
    from hashlib import sha256

    from market.merkle import leaf_hash

    lines = [b"a", b"b", b"c", b"d"]
    leaves = sorted(leaf_hash(line) for line in lines)
    forged = leaves[0] + leaves[1]  # 64 bytes: the children of an inner node
    other = sha256(leaves[2] + leaves[3]).digest()
    root = merkle_root(lines)
    assert sha256(sha256(forged).digest() + other).digest() == root  # with single hashing it would pass
    with pytest.raises(Exception, match=r"LineOf64Bytes|reverted with 0x"):
        street.green.read("verify", forged, [other], 0, root)
