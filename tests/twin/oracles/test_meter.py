"""The meter's own chain: what a device says, what a fault does to it, and what the receiving side takes."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from twin.fault_plan import MeterFault
from twin.oracles.meter import BROKEN, GAP, OK, REPLAYED, SILENT, MeterOracle, Meters, first_link

NAMES = ("a", "b")
STEP = 900


def run(intervals, *faults, energy=(100.4, -50.0), tamper=None):
    """What the oracle takes of each interval: energies and states."""
    meters, oracle = Meters(NAMES, faults, STEP), MeterOracle(NAMES)
    energies, states = [], []
    for k in range(intervals):
        meters.count(k * STEP, np.array(energy))
        said = meters.read((k + 1) * STEP)
        if tamper is not None:
            said = tamper(k, said)
        taken, state = oracle.take(said, (k + 1) * STEP)
        energies.append(taken.tolist())
        states.append(state.tolist())
    return np.array(energies), np.array(states), meters, oracle


def fault(kind, start, end, value=1.0):
    return MeterFault("b", 1, kind, start * STEP, end * STEP, value)


def test_whole_wh_and_what_is_below_is_carried():
    energy, state, meters, oracle = run(5)
    assert (state == OK).all() and energy[:, 0].tolist() == [100, 100, 101, 100, 101]  # 502 of 502.0
    assert energy[:, 1].tolist() == [-50] * 5 and (meters.links == oracle.links).all()


def test_a_chain_written_out():
    _, _, meters, _ = run(2)
    link = first_link("b")
    assert link == sha256(b"p2p-meter-1b").digest()
    for sequence, register in ((1, -50), (2, -100)):
        numbers = b"".join(x.to_bytes(8, "big", signed=True) for x in (sequence * STEP, register))
        link = sha256(link + sequence.to_bytes(4, "big") + numbers).digest()
    assert meters.links[1].tobytes() == link


def test_a_lie_is_signed_and_chained_like_the_truth():
    energy, state, meters, oracle = run(4, fault("meter_lie", 1, 3, 3.0))
    assert energy[:, 1].tolist() == [-50, -150, -150, -50] and (state == OK).all()
    assert energy[:, 0].sum() == 401 and (meters.links == oracle.links).all()


def test_a_frozen_register_does_not_move_and_loses_the_energy():
    energy, state, *_ = run(4, fault("meter_frozen", 1, 3))
    assert energy[:, 1].tolist() == [-50, 0, 0, -50] and (state == OK).all()


def test_silence_and_the_gap_after_it():
    energy, state, meters, oracle = run(5, fault("meter_silent", 1, 3))
    assert state[:, 1].tolist() == [OK, SILENT, SILENT, GAP, OK]
    assert energy[:, 1].tolist() == [-50, 0, 0, 0, -50] and (state[:, 0] == OK).all()
    assert (meters.links == oracle.links).all(), "the first reading after a gap says where the chain stands"


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_old_readings_are_seen_from_the_first_to_the_last(lag):
    _, state, *_ = run(9, fault("meter_replay", 3, 7, lag * STEP))
    assert state[:, 1].tolist() == [OK] * 3 + [REPLAYED] * 4 + [GAP, OK]


def test_a_register_changed_on_the_way_breaks_the_chain():
    def tamper(k, said):
        return replace(said, register_wh=said.register_wh + np.array([0, 10 * (k == 2)]))

    energy, state, *_ = run(4, tamper=tamper)
    assert state[:, 1].tolist() == [OK, OK, BROKEN, GAP] and energy[2, 1] == 0
    assert (state[:, 0] == OK).all()


def test_a_link_of_somebody_else_breaks_the_chain():
    def tamper(k, said):
        return replace(said, link=said.link[::-1]) if k == 1 else said

    assert run(2, tamper=tamper)[1].tolist() == [[OK, OK], [BROKEN, BROKEN]]


def test_a_number_said_twice_is_refused():
    before = []

    def tamper(k, said):
        before.append(said)
        return before[0] if k == 1 else said

    assert run(2, tamper=tamper)[1][1].tolist() == [REPLAYED, REPLAYED]


def test_no_meters():
    meters, oracle = Meters((), (), STEP), MeterOracle(())
    meters.count(0, np.zeros(0))
    energy, state = oracle.take(meters.read(STEP), STEP)
    assert len(energy) == len(state) == 0
