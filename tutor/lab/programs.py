"""Client programs in the laboratory: the lines that begin them, and how they are shown.

    run writer W A 10            W appends a number to the list W on A, ten times a second
    run reader R B 5 of=W        R reads the last number of W from B, and checks it; stale reads are told
    run producer P A 5 jobs      P puts jobs into the queue
    run consumer C A 5 jobs      C takes them, does them, and removes them
    run locker L A 2 lock        L takes a lock for 3 s (ttl=3000), works for 1 s (work=1000), and releases it;
                                 `unfenced`: it does not send its fencing token

Instead of a node, `sentinels` has them ask the Sentinels for the master. In a cluster a writer writes to all parts of
it. `pause`, `continue`, `crash`, `start` and `remove` take programs as well as nodes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.sentinel.role import SentinelRole
from engine.simulation import actions
from engine.simulation.actions import Action, ActionError
from engine.simulation.application import WRITING, Application
from engine.simulation.program_state import ProgramView
from engine.simulation.programs import KINDS, LOCKER, READER, TTL_MS, WORK_MS
from engine.simulation.state import NodeView, belief_views
from engine.simulation.world import World
from tutor.lab.drawing import Text
from tutor.lab.naming import unknown
from tutor.lesson.diagnosis.model import nearest
from tutor.prompt.words import shorten

WRITER, SENTINELS = "writer", "sentinels"
ALL_KINDS = (WRITER, *KINDS)
USAGE = "run KIND NAME NODE [RATE] [KEY]"
RATE, RATE_MAX = 5.0, 100.0
TIME_MAX_MS = 3_600_000
CLUSTER_KEYS = 12
DEFAULT_KEYS = {"producer": "jobs", "consumer": "jobs", "locker": "lock"}


class ProgramLine(NamedTuple):
    """What a line says of a program."""

    kind: str
    name: str
    node: str
    rate: float = RATE
    key: str = ""
    ttl_ms: int = TTL_MS
    work_ms: int = WORK_MS
    fenced: bool = True


def parse(words: Sequence[str]) -> ProgramLine:
    """Return what the words after `run` mean. Raises ActionError."""
    if not words or words[0] not in ALL_KINDS:
        kinds = ", ".join(ALL_KINDS)
        near = nearest(words[0], ALL_KINDS) if words else ""
        told = f"{shorten(words[0])} is not a kind of program: " if words else f"{USAGE}: the kinds are {kinds}"
        raise ActionError(told if not words else told + (f"did you mean {near}?" if near else kinds))
    if len(words) < 3:
        raise ActionError(USAGE.replace("KIND", words[0]))
    line = ProgramLine(words[0], words[1], words[2])
    if not line.name.isalnum():
        raise ActionError(f"a name is letters and digits, not {shorten(line.name)}")
    for word in words[3:]:
        name, equals, value = word.partition("=")
        if word.replace(".", "", 1).isdigit() and word.isascii():
            line = line._replace(rate=float(word))
        elif line.kind == LOCKER and word == "unfenced":
            line = line._replace(fenced=False)
        elif line.kind == LOCKER and equals and name in ("ttl", "work"):
            if not value.isdigit() or not value.isascii() or not 0 < int(value[:9]) <= TIME_MAX_MS:
                raise ActionError(f"{name} is in milliseconds, 1 to {TIME_MAX_MS}, not {shorten(value)}")
            line = line._replace(**{f"{name}_ms": int(value)})  # type: ignore[arg-type]
        elif equals and name != ("of" if line.kind == READER else "key"):
            raise ActionError(f"a {line.kind} has no {shorten(name)}")
        elif line.kind == WRITER or line.key:
            raise ActionError(f"{shorten(word)} is too much: {USAGE.replace('KIND', line.kind)}")
        else:
            line = line._replace(key=value if equals else word)
    if not 0 < line.rate <= RATE_MAX:
        raise ActionError(f"the rate is above 0, and up to {RATE_MAX:g} times a second")
    return line._replace(key=line.key or DEFAULT_KEYS.get(line.kind, ""))


def action_for(line: ProgramLine, world: World) -> Action:
    """Return what begins a program in a world. Raises ActionError."""
    if line.name in world.machines:
        raise ActionError(f"there is a machine {line.name} already")
    sentinels, master, address = _where(line, world)
    period_us = round(1_000_000 / line.rate)
    host = world.hosts.get(line.node)
    cluster = host is not None and host.node is not None and host.node.cluster is not None
    if cluster and line.kind != WRITER:
        raise ActionError(
            f"a {line.kind} does not follow redirections, and {line.node} is in a cluster: use a writer"
        )
    if cluster:
        nodes = [each.address for each in world.hosts.values() if each.node is not None and each.node.cluster]
        keys = tuple(f"{line.name}:{number}" for number in range(CLUSTER_KEYS))
        return actions.AddClusterApplication(line.name, tuple(nodes), keys, "map", period_us)
    if line.kind == WRITER:
        return actions.AddApplication(line.name, sentinels, master, address, period_us)
    key = _writer(line, world) if line.kind == READER else line.key
    return actions.AddProgram(
        line.name, line.kind, sentinels, master, address, period_us, key, line.ttl_ms, line.work_ms, line.fenced
    )


def _where(line: ProgramLine, world: World) -> tuple[tuple[str, ...], str, str]:
    """Return the Sentinels to ask, the master's name, and the address if it is fixed."""
    asked = [host for host in world.hosts.values() if host.role is SentinelRole]
    host = world.hosts.get(line.node)
    if line.node != SENTINELS and host is None:
        raise ActionError(unknown("node", line.node, [*world.hosts, *([SENTINELS] if asked else [])]))
    if host is not None and host.role is not SentinelRole:
        return (), "", host.address
    names = [belief.master for belief in belief_views(world)]
    if not names:
        raise ActionError("there is no Sentinel that watches a master")
    return tuple(each.address for each in asked), names[0], ""


def _writer(line: ProgramLine, world: World) -> str:
    writers = [name for name, app in world.applications.items() if type(app) is Application]
    if not writers:
        raise ActionError("there is no writer to check: run writer NAME NODE first")
    if not line.key:
        return writers[-1]
    if line.key not in writers:
        raise ActionError(unknown("writer", line.key, writers))
    return line.key


# -- how they are shown


def described(action: actions.AddProgram) -> str:
    """Return an action as you would type it."""
    where = SENTINELS if action.sentinels else action.address
    words = ["run", action.kind, action.name, where, f"{1_000_000 / action.period_us:g}"]
    words.append(f"of={action.key}" if action.kind == READER else action.key)
    if action.kind == LOCKER:
        words += [f"ttl={action.ttl_ms}", f"work={action.work_ms}", *(["unfenced"] if not action.fenced else [])]
    return " ".join(words)


def rows(nodes: dict[str, NodeView], views: Iterable[ProgramView]) -> list[Text]:
    """Draw the programs: what each does and where, and what was counted."""
    by_address = {node.address: name for name, node in nodes.items()}
    drawn: list[Text] = []
    for view in views:
        where = by_address.get(view.target, view.target)
        line: Text = [(f" {view.name} ", "strong"), (f"{view.kind} of {view.key}", "dim")]
        if view.state != "up":
            line.append((f"  {view.state}", "bad"))
        elif view.does == WRITING:
            line.append((f"  on {where}", "good"))
        else:
            line.append((f"  {view.does}" + (f" {where}" if where else ""), ""))
        line += [(f"  {view.now}", "accent")] if view.now else []
        line += [(f"  {view.error}", "bad")] if view.error else []
        drawn.append(line)
        counted: Text = [("  ", "")]
        for name, count, is_bad in view.counts:
            if count or not is_bad:
                counted.append((f" {count} {name} ", "bad" if is_bad else ""))
        drawn.append(counted)
    return drawn


def line_of(view: ProgramView) -> str:
    """Return what a program did in one line."""
    counts = ", ".join(f"{count} {name}" for name, count, is_bad in view.counts if count or not is_bad)
    told = f"{view.name} {view.kind} of {view.key}: {counts}"
    told += f"; {view.now}" if view.now else ""
    return told + (f"  ({view.error})" if view.error else "") + (f"  {view.state}" if view.state != "up" else "")
