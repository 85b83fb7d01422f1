"""Metering devices and the registry that holds their keys: what is missing, what contradicts, and entering it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eth_hash.auto import keccak

from adapters.chain.contract import Contract
from adapters.chain.deploy import AT_ONCE, Deployment, key_of, register
from adapters.chain.errors import ChainInputError
from adapters.chain.keys import embedded_keys, keys_from_environment
from adapters.chain.options import Device, RpcOptions
from adapters.chain.outbox import Outbox
from adapters.chain.rpc import check_node, reach

COMMAND = "twin chain register-devices SCENARIO"
SHOWN = 5


@dataclass(frozen=True)
class Roll:
    """What a registry knows of some devices."""

    known: tuple[Device, ...]
    missing: tuple[Device, ...]
    other_key: tuple[Device, ...]  # registered with another key


def call_roll(registry: Contract, devices: Sequence[Device]) -> Roll:
    """Look every device up; nothing is sent."""
    found: tuple[list[Device], ...] = ([], [], [])
    for device in devices:
        key = key_of(registry, device.name)
        found[0 if key == device.key.lower() else 2 if key else 1].append(device)
    known, missing, other_key = (tuple(part) for part in found)
    return Roll(known, missing, other_key)


def registry_problems(registry: Contract, devices: Sequence[Device], enters_itself: bool) -> list[str]:
    """Why signatures of these devices could not be proven from this registry; none where they can.

    ``enters_itself``: a development chain, where whoever settles enters what is missing.
    """
    roll, problems = call_roll(registry, devices), []
    if roll.missing and not enters_itself:
        problems.append(
            f"{len(roll.missing)} of {len(devices)} metering devices are not in the registry at {registry.address} "
            f"({names_of(roll.missing)}), so nobody could prove what they sign: {COMMAND}"
        )
    if roll.other_key:
        problems.append(
            f"the registry at {registry.address} has other keys for {names_of(roll.other_key)}: another scenario or "
            "seed uses it; deploy another, or retire those assets"
        )
    return problems


def names_of(devices: Sequence[Device]) -> str:
    """The first few names."""
    return ", ".join(device.name for device in devices[:SHOWN]) + (", …" if len(devices) > SHOWN else "")


def enrol(
    options: RpcOptions, devices: Sequence[Device], say: Callable[[str], None], dry_run: bool = False
) -> Roll:
    """Enter the devices that the registry of a deployment does not know; what it was before. Repeating it is free.

    Raises ChainInputError where it cannot be done, before anything is sent.
    """
    keys = embedded_keys() if options.development else keys_from_environment()
    node = reach(options.url)
    try:
        check_node(node, keys, options)
        found = Deployment.load(Path(options.deployment), node.chain_id()).on(node)
        if not found.registry:
            raise ChainInputError(
                f"{Path(options.deployment).name} names no registry: deploy with 'twin chain deploy'"
            )
        registry = Contract(node, "AssetRegistry", found.registry)
        registry.check_code()
        roll = call_roll(registry, devices)
        problems = registry_problems(registry, devices, enters_itself=True)
        if roll.missing and not registry.read(
            "hasRole", bytes(keccak(b"REGISTRAR_ROLE")), keys.operator.address
        ):
            problems.append(
                f"the operator {keys.operator.address} may not register devices: it lacks REGISTRAR_ROLE"
            )
        if problems:
            raise ChainInputError("; ".join(problems))
        if not dry_run:
            outbox = Outbox(":memory:", node, keys.operator)
            for start in range(0, len(roll.missing), AT_ONCE):
                part = roll.missing[start : start + AT_ONCE]
                register(registry, keys, outbox, part, poll_s=0.05)
                say(f"registered {start + len(part)} of {len(roll.missing)}")
            outbox.close()
        return roll
    finally:
        node.close()
