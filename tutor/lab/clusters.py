"""Clusters in scenarios: how one is formed, how its nodes are named in commands, and what is expected of them.

`form A B C D/A` divides the slots among A, B and C, has all nodes meet, and makes D a replica of A. In commands,
`{id:A}` is the ID of A's node. Both work on a history and on real machines (`tests.lab.machines`).
"""

import re
from collections.abc import Iterator
from typing import Any

from engine.keyspace.slots import SLOTS
from engine.simulation.actions import ActionError
from engine.simulation.cluster_state import ClusterView, WriterView
from tutor.lab.model import Expect

MEET_US = 2_000_000  # for which nodes get to know each other before replicas are told whom to follow
USAGE = "form MASTER MASTER … [REPLICA/MASTER …]"
ID = re.compile(r"\{id:(\w+)\}")
HEALTH = ("ok", "pfail", "fail", "handshake", "noaddr", "unknown", "me")


def identify(word: bytes, hosts: Any) -> bytes:
    """Return a word of a command with `{id:A}` replaced by the ID of A's node. Raises ActionError."""

    def found(match: re.Match[str]) -> str:
        host = hosts.get(match[1])
        node_id = host.cluster_id if host is not None else ""
        if not node_id:
            raise ActionError(f"{match[1]} is not a node of a cluster that runs")
        return str(node_id)

    if b"{id:" not in word:
        return word
    return ID.sub(found, word.decode("latin-1")).encode("latin-1")


def groups(words: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the masters, and the replicas with their masters. Raises ActionError."""
    masters = [word for word in words if "/" not in word]
    replicas = [(word.partition("/")[0], word.partition("/")[2]) for word in words if "/" in word]
    if not masters or any(master not in masters for _, master in replicas):
        raise ActionError(USAGE)
    return masters, replicas


def slots_from(number: int, masters: int) -> int:
    """Return the first slot of a master, as redis-cli --cluster create divides them."""
    if number == masters:
        return SLOTS
    return int(number * SLOTS / masters - 0.5) + 1 if number else 0  # its neighbor's last slot is rounded


def commands(words: list[str], hosts: Any) -> Iterator[tuple[str, str] | int]:
    """Yield the commands that form a cluster, each with its node, and times in µs to wait between them."""
    masters, replicas = groups(words)
    for name in [*masters, *(replica for replica, _ in replicas)]:
        if name not in hosts:
            raise ActionError(f"there is no node {name}")
    for number, name in enumerate(masters):
        first, last = slots_from(number, len(masters)), slots_from(number + 1, len(masters)) - 1
        yield name, f"CLUSTER ADDSLOTSRANGE {first} {last}"
    for number, name in enumerate([*masters, *(replica for replica, _ in replicas)], start=1):
        yield name, f"CLUSTER SET-CONFIG-EPOCH {number}"
    for name, other in [*((name, masters[0]) for name in masters[1:]), *replicas]:
        ip, _, port = hosts[other].address.rpartition(":")
        yield name, f"CLUSTER MEET {ip} {port}"
    yield MEET_US
    for replica, master in replicas:
        yield replica, f"CLUSTER REPLICATE {{id:{master}}}"


def slots_named(text: str) -> tuple[int, int] | None:
    """Return the first and the last slot of a text such as 866 or 0-5460; None if it is not one."""
    first, dash, last = text.partition("-")
    if not first.isdigit() or (dash and not last.isdigit()):
        return None
    found = int(first), int(last or first)
    return found if found[0] <= found[1] < SLOTS else None


def wrong_expectation(expect: Expect, known: dict[str, None]) -> str:
    """Return what is wrong with an expectation about a node of a cluster; nothing if it is right."""
    if expect.cluster not in (None, "ok", "fail"):
        return f"cluster is ok or fail, not {expect.cluster!r}"
    for name, health in expect.sees.items():
        if name not in known:
            return f"there is no node {name}"
        if health not in HEALTH:
            return f"sees: {health!r} is none of {', '.join(HEALTH)}"
    for field in ("owners", "migrating", "importing"):
        for slots, name in getattr(expect, field).items():
            if slots_named(str(slots)) is None:
                return f"{field}: {slots!r} is not a slot or a range of slots"
            if name and name not in known:
                return f"there is no node {name}"
    for slot in expect.slot_keys:
        if slots_named(str(slot)) is None:
            return f"slot_keys: {slot!r} is not a slot"
    return ""


def unmet_by_cluster(expect: Expect, name: str, view: ClusterView) -> Iterator[str]:
    """Tell what a node of a cluster does not believe, although it should."""
    so = {
        "cluster": "ok" if view.ok else "fail",
        "slots": view.slots,
        "epoch": view.epoch,
        "known": sum(peer.health != "handshake" for peer in view.peers),
    }
    for field, value in so.items():
        wanted = getattr(expect, field)
        if wanted is not None and wanted != value:
            yield f"{name}: {field} is {value}, expected {wanted}"
    for field, value in (("epoch", view.epoch), ("current_epoch", view.current_epoch)):
        above = getattr(expect, f"{field}_above")
        if above is not None and value <= above:
            yield f"{name}: {field} is {value}, expected more than {above}"
    for other, health in expect.sees.items():
        peer = view.peer(other)
        found = peer.health if peer is not None else "unknown"
        if found != health:
            yield f"{name}: {other} is {found}, expected {health}"
    yield from _owners(name, expect.owners, view.owner_of)
    for field in ("migrating", "importing"):
        moving = dict(getattr(view, field))
        for slot, other in getattr(expect, field).items():
            found = moving.get(int(slot), "")
            if found != other:
                yield f"{name}: {field} slot {slot}: {found or 'no node'}, expected {other or 'no node'}"
    for slot, count in expect.slot_keys.items():
        if (found_keys := dict(view.keys).get(int(slot), 0)) != count:
            yield f"{name}: slot {slot} has {found_keys} keys, expected {count}"


def _owners(name: str, wanted: dict[str, str], owner_of: Any) -> Iterator[str]:
    for slots, owner in wanted.items():
        first, last = slots_named(str(slots)) or (0, -1)
        for slot in {first, last}:
            if (found := owner_of(slot)) != owner:
                yield f"{name}: slot {slot} is served by {found or 'no node'}, expected {owner or 'no node'}"


def unmet_by_writer(expect: Expect, view: WriterView, by_address: dict[str, str]) -> Iterator[str]:
    """Tell what an application that writes to a cluster has not done, although it should have."""
    name = view.name
    for field in ("acknowledged", "failed", "moved", "asked", "refreshed"):
        above, value = getattr(expect, f"{field}_above"), getattr(view, field)
        if above is not None and value <= above:
            yield f"{name}: {field} is {value}, expected more than {above}"
    if expect.error is not None and (expect.error not in view.error or bool(expect.error) != bool(view.error)):
        yield f"{name}: error is {view.error!r}, expected {expect.error!r}"
    if expect.lost is not None:
        wrong = bool(view.lost) != expect.lost if isinstance(expect.lost, bool) else view.lost != expect.lost
        if wrong:
            yield f"{name}: {view.lost} acknowledged writes are lost, expected {expect.lost}"

    def owner_of(slot: int) -> str:
        address = next((address for first, last, address in view.map if first <= slot <= last), "")
        return by_address.get(address, address)

    yield from _owners(f"{name}'s map", expect.owners, owner_of)
