"""What real nodes of a cluster believe, and what applications there do (`engine.simulation.cluster_state`)."""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import redis

from engine.keyspace.slots import key_slot
from engine.simulation.cluster_state import ClusterView, Names, PeerView, WriterView, slots_of, view_of_writer

if TYPE_CHECKING:
    from tests.lab.applications import RealApplication
    from tests.lab.machines import Machine

_HEALTH = (("myself", "me"), ("fail", "fail"), ("fail?", "pfail"), ("handshake", "handshake"), ("noaddr", "noaddr"))


def text_of(reply: Any) -> str:
    """Return a reply as text."""
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def cluster_views(hosts: "dict[str, Machine]", back: Callable[[str], str]) -> dict[str, ClusterView]:
    """Return what each node that runs believes."""
    for host in hosts.values():
        if host.in_cluster and host.state == "up":
            host.cluster_id = _ask(host, "CLUSTER", "MYID")  # it changes with CLUSTER RESET HARD
    names = Names(
        {host.cluster_id: name for name, host in hosts.items() if host.cluster_id and host.state != "down"},
        {host.address: name for name, host in hosts.items() if host.state == "down"},
    )
    return {
        name: _view(name, host, names, back) for name, host in hosts.items() if host.in_cluster and host.state == "up"
    }


def _ask(host: "Machine", *words: str) -> str:
    client = host.client
    connection = client.connection_pool.get_connection()
    try:  # not through the client's own method, which parses CLUSTER NODES
        connection.send_command(*words)
        return text_of(connection.read_response())
    finally:
        client.connection_pool.release(connection)


def _view(name: str, host: "Machine", names: Names, back: Callable[[str], str]) -> ClusterView:
    told = _ask(host, "CLUSTER", "INFO")
    info = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    peers: list[PeerView] = []
    owners: list[tuple[int, int, str]] = []
    moving: dict[str, list[tuple[int, str]]] = {"->-": [], "-<-": []}
    lines = [line.split() for line in _ask(host, "CLUSTER", "NODES").splitlines()]
    addresses = {words[0]: back(words[1].partition("@")[0]) for words in lines}
    for words in lines:
        flags = words[2].split(",")
        called = names.of(words[0], addresses[words[0]])
        mine = 0
        for slot in words[8:]:
            if slot.startswith("["):
                for sign, found in moving.items():
                    number, between, other = slot[1:-1].partition(sign)
                    if between:
                        found.append((int(number), names.of(other, addresses.get(other, ""))))
                continue
            first, _, last = slot.partition("-")
            owners.append((int(first), int(last or first), called))
            mine |= ((1 << int(last or first) + 1) - 1) & ~((1 << int(first)) - 1)
        peers.append(PeerView(
            called, words[0], addresses[words[0]],
            next((word for flag, word in _HEALTH if flag in flags), "ok"),
            "replica" if "slave" in flags else "master",
            names.of(words[3], addresses.get(words[3], "")) if words[3] != "-" else "",
            int(words[6]), slots_of(mine),
        ))  # fmt: skip
    peers.sort(key=lambda peer: peer.health != "me")
    counts: dict[int, int] = {}
    for key in host.client.keys("*"):
        counts[key_slot(key)] = counts.get(key_slot(key), 0) + 1
    return ClusterView(
        name, peers[0].id, info["cluster_state"] == "ok", int(info["cluster_current_epoch"]),
        int(info["cluster_my_epoch"]), 0, peers[0].slots, tuple(peers), tuple(sorted(owners)),
        tuple(sorted(moving["->-"])), tuple(sorted(moving["-<-"])), tuple(sorted(counts.items())),
    )  # fmt: skip


def writer_view(
    real: "RealApplication", hosts: "dict[str, Machine]", back: Callable[[str], str]
) -> WriterView:  # fmt: skip
    """Return what an application does, and which of its writes the cluster has."""
    with real.lock:
        app = real.app
        keys, held = app.keys, set[int]()
        view = view_of_writer(app, ())
        numbers = list(app.acknowledged)
    for host in hosts.values():
        if not host.in_cluster or host.state != "up":
            continue
        for key in keys:
            with contextlib.suppress(redis.ResponseError):  # its slot is served elsewhere
                held |= {int(each) for each in lists(host, key)}
    return view._replace(
        target=back(view.target) if view.target else "",
        acknowledged=len(numbers),
        map=tuple((first, last, back(address)) for first, last, address in view.map),
        lost=sum(number not in held for number in numbers),
    )


def lists(host: "Machine", key: bytes) -> list[bytes]:
    """Return a list that a node has, also if it only imports the slot."""
    return _asking(host, "LRANGE", key, "0", "-1")  # type: ignore[no-any-return]


def string(host: "Machine", key: bytes) -> bytes | None:
    """Return a string that a node has, also if it is a replica, or only imports the slot."""
    with contextlib.suppress(redis.ResponseError):
        if _asking(host, "TYPE", key) in (b"string", "string"):
            found: bytes | None = _asking(host, "GET", key)
            return found
    return None


def _asking(host: "Machine", *words: Any) -> Any:
    connection = host.client.connection_pool.get_connection()
    try:
        for first in (("READONLY",), ("ASKING",)):
            connection.send_command(*first)
            connection.read_response()
        connection.send_command(*words)
        return connection.read_response()
    finally:
        with contextlib.suppress(redis.RedisError):
            connection.send_command("READWRITE")
            connection.read_response()
        host.client.connection_pool.release(connection)
