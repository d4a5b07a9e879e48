"""A cluster in a YAML file: its nodes and what they follow, links, Sentinels, and what is done when they run.

    nodes:
      A: {}
      B: {follows: A}
      C: {follows: B, config: ["replica-priority 0"]}
    sentinels: {S1: {}, S2: {}, S3: {}}
    sentinel_config: ["sentinel monitor mymaster 172.16.6.18 6379 2"]
    links: [{between: [A, C], latency_ms: 40}]
    do: ["run writer W A 10"]

The fields are those of scenarios (`lessons/README.md`), and all but `nodes` can be left out; so can addresses. A
scenario file is one, too: its nodes are put up, and its steps are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from tutor.lab.loader import check_scenario, converted, read_source
from tutor.lab.model import ApplicationSpec, LinkSpec, NodeSpec, ScenarioSpec, SentinelSpec, StepSpec
from tutor.lab.naming import unknown
from tutor.lesson.model import Problem

MACHINES_MAX = 49


class PlannedCluster(NamedTuple):
    """A cluster to be put up, and the lines that are executed when its machines run."""

    spec: ScenarioSpec
    do: tuple[str, ...] = ()
    left_out: int = 0  # steps of a scenario


class _Part(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class FileNode(_Part):
    """A node of the file."""

    address: str = ""
    follows: str = ""  # the node that it is a replica of
    config: tuple[str, ...] = ()
    started: bool = True


class FileSentinel(_Part):
    """A Sentinel of the file."""

    address: str = ""
    config: tuple[str, ...] = ()
    started: bool = True


class ClusterFile(_Part):
    """The file."""

    nodes: dict[str, FileNode]
    id: str = ""
    title: str = ""
    summary: str = ""
    node_config: tuple[str, ...] = ()
    sentinels: dict[str, FileSentinel] = {}
    sentinel_config: tuple[str, ...] = ()
    applications: dict[str, ApplicationSpec] = {}
    clients: dict[str, str] = {}
    links: tuple[LinkSpec, ...] = ()
    do: tuple[str, ...] = ()
    seed: int = 1
    steps: tuple[StepSpec, ...] = ()
    simulated_only: str = ""


def read_cluster_file(path: Path) -> PlannedCluster:
    """Read a file. Raises Problem."""
    return parse_cluster(read_source(path), str(path))


def parse_cluster(text: str, path: str) -> PlannedCluster:
    """Return the cluster that a text describes. Raises Problem, the first one."""
    read, document = converted(text, path, ClusterFile)
    if not read.nodes:
        raise Problem(path, document.line(("nodes",)), "nodes: there is no node")
    if len(read.nodes) + len(read.sentinels) > MACHINES_MAX:
        raise Problem(path, document.line(("nodes",)), f"nodes: up to {MACHINES_MAX} machines fit a laboratory")
    machines: list[FileNode | FileSentinel] = [*read.nodes.values(), *read.sentinels.values()]
    taken = [machine.address for machine in machines if machine.address]
    free = (f"172.16.6.{ip}" for ip in (18, *range(57, 100), *range(110, 255)))
    addresses: dict[str, str] = {}
    for name, node in read.nodes.items():
        addresses[name] = node.address or _next(free, 6379, taken)
    free = (f"172.16.6.{ip}" for ip in range(101, 255))
    for name, sentinel in read.sentinels.items():
        addresses[name] = sentinel.address or _next(free, 26379, taken)
    nodes = {}
    for name, node in read.nodes.items():
        lines = node.config
        if node.follows:
            _check_follows(name, read.nodes, Problem(path, document.line(("nodes", name, "follows")), ""))
            lines = (f"replicaof {addresses[node.follows].replace(':', ' ')}", *lines)
        nodes[name] = NodeSpec(address=addresses[name], config=lines, started=node.started)
    first = next(iter(nodes))
    spec = ScenarioSpec(
        id="own",
        title=read.title or f"The cluster of {Path(path).name}",
        summary=read.summary or f"{len(nodes)} node{'s' * (len(nodes) > 1)}, as {Path(path).name} describes them.",
        nodes=nodes,
        steps=() if read.steps else (StepSpec(say="", do=read.do),),
        node_config=read.node_config,
        sentinels={
            name: SentinelSpec(address=addresses[name], config=each.config, started=each.started)
            for name, each in read.sentinels.items()
        },
        sentinel_config=read.sentinel_config,
        applications=read.applications,
        clients=read.clients or ({} if "app" in read.nodes else {"app": first}),
        links=read.links,
        seed=read.seed,
        simulated_only="a laboratory",
    )
    of_steps = {("steps", 0, *place): line for place, line in document.lines.items() if place[:1] == ("do",)}
    check_scenario(spec, path, document.lines | of_steps)
    return PlannedCluster(msgspec.structs.replace(spec, id="", steps=(), simulated_only=""), read.do, len(read.steps))


def _next(free: Iterator[str], port: int, taken: list[str]) -> str:
    return next(address for ip in free if (address := f"{ip}:{port}") not in taken)


def _check_follows(name: str, nodes: dict[str, FileNode], at: Problem) -> None:
    """Raise Problem if a node follows none that there is, or in a circle."""
    followed, met = nodes[name].follows, [name]
    while followed:
        if followed not in nodes:
            if len(met) == 1:
                raise Problem(at.path, at.line, unknown("node", followed, nodes))
            return
        if followed in met:
            raise Problem(at.path, at.line, f"{' follows '.join([*met, followed])}: a circle")
        met.append(followed)
        followed = nodes[followed].follows


__all__ = ["PlannedCluster", "parse_cluster", "read_cluster_file"]
