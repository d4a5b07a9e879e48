"""What a learner can do to a cluster: one table, from which keys, footer, help and palette are made.

Each control is a line as `tutor.lab.actions` reads it, with places for the chosen node and what goes with it:
{a} the chosen node, {b} another one, {at} and {port} where that one listens, {client} a client, {program} a new
program, {new} and {free} a node that is not there yet and an address for it. The line is put into the prompt: the
learner may change it first.
"""

from typing import NamedTuple

from engine.simulation.world import World
from tutor.lab.naming import node_names


class Control(NamedTuple):
    """A key (none: in the palette only), the line it begins, its name in the footer, and what it does."""

    key: str
    line: str
    label: str
    about: str


CONTROLS = (
    Control("c", "cut {a} {b} reset", "cut", "End the connections between two nodes at once (a reset)"),
    Control("", "cut {a} {b} silent", "silent cut", "Hold every byte between two nodes until the link heals"),
    Control("", "cut {a} {b} half-open", "half-open", "Lose every byte between two nodes; both believe in the link"),
    Control("h", "heal {a} {b}", "heal", "Mend a link: what was held arrives"),
    Control("d", "slow {a} {b} 200", "delay", "Make a link slow: milliseconds, and bytes a second if wanted"),
    Control("k", "crash {a}", "crash", "Kill a process (SIGKILL); its disk keeps what was written"),
    Control("s", "start {a}", "start", "Start a process on what its disk holds"),
    Control("p", "pause {a}", "pause node", "Stop a process (SIGSTOP); its connections stay"),
    Control("", "continue {a}", "continue node", "Let a stopped process go on (SIGCONT)"),
    Control("", "stop {a}", "shut down", "Ask a process to shut down (SIGTERM)"),
    Control("o", "plug {a}", "plug", "Cut the power: what was not fsynced is lost"),
    Control("", "wipe {a}", "wipe", "Forget all that is on the disk of a node that does not run"),
    Control("f", "{a}> REPLICAOF NO ONE", "promote", "Make a replica a master"),
    Control("r", "{a}> REPLICAOF {at} {port}", "follow", "Make a node a replica of another one"),
    Control("", "{a}> CONFIG SET repl-backlog-size 16384", "small backlog", "Shrink the backlog of a node"),
    Control("a", "add {new} {free}", "add node", "Put another node on the network; then start it"),
    Control("", "remove {a}", "remove node", "Take a node off the network; its disk is gone"),
    Control("", "configure {a} maxmemory 100mb", "configure", "Change a directive of a node, also in its redis.conf"),
    Control("", "run writer {program} {a} 5", "writer", "A program that writes, five times a second"),
    Control("", "run reader {program} {b} 5", "reader", "A program that reads what a writer wrote, and checks it"),
    Control("", "run producer {program} {a} 5 jobs", "producer", "A program that puts jobs into a queue"),
    Control(
        "", "run consumer {program} {a} 5 jobs", "consumer", "A program that takes jobs from a queue and does them"
    ),
    Control("", "run locker {program} {a} 2 lock", "locker", "A program that takes a lock, works, and releases it"),
    Control("w", "write {client} 100", "write", "Write load: so many SETs from a client"),
    Control("", "clock {a} 60", "set clock", "Set the wall clock of a machine ahead, in seconds, or behind (-60)"),
    Control("", "disk {a} full", "fill disk", "Let a disk take nothing more: writes to it fail"),
    Control("", "disk {a} free", "free disk", "Let a disk take any number of bytes again"),
    Control("", "wait 1", "wait", "Let so many seconds pass"),
)
# Lines about the laboratory itself, which any front end with a screen understands.
SCREEN_USAGE = {
    "save": "save [NAME]",
    "open": "open NAME",
    "note": "note [TEXT]",
    "actions": "actions",
    "next": "next [decision | failure | message A B | offset NUMBER | change]",
    "watch": "watch NODE FIELD | NODE> GET KEY",
    "unwatch": "unwatch NUMBER | all",
    "search": "search WORDS | /PATTERN/",
    "find": "find CONDITION [by KINDS]",
    "filter": "filter [NODE | -NODE | decisions | messages | connections | actions | nodes | key=PATTERN | unfolded]",
    "event": "event NUMBER",
    "pending": "pending",
    "to-lesson": "to-lesson",
    "live": "live [PORT | off]",
    "new": "new NODES [star | chain | two-dc] [--sentinels N] [--cluster]",
    "export": "export FILE.(txt | svg | html | cast)",
}


def examples(world: World, clients: dict[str, str]) -> str:
    """Return lines that can be typed in a world, with names that it has."""
    names = list(world.hosts)
    lines = [f"cut {names[0]} {names[1]} silent"] if len(names) > 1 else []
    lines += [f"crash {names[0]}", f"{names[0]}> INFO replication"] if names else []
    lines += [f"{client}> SET k v" for client in list(clients)[:1]]
    return " · ".join([*lines, "goto 2.5"])


def fill(line: str, world: World, node: str, clients: dict[str, str]) -> str:
    """Return a control's line for the chosen node."""
    others = [name for name in world.hosts if name != node]
    followed = world.hosts[node].node if node in world.hosts else None
    address = followed.replica.master if followed is not None and followed.config.is_replica else ""
    by_address = {host.address: name for name, host in world.hosts.items()}
    other = by_address.get(address) or (others[0] if others else node)
    at, _, port = world.hosts[other].address.rpartition(":") if other in world.hosts else ("", "", "")
    taken = {host.ip for host in world.hosts.values()}
    places = {
        "a": node,
        "b": other,
        "at": at,
        "port": port,
        "client": next(iter(clients), node),
        "program": next(name for at in range(1, 100) if (name := f"P{at}") not in world.machines),
        "new": next(name for name in node_names(len(world.machines) + 1) if name not in world.machines),
        "free": next(ip for ip in (f"172.16.6.{number}" for number in range(57, 255)) if ip not in taken) + ":6379",
    }
    for name, value in places.items():
        line = line.replace("{" + name + "}", value)
    return line
