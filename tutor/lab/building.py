"""A laboratory that the learner builds: `redis-tutor lab new 6 chain`, or `:new 6 chain` in the laboratory.

    6                       six nodes: A, and five replicas of it (a star)
    6 chain                 each node is a replica of the one before it
    6 two-dc                two data centers: A has replicas in both, and the links between them are slow
    3 --sentinels 3         Sentinels watch the master
    --cluster 6             three masters with a replica each
    cluster.yaml            nodes, links and programs from a file (`tutor.lab.clusterfile`)
    prod/                   the INFO replication outputs and redis.conf files of a deployment (`tutor.lab.deployment`)

The nodes are put up, and time runs until their links are up: that is where the laboratory opens. Names and addresses
are as in the scenarios.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.simulation.actions import ActionError
from engine.simulation.history import History
from tutor.lab.clusterfile import PlannedCluster, read_cluster_file
from tutor.lab.deployment import read_deployment
from tutor.lab.model import Expect, LinkSpec, NodeSpec, ScenarioSpec, SentinelSpec, StepSpec
from tutor.lab.naming import node_names
from tutor.lab.runner import ScenarioRunner
from tutor.lab.session import LabSession
from tutor.lab.work import Work, finish
from tutor.lesson.diagnosis.model import nearest
from tutor.prompt.words import shorten

USAGE = "new NODES [star | chain | two-dc] [--sentinels N] [--cluster] [--latency MS], or new FILE …"
SHAPES = ("star", "chain", "two-dc")
NODES_MAX, SENTINELS_MAX, LATENCY_MAX_MS = 40, 9, 60_000
LATENCY_MS = 20  # one way, between two data centers
SETTLED_WITHIN_S = 30
MASTER = "mymaster"
YAML = (".yaml", ".yml")
NODE_CONFIG = ("repl-diskless-sync-delay 0",)  # a snapshot begins at once, as in the scenarios
CLUSTER_CONFIG = (*NODE_CONFIG, "cluster-enabled yes", "cluster-node-timeout 2000")
# Real clients are redirected to the name, which is this machine, and to the port, which is the node's on both.
REACHED_BY_SENTINELS = ("sentinel resolve-hostnames yes", "sentinel announce-hostnames yes")
REACHED = ("cluster-announce-hostname localhost", "cluster-preferred-endpoint-type hostname")
LAST_PORT = 65535
PORT_MAX = LAST_PORT - 10_000  # of a node whose bus needs another one
FLAGS = {"--sentinels": "sentinels", "--replicas": "replicas", "--latency": "latency_ms", "--cluster": "cluster"}


class WantedCluster(NamedTuple):
    """What is to be built: so many nodes in a shape, or what files describe."""

    nodes: int = 0
    shape: str = "star"
    sentinels: int = 0
    cluster: bool = False
    replicas: int = -1  # of each master of a cluster; -1: one, if there are enough nodes
    latency_ms: int = LATENCY_MS
    first_port: int = 0  # on this machine, if a cluster is to be reached by real clients; 0: it is not
    files: tuple[str, ...] = ()


def wanted_of(words: Sequence[str], **options: int | bool | None) -> WantedCluster:
    """Return what words and options ask for. Raises ActionError."""
    chooses_latency = options.get("latency_ms") is not None
    wanted = WantedCluster(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    numbers: list[int] = []
    shapes: list[str] = []
    files: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        flag, equals, value = word.partition("=")
        if flag == "--cluster" and not equals:
            wanted = wanted._replace(cluster=True)
        elif flag in FLAGS:
            value = value if equals else waiting.pop(0) if waiting else ""
            if not value.isascii() or not value.isdigit():
                raise ActionError(f"{flag} needs a number")
            chooses_latency = chooses_latency or flag == "--latency"
            wanted = wanted._replace(**{FLAGS[flag]: int(value[:9])})  # type: ignore[arg-type]
        elif word.startswith("--"):
            raise ActionError(
                f"there is no option {shorten(word)}: did you mean {nearest(word, FLAGS) or '--sentinels'}?"
            )
        elif word.removeprefix("-").isdigit() and word.isascii():
            numbers.append(int(word[:9]))
        elif word in SHAPES:
            shapes.append(word)
        else:
            files.append(word)
    if files and not numbers and all(_is_path(name) for name in files):
        if shapes or wanted != WantedCluster(first_port=wanted.first_port):
            raise ActionError("a file describes the whole of it: leave out the shape and the options")
        return wanted._replace(files=tuple(files))
    if files:
        near = nearest(files[0], SHAPES)
        told = f"there is no shape or file {shorten(files[0])}"
        raise ActionError(f"{told}: did you mean {near}?" if near else f"{told}: the shapes are {', '.join(SHAPES)}")
    if len(numbers) != 1 or len(shapes) > 1:
        raise ActionError(USAGE)
    wanted = wanted._replace(nodes=numbers[0], shape=shapes[0] if shapes else "star")
    if chooses_latency and wanted.shape != "two-dc":
        raise ActionError("--latency is between two data centers: add two-dc, or use `slow A B MILLISECONDS` later")
    _check(wanted, chosen=bool(shapes))
    return wanted


def _is_path(name: str) -> bool:
    return name.endswith(YAML) or "/" in name or os.path.exists(name)


def _check(wanted: WantedCluster, chosen: bool) -> None:
    """Raise ActionError with what cannot be built."""
    if not 1 <= wanted.nodes <= NODES_MAX:
        raise ActionError(f"a laboratory has 1 to {NODES_MAX} nodes, not {wanted.nodes}")
    if wanted.sentinels > SENTINELS_MAX:
        raise ActionError(f"a laboratory has up to {SENTINELS_MAX} Sentinels, not {wanted.sentinels}")
    if wanted.latency_ms > LATENCY_MAX_MS:
        raise ActionError(f"the latency is up to {LATENCY_MAX_MS} ms, not {wanted.latency_ms}")
    if wanted.shape == "two-dc" and wanted.nodes < 2:
        raise ActionError("two data centers need at least 2 nodes")
    if not wanted.cluster:
        if wanted.replicas >= 0:
            raise ActionError("--replicas belongs to --cluster: without it, all nodes but A are replicas")
        return
    if wanted.sentinels:
        raise ActionError("a cluster has no Sentinels: its nodes fail over by themselves")
    if chosen and wanted.shape != "two-dc":
        raise ActionError(f"the nodes of a cluster are not in a {wanted.shape}: leave it out, or write two-dc")
    replicas = _replicas(wanted)
    if wanted.nodes < 3 * (replicas + 1):
        each = f", and with {replicas} replica{'s' * (replicas > 1)} for each of them" if replicas else ""
        raise ActionError(f"a cluster needs at least 3 masters{each}: {3 * (replicas + 1)} nodes, not {wanted.nodes}")


def _replicas(wanted: WantedCluster) -> int:
    return wanted.replicas if wanted.replicas >= 0 else int(wanted.nodes >= 6)


# -- shapes


def node_addresses(count: int, first_port: int = 0) -> dict[str, str]:
    """Return so many nodes with their addresses, those of the scenarios first; on one port or on consecutive ones."""
    ips = [18, *range(57, 57 + count)]
    ports = range(first_port, first_port + count) if first_port else [6379] * count
    return {name: f"172.16.6.{ip}:{port}" for name, ip, port in zip(node_names(count), ips, ports, strict=False)}


def planned(wanted: WantedCluster) -> PlannedCluster:
    """Return the plan of so many nodes in a shape."""
    is_reached = 0 < wanted.first_port <= PORT_MAX - wanted.nodes and (wanted.cluster or wanted.sentinels > 0)
    addresses = node_addresses(wanted.nodes, wanted.first_port if is_reached else 0)
    names = list(addresses)
    follows = {} if wanted.cluster else _follows(wanted, names)
    nodes = {}
    for name, address in addresses.items():
        lines: tuple[str, ...] = ()
        if is_reached and not wanted.cluster:
            lines = ("replica-announce-ip localhost", f"replica-announce-port {address.rpartition(':')[2]}")
        if name in follows:
            lines = (*lines, f"replicaof {_reached_at(addresses[follows[name]], is_reached)}")
        nodes[name] = NodeSpec(address=address, config=lines)
    sentinels = {}
    for number in range(1, wanted.sentinels + 1):
        port = wanted.first_port + wanted.nodes + number - 1 if is_reached else 26379
        sentinels[f"S{number}"] = SentinelSpec(address=f"172.16.6.{100 + number}:{port}")
    links, where = _links(wanted, [*names], [*sentinels])
    masters = wanted.nodes // (_replicas(wanted) + 1) if wanted.cluster else 1
    form = ""
    if wanted.cluster:
        kept = names[:masters]
        form = " ".join(["form", *kept, *(f"{name}/{kept[at % masters]}" for at, name in enumerate(names[masters:]))])
    title, summary = _told(wanted, masters, where, [*sentinels])
    quorum = wanted.sentinels // 2 + 1
    spec = ScenarioSpec(
        id="",
        title=title,
        summary=summary,
        nodes=nodes,
        steps=(),
        node_config=(*CLUSTER_CONFIG, *(REACHED if is_reached else ())) if wanted.cluster else NODE_CONFIG,
        sentinels=sentinels,
        sentinel_config=(
            *(REACHED_BY_SENTINELS if is_reached else ()),
            f"sentinel monitor {MASTER} {_reached_at(addresses['A'], is_reached)} {quorum}",
            f"sentinel down-after-milliseconds {MASTER} 2000",
            f"sentinel failover-timeout {MASTER} 10000",
        )
        if sentinels
        else (),
        clients={"app": "A"},
        links=links,
    )
    return PlannedCluster(spec, (form,) if form else ())


def _reached_at(address: str, by_name: bool) -> str:
    """Return where a server is, as a configuration has it; by name it is this machine, for real clients too."""
    ip, _, port = address.rpartition(":")
    return f"{'localhost' if by_name else ip} {port}"


def _follows(wanted: WantedCluster, names: list[str]) -> dict[str, str]:
    if wanted.shape == "chain":
        return dict(zip(names[1:], names, strict=False))
    return dict.fromkeys(names[1:], names[0])


def _links(wanted: WantedCluster, names: list[str], sentinels: list[str]) -> tuple[tuple[LinkSpec, ...], str]:
    """Return the slow links between two data centers, and which machines are in each of them."""
    if wanted.shape != "two-dc":
        return (), ""
    if wanted.cluster:
        first, second = names[::2], names[1::2]  # a master and its replica are in different ones
    else:
        half = (len(names) + 1) // 2
        first, second = names[:half], names[half:]
    first, second = [*first, *sentinels[::2]], [*second, *sentinels[1::2]]
    links = tuple(LinkSpec(between=(a, b), latency_ms=wanted.latency_ms) for a in first for b in second)
    verb = "is" if len(first) == 1 else "are"
    return links, f"{' '.join(first)} {verb} in one data center and {' '.join(second)} in the other"


def _told(wanted: WantedCluster, masters: int, where: str, sentinels: list[str]) -> tuple[str, str]:
    count = f"{wanted.nodes} node{'s' * (wanted.nodes > 1)}"
    if wanted.cluster:
        title = f"A cluster of {count}"
        replicas = wanted.nodes - masters
        summary = f"{masters} masters share the slots" + (
            f", and {replicas} replicas follow them." if replicas else "."
        )
    elif wanted.nodes == 1:
        title, summary = "One node", "A is a master without replicas."
    elif wanted.shape == "chain":
        title, summary = f"A chain of {count}", "Each node is a replica of the one before it."
    else:
        title, summary = f"A star of {count}", "A is the master, and the others are its replicas."
    if where:
        title = f"{count} in two data centers".capitalize()
        summary += f" {where}: {wanted.latency_ms} ms each way between them."
    if wanted.sentinels:
        title += f", {wanted.sentinels} Sentinel{'s' * (wanted.sentinels > 1)}"
        summary += f" {' '.join(sentinels)} watch{'es' * (wanted.sentinels == 1)} the master."
    return title, summary


# -- putting it up


def plan(wanted: WantedCluster) -> PlannedCluster:
    """Return the plan of what is wanted. Raises ActionError or Problem."""
    if not wanted.files:
        return planned(wanted)
    if any(name.endswith(YAML) for name in wanted.files):
        if len(wanted.files) > 1:
            raise ActionError("one YAML file describes the whole of it: name only that")
        return read_cluster_file(Path(wanted.files[0]))
    return read_deployment([Path(name) for name in wanted.files])


def settled(spec: ScenarioSpec, done: Sequence[str]) -> dict[str, Expect]:
    """Return what is so once a new cluster works: replicas are connected, Sentinels know each other, slots served."""
    expected: dict[str, Expect] = {}
    formed = any(line.startswith("form ") for line in done)
    for name, node in spec.nodes.items():
        lines = [line.split()[0].lower() for line in (*spec.node_config, *node.config) if line.split()]
        if node.started and formed:
            expected[name] = Expect(cluster="ok", known=len(spec.nodes))
        elif node.started and ("replicaof" in lines or "slaveof" in lines):
            expected[name] = Expect(link="up")
    running = [name for name, sentinel in spec.sentinels.items() if sentinel.started]
    watched = [line.split() for line in spec.sentinel_config if line.startswith("sentinel monitor ")]
    if watched:  # all of them watch the same; they find the replicas in the INFO that the master sends every 10 s
        replicas = [
            node for node in spec.nodes.values() if f"replicaof {watched[0][3]} {watched[0][4]}" in node.config
        ]
        known = sum(node.started for node in replicas)
        expected |= dict.fromkeys(running, Expect(sentinels=len(running) - 1, known_replicas=known))
    for line in done:
        if line.startswith("form "):
            expected |= {word.partition("/")[0]: Expect(link="up") for word in line.split()[1:] if "/" in word}
    return expected


def begun(wanted: WantedCluster) -> tuple[ScenarioSpec, StepSpec]:
    """Return what is wanted as a scenario, and the step after which it works. Raises ActionError or Problem."""
    made = plan(wanted)
    last = wanted.first_port + len(made.spec.nodes) + len(made.spec.sentinels) - 1
    if wanted.first_port and last > LAST_PORT:
        raise ActionError(f"the last machine would be on port {last}, which does not exist: begin with a lower one")
    step = StepSpec(say="", do=made.do, until=settled(made.spec, made.do), within=SETTLED_WITHIN_S)
    return made.spec, step


def build_work(wanted: WantedCluster) -> Work[LabSession]:
    """Put up what is wanted, in slices (`tutor.lab.work`). Raises ActionError or Problem."""
    spec, step = begun(wanted)
    runner = ScenarioRunner(spec, first_port=wanted.first_port)
    session = LabSession(spec, runner.history)
    yield from session.runner.perform(step)
    session.history.about = session.about()
    return session


def build(wanted: WantedCluster) -> tuple[ScenarioSpec, History]:
    """Put up what is wanted. Raises ActionError or Problem."""
    session = finish(build_work(wanted))
    return session.spec, session.history


__all__ = ["USAGE", "WantedCluster", "build", "build_work", "wanted_of"]
