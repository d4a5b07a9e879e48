"""The ledger of acknowledged writes, compared with what the nodes' data, memory and disks really hold.

The scenarios are played with unique elements of a list as writes, so that a write can be looked for: which nodes have
it, which masters lack it, and which nodes have it again after a crash, or after a power cut. None of this looks at
offsets or replication IDs, from which the ledger works.
"""

import pickle
import re

import msgspec
import pytest

from engine.protocol.errors import ReplyError
from engine.simulation.actions import Crash, PullPlug, Start
from engine.simulation.connection import DOWN
from engine.simulation.history import History
from engine.simulation.state import data_of, node_views
from engine.simulation.trace import Delivered, Dialled, Hungup, Sent
from engine.values.list import ListValue
from tests.lab.share import share_of_scenarios
from tests.share import EVERYTHING
from tests.simulation.plans import ClusterPlan
from tutor.lab.ledger import Ledger
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import ScenarioRunner
from tutor.prompt.replies import INCOMPLETE, ReplyParser
from tutor.prompt.words import split_args

pytestmark = pytest.mark.long

LIST = b"elements"
WRITES = (b"SET", b"INCR", b"DEL", b"RPUSH", b"LPUSH", b"HSET", b"SADD", b"XADD", b"MSET")


# --- scenarios with elements as writes ------------------------------------------------------------------------------


class Rewritten:
    """The lines of a scenario, with every write as a unique element; what it takes in the stream stays."""

    def __init__(self):
        self.number = 0

    def lines(self, line):
        name, prompt, command = line.partition(">")
        if prompt and " " not in name.strip():
            argv = split_args(command.strip())
            if argv[0].upper() in WRITES:
                return [self.push(name.strip(), sum(map(len, argv)))]
        if line.startswith("write "):
            words = line.split()
            size = int(words[3]) if len(words) > 3 else 16
            return [self.push(words[1], size) for _ in range(int(words[2]))]
        return [line]

    def push(self, name, size):
        self.number += 1
        return f"{name}> RPUSH {LIST.decode()} {self.number:0{max(6, size)}d}"


def rewritten(name):
    spec, rewrite = read_scenario(find(name)), Rewritten()
    steps = []
    for step in spec.steps:
        do = tuple(each for line in step.do for each in rewrite.lines(line))
        until = {who: msgspec.structs.replace(expect, keys={}, size=None) for who, expect in step.until.items()}
        steps.append(msgspec.structs.replace(step, do=do, until=until, within=min(step.within, 30)))
    return msgspec.structs.replace(spec, steps=tuple(steps))


# --- what is so -----------------------------------------------------------------------------------------------------


def acknowledged(trace):
    """Return the elements whose reply was an integer, by reading what clients said and heard."""
    diallers, talks, found = {}, {}, set()
    for event in trace:
        if isinstance(event, Dialled):
            diallers[event.link] = event.source
            talks[event.link] = ReplyParser(), [], ReplyParser()
        elif isinstance(event, Hungup):
            talks.pop(event.link, None)
        elif isinstance(event, (Sent, Delivered)) and event.link in talks:
            source = diallers[event.link]
            said, asked, heard = talks[event.link]
            if isinstance(event, Sent) and event.source == source:
                said.feed(event.data)
                while (argv := said.next()) is not INCOMPLETE:
                    asked.append(argv)
            elif isinstance(event, Delivered) and event.target == source and asked:
                if asked[0][:1] in ([b"PSYNC"], [b"SYNC"]):
                    continue
                heard.feed(event.data)
                while asked and (reply := heard.next()) is not INCOMPLETE:
                    argv = asked.pop(0)
                    if argv[0] in (b"RPUSH", b"EVAL") and not isinstance(reply, ReplyError):
                        found.add((argv[-2], argv[-1]))
    return found


def elements(world, name):
    lists = {key: value for key, value in data_of(world, name).items() if isinstance(value, ListValue)}
    return {(key, bytes(each)) for key, value in lists.items() for each in value}


def servers(world):
    return [name for name, host in world.hosts.items() if "sentinel" not in host.config_path]


def copy_of(world):
    """Return a world that goes on from here by itself."""
    copied = pickle.loads(pickle.dumps(world))
    for name, host in world.hosts.items():
        if host.node is not None:
            History._revive(copied, name, pickle.loads(pickle.dumps(host.node)))
    return copied


def after_restart(world, how):
    """Return what every server has if all end this way and start alone."""
    ended = copy_of(world)
    for name in ended.hosts:
        if how is PullPlug and ended.hosts[name].powered:
            ended.do(PullPlug(name))
        elif how is Crash and ended.hosts[name].state != DOWN:
            ended.do(Crash(name))
    found = {}
    for name in servers(ended):
        ended.do(Start(name))
        found[name] = elements(ended, name)
        if ended.hosts[name].state != DOWN:
            ended.do(Crash(name))
    return found


def groups(spec, world):
    """Return the nodes that follow each other, by the configuration files; without a scenario all."""
    if spec is None:
        return [set(world.hosts)]
    names = {node.address: name for name, node in spec.nodes.items()}
    group = {name: {name} for name in spec.nodes}
    for name, node in spec.nodes.items():
        for line in node.config:
            if found := re.match(r"(?:replicaof|slaveof) (\S+) (\d+)", line):
                other = names.get(f"{found[1]}:{found[2]}", name)
                merged = group[name] | group[other]
                for each in merged:
                    group[each] = merged
    return list({id(each): each for each in group.values()}.values())


def write_of(write):
    """Return the element that a write has added."""
    return write.argv[-2], write.argv[-1]


def compare(ledger, history, spec=None):
    """Compare all that a ledger says at a place with the world there. Returns how much was lost."""
    place, world = history.place, history.world
    views = node_views(world)
    acked = acknowledged(history.trace[:place])
    by_element = {write_of(write): write for write in ledger.written(place)}
    assert set(by_element) == acked
    assert ledger.acknowledged(place) == len(ledger.written(place))
    data = {name: elements(world, name) for name in servers(world)}
    masters = [name for name in data if views[name].state != "down" and views[name].role == "master"]
    assert ledger.masters(place) == masters
    files, disks = after_restart(world, Crash), after_restart(world, PullPlug)
    awaited, lost = ledger.awaited(place), set()
    for group in groups(spec, world):
        mine = [name for name in masters if name in group]
        written = {each for each, write in by_element.items() if write.host in group}
        if mine:
            had = [
                data[name] if awaited.get(name, True) else files[name] for name in (*mine, *awaited) if name in group
            ]
            lost |= written - set().union(*had)
    told = {write_of(write) for loss in ledger.losses(place) for write in loss.writes}
    assert told == lost
    for each, write in by_element.items():
        for name, holder in ledger.holders(write, place).items():
            assert (holder.in_memory, holder.in_files, holder.on_disk) == (
                each in data[name], each in files[name], each in disks[name],
            ), f"{place}: {name} {each}"  # fmt: skip
    return len(lost)


# In a cluster, keys move to other nodes; the ledger counts them where they were written, and the pane says so.
NOT_CLUSTERS = [name for name in share_of_scenarios() if not name.startswith("cluster-")]


@pytest.mark.parametrize("name", NOT_CLUSTERS)
def test_the_ledger_is_what_the_nodes_hold(name):
    spec = rewritten(name)
    runner, ledger = ScenarioRunner(spec), Ledger()
    while runner.next_step is not None:
        runner.step()
        ledger = ledger.read(runner.history.trace)
        compare(ledger, runner.history, spec)
    history = runner.history
    for place in range(0, len(history.trace), max(1, len(history.trace) // 12)):
        history.goto(history.branch_now.counts[min(len(history.branch_now.counts) - 1, place)])
        compare(ledger, history, spec)


# --- random histories -----------------------------------------------------------------------------------------------


class Elements(ClusterPlan):
    """A cluster to which everything may happen; its clients add elements, and the ledger is compared on the way."""

    def __init__(self, seed, where):
        super().__init__(seed, where)
        self.ledger = Ledger()
        self.lost = 0

    def write(self, client):
        self.counter += 1
        push = ("RPUSH", LIST, f"{self.counter:0{self.pick((4, 4, 100, 3000))}d}")
        if self.chance(15):
            push = ("EVAL", "return redis.call('RPUSH', KEYS[1], ARGV[1])", "1", *push[1:])
        self.command(client, *push)

    def look(self, data=False):
        if data:
            self.ledger = self.ledger.read(self.where.trace)
            self.lost = max(self.lost, compare(self.ledger, self.where))

    def trouble(self):
        """Also make one node the master of all others, as an administrator does after a failure."""
        super().trouble()
        if self.chance(20) and (running := self.hosts("up")):
            chosen = self.pick(running)
            for name in running:
                to = ("NO", "ONE") if name == chosen else (self.world.hosts[chosen].ip, "6379")
                self.client("boss-" + name, name)
                self.command("boss-" + name, "REPLICAOF", *to)


@pytest.mark.parametrize("seed", range(1, 1 + (400 if EVERYTHING else 12)))
def test_random_histories(seed):
    plan = Elements(seed, History(seed))
    plan.play()
    plan.look(data=True)
    print(f"seed {seed}: {plan.ledger.acknowledged(plan.where.place)} acknowledged, {plan.lost} lost")
