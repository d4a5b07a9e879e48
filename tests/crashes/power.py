"""Power cuts at any file operation of a node, on the simulated disk with its page cache.

    python -m tests.crashes.power [--seeds N] [--first SEED]

A node with an append-only file is driven directly: clients write, rewrites and snapshots begin and end, time passes,
and at some operation the power goes. What was not fsynced is gone, or a part of it is there, cut anywhere. Whatever
the moment the files load, and hold

    always      everything that was acknowledged
    everysec    everything that was acknowledged more than two seconds before
    no          some first part of what each client did
"""

import argparse
import random
import sys
import time
from collections import Counter

import hiredis

from engine import effects as fx
from engine.config import Config
from engine.node import Node
from engine.persistence.snapshots import LoadError
from engine.protocol.resp import encode_command
from engine.simulation.disk import Disk
from engine.values.rng import Rng
from tests.crashes.model import NAMES, History, State
from tests.world import QuietWorld

START_US = 1_700_000_000_000_000
TWO_SECONDS_US = 2_000_000
LIVES = 4
DIRECTORY = "/data"


class PowerCut(BaseException):
    """The power goes."""


class PowerWorld(QuietWorld):
    """A world with a simulated disk, whose power goes after so many file operations."""

    def __init__(self, disk: Disk, crash_after: int) -> None:
        super().__init__()
        self.disk = disk
        self.crash_after = crash_after
        self.sent: dict[int, bytes] = {}
        self.syncing: list[tuple[str, int, int, int]] = []  # path, size, ticket, since
        self.children: dict[int, tuple[str, bytes]] = {}

    def run_now(self, node, effect):
        effects = node.output.take()
        self.carry_out(node, effects)
        if isinstance(effect, fx.Snapshot):
            data = b"".join(node.snapshot_chunks(effect.kind))
            if effect.id:
                self.children[effect.id] = (effect.path, data)
            else:
                self.save(effect.path, data)
            return None
        return self.file(effect)

    def carry_out(self, node, effects):
        for effect in effects:
            if isinstance(effect, fx.Send):
                self.sent[effect.link] = self.sent.get(effect.link, b"") + effect.data
            elif isinstance(effect, fx.Log):
                self.logs.append(effect.text)
            elif isinstance(effect, fx.Snapshot):
                self.children[effect.id] = (effect.path, b"".join(node.snapshot_chunks(effect.kind)))
            elif isinstance(effect, fx.Sync) and effect.background:
                path = self.place(effect.path)
                self.syncing.append((path, self.disk.size(path), effect.ticket, node.clock.now_us))
            elif not isinstance(effect, fx.KillSnapshot | fx.Title):
                self.file(effect)

    @staticmethod
    def place(path):
        return path if path.startswith("/") else f"{DIRECTORY}/{path}".replace("/./", "/").removesuffix("/.")

    def burn(self):
        self.crash_after -= 1
        if self.crash_after <= 0:
            raise PowerCut

    def save(self, path, data):
        temporary = self.place(path) + ".temporary"
        self.burn()
        self.disk.write(temporary, data)
        self.burn()
        self.disk.sync(temporary)
        self.burn()
        self.disk.rename(temporary, self.place(path))

    def file(self, effect):
        disk = self.disk
        try:
            if isinstance(effect, fx.Rename):
                self.burn()
                return disk.rename(self.place(effect.source), self.place(effect.target))
            path = self.place(effect.path)
            if isinstance(effect, fx.Read):
                return disk.read(path)
            if isinstance(effect, fx.ListDir):
                return disk.list(path)
            if isinstance(effect, fx.Size):
                return disk.size(path)
            self.burn()
            if isinstance(effect, fx.Append):
                return disk.append(path, effect.data)
            if isinstance(effect, fx.Write):
                return disk.write(path, effect.data)
            if isinstance(effect, fx.Sync):
                return disk.sync(path)
            if isinstance(effect, fx.Truncate):
                return disk.truncate(path, effect.size_bytes)
            assert isinstance(effect, fx.Unlink), effect
            return disk.unlink(path)
        except OSError as error:
            return error


class Story:
    """What one seed tells: several lives on one disk, each ended by a power cut."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.torn = Rng(seed)
        self.policy = rng.choice(("always", "everysec", "no"))
        self.preamble = rng.random() < 0.5
        self.now = START_US
        self.disk = Disk()
        self.histories = [History(link, random.Random(rng.random())) for link in (1, 2)]
        self.done: Counter[str] = Counter()

    def tell(self) -> None:
        """Live and die; raises AssertionError when something is missing."""
        for _ in range(LIVES):
            crash_after = self.rng.choice((self.rng.randrange(1, 12), self.rng.randrange(1, 150)))
            world = PowerWorld(self.disk, crash_after)
            try:
                self.live(world)
            except PowerCut:
                self.done[self.policy] += 1
            lost = self.disk.power_cut(self.torn if self.rng.random() < 0.7 else None)
            self.done["with bytes lost"] += lost > 0
            self.now += self.rng.randrange(10_000_000)
        self.look(self.start(PowerWorld(self.disk, 1 << 30)))

    def start(self, world: PowerWorld) -> Node:
        config = Config()
        config.appendonly, config.appendfsync, config.dir = True, self.policy, DIRECTORY
        config.aof_use_rdb_preamble, config.save = self.preamble, []
        node = Node(config, self.rng.randrange(1 << 30), self.now)
        node.attach(world)
        try:
            node.start(self.now)
        except LoadError:
            world.carry_out(node, node.output.effects)
            raise AssertionError("a file does not load:\n" + "\n".join(world.logs)) from None
        for link in (1, 2, 3):
            node.opened(link, f"127.0.0.1:{link}", "tcp", self.now)
        world.carry_out(node, node.end_round(self.now))
        return node

    def look(self, node: Node) -> None:
        """Compare what is there with what the clients know."""
        for history in self.histories:
            wrong = history.settle(held(node, history))
            assert wrong is None, f"{self.policy}: {wrong}"

    def live(self, world: PowerWorld) -> None:
        rng = self.rng
        node = self.start(world)
        self.look(node)
        readers = {history.client: hiredis.Reader() for history in self.histories}
        replies = {history.client: 0 for history in self.histories}
        known: list[tuple[int, list[int]]] = []  # how much had been acknowledged when
        while True:
            self.now += rng.choice((1_000, 20_000, 100_000))  # the cron comes ten times a second
            if node.deadline() <= self.now:
                node.wake(self.now)
            chance = rng.random()
            if chance < 0.1:
                node.received(3, encode_command([rng.choice((b"BGREWRITEAOF", b"BGSAVE"))]), self.now)
            elif chance < 0.3 and world.children:
                id, (path, data) = world.children.popitem()
                world.save(path, data)
                node.snapshot(id, None, self.now)
            if world.syncing and (chance < 0.5 or self.now - world.syncing[0][3] > 200_000):
                path, size, ticket, _ = world.syncing.pop(0)
                if path in self.disk.names:
                    world.burn()
                    self.disk.sync(path, size)
                node.done(ticket, None, self.now)
            for history in rng.sample(self.histories, rng.randrange(3)):
                operations = [history.next() for _ in range(rng.choice((1, 1, 5)))]
                commands = [command for operation in operations for command in operation.commands]
                node.received(history.client, b"".join(map(encode_command, commands)), self.now)
            try:
                world.carry_out(node, node.end_round(self.now))
            finally:
                self.hear(world, readers, replies)
                known.append((self.now, [history.acknowledged for history in self.histories]))
                self.promise(known)
            assert not node.exiting, world.logs

    def hear(self, world: PowerWorld, readers: dict[int, hiredis.Reader], replies: dict[int, int]) -> None:
        """Count the operations whose replies have all come."""
        for history in self.histories:
            reader = readers[history.client]
            reader.feed(world.sent.pop(history.client, b""))
            while (reply := reader.gets()) is not False:
                assert not isinstance(reply, Exception), reply
                replies[history.client] += 1
                if replies[history.client] == len(history.sent[history.acknowledged].commands):
                    replies[history.client] = 0
                    history.acknowledged += 1

    def promise(self, known: list[tuple[int, list[int]]]) -> None:
        """Note what has to be there if the power goes now."""
        for i, history in enumerate(self.histories):
            if self.policy == "always":
                history.durable = history.acknowledged
            elif self.policy == "everysec":
                history.durable = max([0, *[counts[i] for at, counts in known if at <= self.now - TWO_SECONDS_US]])


def held(node: Node, history: History) -> State:
    """Return what a node holds of a client's keys."""
    found: State = {}
    db = node.space.databases[0]
    for name in ("n", "a", "b", "c", "d", *NAMES, "l", "m", "h"):
        value = db.held(history.key(name))
        if value is None:
            continue
        if name in ("n", "a", "b", "c", "d"):
            found[name] = int(value)
        elif name in NAMES:
            found[name] = str(value) if isinstance(value, int) else bytes(value).decode()
        elif name == "h":
            found[name] = {field.decode(): content.decode() for field, content in value.items()}
        else:
            found[name] = [item.decode() for item in value]
    return found


def main() -> int:
    """Run seeds; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.power", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    done: Counter[str] = Counter()
    started = time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
        story = Story(seed)
        try:
            story.tell()
        except AssertionError as error:
            print(f"seed {seed}: {error}")
            return 1
        done += story.done
    print(f"{options.seeds} seeds in {time.monotonic() - started:.0f} s:", dict(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
