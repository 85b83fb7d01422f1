"""EnergySettlement itself, called by hand: what it must refuse, and that money cannot appear or vanish."""

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from adapters.chain import typed
from adapters.chain.keys import Signer

HOUR_S = 3600


def test_the_signed_digest_is_eip_712_by_an_independent_implementation(bench, packed):
    header, positions = bench.header(), packed(a=-5, b=5)
    message = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Batch": [
                {"name": name, "type": kind}
                for name, kind in [
                    ("market", "bytes32"),
                    ("prev", "bytes32"),
                    ("periodStart", "uint64"),
                    ("periodEnd", "uint64"),
                    ("epoch", "uint32"),
                    ("grossEnergyWh", "uint64"),
                    ("fillsRoot", "bytes32"),
                    ("readingsRoot", "bytes32"),
                    ("digest", "bytes32"),
                    ("positions", "bytes"),
                ]
            ],
        },
        "primaryType": "Batch",
        "domain": {
            "name": "EnergySettlement",
            "version": "1",
            "chainId": bench.node.chain_id(),
            "verifyingContract": bench.settlement.address,
        },
        "message": {
            "market": bench.market,
            "prev": header.prev,
            "periodStart": header.period_start_s,
            "periodEnd": header.period_end_s,
            "epoch": header.epoch,
            "grossEnergyWh": header.gross_energy_wh,
            "fillsRoot": header.fills_root,
            "readingsRoot": header.readings_root,
            "digest": header.digest,
            "positions": positions,
        },
    }
    ours = typed.batch_id(bench.market, header, positions)
    digest = typed.typed_digest(bench.node.chain_id(), bench.settlement.address, ours)
    assert digest == bytes(_hash_eip191_message(encode_typed_data(full_message=message)))
    assert digest == bench.settlement.read("typedDigest", ours)
    assert ours == bench.settlement.read("batchId", header.values(), positions)


def test_a_batch_moves_money_when_it_is_final_and_not_before(bench, packed):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-60, b=60)
    bench.propose(header, positions)
    assert (bench.balance("a"), bench.balance("b")) == (40, 0)
    assert bench.settlement.read("reserved") == 60
    assert bench.settlement.read("moneySum") == 0
    bench.wait(HOUR_S)
    bench.send(bench.settlement, "finalise", header.values(), positions)
    assert (bench.balance("a"), bench.balance("b")) == (40, 60)
    assert bench.settlement.read("reserved") == 0
    assert bench.settlement.read("moneySum") == 0
    assert bench.currency.read("balanceOf", bench.settlement.address) == 100


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prev": b"\x09" * 32}, "WrongPrev"),
        ({"epoch": 7}, "WrongEpoch"),
        ({"period_end_s": 0}, "BadPeriod"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(bench, packed, refused, changes, said):
    bench.open(a=100, b=0)
    with pytest.raises(refused, match=said):
        bench.propose(bench.header(**changes), packed(a=-1, b=1))


def test_wrong_positions_are_refused(bench, packed, refused):
    bench.open(a=100, b=0)
    good = packed(a=-1, b=1)
    swapped = good[40:] + good[:40]
    for positions, said in [
        (packed(a=-1, b=2), r"SumNotZero\(sum=1\)"),
        (packed(a=-1, nobody=1), "UnknownAccount"),
        (packed(a=-101, b=101), "InsufficientBalance.*balance=100, needed=101"),
        (swapped, "PositionsNotSorted"),
        (good[:40] + good[:40], "PositionsNotSorted"),
        (good + b"\x00", r"BadPositions\(length=81\)"),
    ]:
        with pytest.raises(refused, match=said):
            bench.propose(bench.header(), positions)
    assert bench.balance("a") == 100


def test_one_broke_account_refuses_the_whole_batch(bench, packed, refused):
    bench.open(a=100, b=100, c=5, d=0)
    with pytest.raises(refused, match="InsufficientBalance"):
        bench.propose(bench.header(), packed(a=-50, b=-50, c=-6, d=106))
    assert [bench.balance(n) for n in "abcd"] == [100, 100, 5, 0]


def test_what_the_oracles_did_not_sign_is_refused(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-1, b=1)
    signed = bench.sign(header, positions)
    tampered = [
        (bench.header(digest=b"\x04" * 32), positions),
        (bench.header(fills_root=b"\x04" * 32), positions),
        (bench.header(readings_root=b"\x04" * 32), positions),
        (bench.header(gross_energy_wh=2), positions),
        (bench.header(period_end_s=header.period_end_s + 1), positions),
        (header, packed(a=-2, b=2)),
    ]
    for changed, moved in tampered:
        with pytest.raises(refused, match=r"BadSignature\(oracle=0\)"):
            bench.propose(changed, moved, signed)
    bench.propose(header, positions, signed)


def test_signatures_for_another_chain_or_contract_are_refused(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-1, b=1)
    for elsewhere in ({"chain_id": 1}, {"address": bench.currency.address}):
        with pytest.raises(refused, match="BadSignature"):
            bench.propose(header, positions, bench.sign(header, positions, **elsewhere))


def test_the_quorum_counts_each_oracle_once(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-1, b=1)
    one, two, three = bench.sign(header, positions)
    stranger = Signer(b"\x11" * 32).sign(bench.settlement.read("typedDigest", bytes(32)))
    for signatures, said in [
        ([one, two], r"TooFewSignatures\(got=2, threshold=3\)"),
        ([one, one, two], "SignersNotRising"),
        ([two, one, three], "SignersNotRising"),
        ([one, two, (9, three[1])], "SignersNotRising"),
        ([one, two, (3, three[1])], r"BadSignature\(oracle=3\)"),
        ([one, two, (2, stranger)], r"BadSignature\(oracle=2\)"),
        ([], "TooFewSignatures"),
    ]:
        with pytest.raises(refused, match=said):
            bench.propose(header, positions, signatures)
    # every signature that is shown must be valid, also beyond the threshold
    with pytest.raises(refused, match="BadSignature"):
        bench.propose(header, positions, [one, two, three, (4, one[1])])
    bench.propose(header, positions, bench.sign(header, positions, (0, 1, 2, 3, 4)))


def test_a_high_s_twin_of_a_signature_is_refused(bench, packed, refused):
    # malleability: (r, n - s, v ^ 1) verifies in plain ecrecover
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-1, b=1)
    one, two, (index, raw) = bench.sign(header, positions)
    twin = raw[:32] + (order - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big") + bytes([55 - raw[64]])
    with pytest.raises(refused, match="BadSignature"):
        bench.propose(header, positions, [one, two, (index, twin)])


def test_a_new_set_of_oracles_makes_old_signatures_worthless(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-1, b=1)
    signed = bench.sign(header, positions)
    fresh = [bench.keys.oracles[i].address for i in (0, 1, 2)]
    bench.send(bench.settlement, "setOracles", fresh, 2)
    with pytest.raises(refused, match="WrongEpoch"):
        bench.propose(header, positions, signed)
    bench.propose(bench.header(), positions, bench.sign(bench.header(), positions, (0, 2)))


@pytest.mark.parametrize(
    ("picked", "threshold"), [((0, 1), 3), ((0, 1, 2, 3), 2), ((0, 0, 1), 2), ((0,), 0), ((), 0)]
)
def test_a_set_that_is_no_majority_is_refused(bench, refused, picked, threshold):
    with pytest.raises(refused, match="BadQuorum"):
        bench.send(bench.settlement, "setOracles", [bench.keys.oracles[i].address for i in picked], threshold)


def test_an_oracle_may_be_a_contract(bench, packed, refused, test_artefacts):
    bench.open(a=100, b=0)
    behind = bench.keys.oracles[3]
    wallet = bench.create("ContractWallet", ["address"], [behind.address], test_artefacts)
    bench.send(
        bench.settlement, "setOracles", [wallet.address, *(o.address for o in bench.keys.oracles[:2])], 2
    )
    header, positions = bench.header(), packed(a=-1, b=1)
    digest = bench.settlement.read("typedDigest", typed.batch_id(bench.market, header, positions))
    other = (1, bench.keys.oracles[0].sign(digest))
    with pytest.raises(refused, match=r"BadSignature\(oracle=0\)"):
        bench.propose(header, positions, [(0, bench.keys.oracles[4].sign(digest)), other])
    bench.propose(header, positions, [(0, behind.sign(digest)), other])


def test_a_batch_is_settled_once(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-10, b=10)
    signed = bench.sign(header, positions)
    bench.propose(header, positions, signed)
    with pytest.raises(refused, match="AlreadySettled"):
        bench.propose(header, positions, signed)
    with pytest.raises(refused, match="BadPeriod"):
        bench.propose(bench.header(), positions)  # the same day on top of the new head
    with pytest.raises(refused, match="BadPeriod"):
        bench.propose(bench.header(period_start_s=header.period_end_s - 1, period_end_s=2**40), positions)
    bench.wait(HOUR_S)
    bench.send(bench.settlement, "finalise", header.values(), positions)
    with pytest.raises(refused, match="WrongStatus"):
        bench.send(bench.settlement, "finalise", header.values(), positions)
    assert bench.balance("b") == 10


def test_the_window_has_no_overlap(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-10, b=10)
    batch_id = bench.propose(header, positions)
    _, _, deadline_s = bench.settlement.read("recordOf", batch_id)
    # calls read the newest block's time: one second before the deadline, then at it
    bench.node.mine_at(deadline_s - 1)
    with pytest.raises(refused, match="WindowOpen"):
        bench.send(bench.settlement, "finalise", header.values(), positions)
    bench.node.call(
        bench.settlement.address,
        bench.settlement.data("dispute", batch_id, "in time"),
        bench.operator.address,
    )
    bench.node.mine_at(deadline_s)
    with pytest.raises(refused, match="WindowClosed"):
        bench.send(bench.settlement, "dispute", batch_id, "too late")
    bench.send(bench.settlement, "finalise", header.values(), positions)


def test_batches_are_final_in_order(bench, packed, refused):
    bench.open(a=100, b=0)
    first, second = packed(a=-10, b=10), packed(a=-20, b=20)
    one = bench.header(0)
    bench.propose(one, first)
    two = bench.header(1)
    bench.propose(two, second)
    bench.wait(HOUR_S)
    with pytest.raises(refused, match="PrevNotFinal"):
        bench.send(bench.settlement, "finalise", two.values(), second)
    bench.send(bench.settlement, "finalise", one.values(), first)
    bench.send(bench.settlement, "finalise", two.values(), second)
    assert bench.balance("b") == 30


def test_a_dispute_stops_a_batch_until_it_is_dismissed(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-10, b=10)
    batch_id = bench.propose(header, positions)
    bench.send(bench.settlement, "dispute", batch_id, "meter of house_07 froze")
    bench.wait(HOUR_S)
    with pytest.raises(refused, match=r"WrongStatus.*status=2"):
        bench.send(bench.settlement, "finalise", header.values(), positions)
    bench.send(bench.settlement, "dismiss", batch_id, "meter was right")
    bench.send(bench.settlement, "finalise", header.values(), positions)
    assert bench.balance("b") == 10
    (event,) = bench.settlement.history("BatchDisputed", batch_id)
    assert event["reason"] == "meter of house_07 froze"


def test_a_rejected_batch_gives_its_debits_back_and_its_period_is_settled_anew(bench, packed, refused):
    bench.open(a=100, b=0)
    header, positions = bench.header(), packed(a=-10, b=10)
    batch_id = bench.propose(header, positions)
    bench.send(bench.settlement, "dispute", batch_id, "wrong")
    bench.send(bench.settlement, "reject", header.values(), positions, "reading was wrong")
    assert (bench.balance("a"), bench.settlement.read("reserved")) == (100, 0)
    assert bench.settlement.read("moneySum") == 0
    with pytest.raises(refused, match="AlreadySettled"):
        bench.propose(header, positions)  # never the same one again
    bench.settle(bench.header(0), packed(a=-7, b=7))
    assert (bench.balance("a"), bench.balance("b")) == (93, 7)


def test_batches_are_rejected_from_the_newest_backwards_and_never_when_final(bench, packed, refused):
    bench.open(a=100, b=0)
    first, second = packed(a=-10, b=10), packed(a=-20, b=20)
    one = bench.header(0)
    bench.propose(one, first)
    two = bench.header(1)
    bench.propose(two, second)
    with pytest.raises(refused, match="NotTip"):
        bench.send(bench.settlement, "reject", one.values(), first, "wrong")
    bench.send(bench.settlement, "reject", two.values(), second, "stands on a wrong one")
    bench.send(bench.settlement, "reject", one.values(), first, "wrong")
    assert bench.settlement.read("head") == bytes(32)
    header = bench.header(0)
    bench.settle(header, first := packed(a=-1, b=1))
    with pytest.raises(refused, match=r"WrongStatus.*status=3"):
        bench.send(bench.settlement, "reject", header.values(), first, "too late")


def test_a_finaliser_cannot_show_other_positions(bench, packed, refused):
    bench.open(a=100, b=0, c=0)
    header = bench.header()
    bench.propose(header, packed(a=-10, b=10))
    bench.wait(HOUR_S)
    with pytest.raises(refused, match="WrongStatus"):
        bench.send(bench.settlement, "finalise", header.values(), packed(a=-10, c=10))


def test_deposits_are_rising_totals(bench, refused):
    bench.open(a=100, b=0)
    account = typed.account_id("a")
    bench.send(bench.currency, "mint", bench.operator.address, 50)
    with pytest.raises(refused, match="TotalNotRising"):
        bench.send(bench.settlement, "deposit", [account], [100])  # a repeated call moves nothing
    bench.send(bench.settlement, "deposit", [account], [150])
    assert bench.balance("a") == 150
    with pytest.raises(refused, match="UnknownAccount"):
        bench.send(bench.settlement, "deposit", [typed.account_id("nobody")], [1])
    with pytest.raises(refused, match="LengthMismatch"):
        bench.send(bench.settlement, "deposit", [account], [])
    with pytest.raises(refused, match="0x"):
        bench.send(bench.settlement, "deposit", [account], [151])  # the currency refuses: no money


def test_withdrawal_is_pulled_by_the_owner_after_the_delay(bench, packed, refused):
    bench.open(a=100, b=0)
    owner, account = bench.signer("owner of a"), typed.account_id("a")
    bench.send(bench.settlement, "setOwner", account, owner.address)
    with pytest.raises(refused, match="NotOwner"):
        bench.send(bench.settlement, "requestWithdrawal", account, 60)
    with pytest.raises(refused, match="NothingToWithdraw"):
        bench.send(bench.settlement, "withdraw", account, by=owner)
    bench.send(bench.settlement, "requestWithdrawal", account, 60, by=owner)
    bench.wait(bench.DELAY_S - 60)
    with pytest.raises(refused, match="WithdrawalNotReady"):
        bench.send(bench.settlement, "withdraw", account, by=owner)
    bench.wait(60)
    bench.send(bench.settlement, "withdraw", account, by=owner)
    assert bench.currency.read("balanceOf", owner.address) == 60
    assert (bench.balance("a"), bench.settlement.read("moneySum")) == (40, 0)
    with pytest.raises(refused, match="NothingToWithdraw"):
        bench.send(bench.settlement, "withdraw", account, by=owner)


def test_a_debtor_cannot_run_from_a_batch(bench, packed):
    bench.open(a=100, b=0)
    account = typed.account_id("a")
    bench.send(bench.settlement, "requestWithdrawal", account, 100)
    bench.settle(bench.header(), packed(a=-70, b=70))
    bench.wait(bench.DELAY_S)
    before = bench.currency.read("balanceOf", bench.operator.address)
    bench.send(bench.settlement, "withdraw", account)
    assert bench.currency.read("balanceOf", bench.operator.address) - before == 30
    assert (bench.balance("a"), bench.balance("b")) == (0, 70)


def test_while_paused_only_the_way_out_is_open(bench, packed, refused):
    bench.open(a=100, b=0)
    account, header, positions = typed.account_id("a"), bench.header(), packed(a=-1, b=1)
    bench.send(bench.settlement, "requestWithdrawal", account, 100)
    bench.send(bench.settlement, "pause")
    for name, args in [
        ("propose", (header.values(), positions, bench.sign(header, positions))),
        ("finalise", (header.values(), positions)),
        ("deposit", ([account], [200])),
    ]:
        with pytest.raises(refused, match="EnforcedPause"):
            bench.send(bench.settlement, name, *args)
    bench.wait(bench.DELAY_S)
    bench.send(bench.settlement, "withdraw", account)
    assert bench.balance("a") == 0
    bench.send(bench.settlement, "unpause")


def test_every_role_is_needed(bench, packed, refused):
    bench.open(a=100, b=0)
    nobody, header, positions = bench.signer("nobody"), bench.header(), packed(a=-1, b=1)
    batch_id = bench.propose(header, positions)
    for name, args in [
        ("openAccounts", (["x"], [nobody.address])),
        ("propose", (bench.header(1).values(), positions, [])),
        ("dispute", (batch_id, "")),
        ("dismiss", (batch_id, "")),
        ("reject", (header.values(), positions, "")),
        ("setOracles", ([nobody.address], 1)),
        ("pause", ()),
        ("unpause", ()),
    ]:
        with pytest.raises(refused, match="AccessControlUnauthorizedAccount"):
            bench.send(bench.settlement, name, *args, by=nobody)


def test_an_account_is_opened_once_and_to_somebody(bench, refused):
    bench.open(a=100, b=0)
    with pytest.raises(refused, match=r"AccountExists\(name=a\)"):
        bench.send(bench.settlement, "openAccounts", ["a"], [bench.operator.address])
    with pytest.raises(refused, match="ZeroAddress"):
        bench.send(bench.settlement, "openAccounts", ["z"], ["0x" + "00" * 20])
    assert bench.settlement.read("accountCount") == 2
    assert bench.settlement.read("accountIds", 1, 10) == (typed.account_id("b"),)


def test_a_currency_that_calls_back_gets_nothing_twice(bench, refused, test_artefacts):
    token = bench.create("ReentrantToken", ["address"], [bench.operator.address], test_artefacts)
    arguments = [
        token.address, bench.market, 3600, 7200, bench.operator.address,
        [o.address for o in bench.keys.oracles], 3,
    ]  # fmt: skip
    types = ["address", "bytes32", "uint64", "uint64", "address", "address[]", "uint8"]
    settlement = bench.create("EnergySettlement", types, arguments)
    role = settlement.read("REGISTRAR_ROLE")
    bench.send(settlement, "grantRole", role, bench.operator.address)
    bench.send(settlement, "openAccounts", ["thief", "honest"], [token.address, bench.operator.address])
    bench.send(token, "approve", settlement.address, 2**255)
    thief, honest = typed.account_id("thief"), typed.account_id("honest")
    bench.send(settlement, "deposit", [thief, honest], [100, 900])
    bench.send(token, "act", settlement.address, settlement.data("requestWithdrawal", thief, 100))
    bench.wait(7200)
    withdraw = settlement.data("withdraw", thief)
    bench.send(token, "arm", settlement.address, withdraw)
    with pytest.raises(refused, match="0x3ee5aeb5"):  # ReentrancyGuardReentrantCall()
        bench.send(token, "act", settlement.address, withdraw)
    bench.send(token, "arm", "0x" + "00" * 20, b"")
    bench.send(token, "act", settlement.address, withdraw)
    assert token.read("balanceOf", settlement.address) == 900
