"""The two connections to an instance, told as conversations; and instances that are hostile."""

import pickle
from typing import Any, cast

import pytest

from engine import effects as fx
from engine.boot import read_config
from engine.config import parse_command_line
from engine.protocol.resp import encode_command
from engine.sentinel.instances import Master
from engine.sentinel.links import InstanceConnection
from engine.sentinel.process import SentinelNode
from engine.sentinel.role import SentinelRole
from tests.sentinel.test_directives import Files
from tests.world import QuietWorld

SECOND = 1_000_000
START_US = 1_000_000 * SECOND
ID = "c" * 40
INFO = b"# Server\r\nrun_id:%b\r\n# Replication\r\nrole:master\r\nslave0:ip=10.0.0.2,port=6379,state=online\r\n" % (
    b"d" * 40
)


class Quiet(QuietWorld):
    def run_now(self, node: Any, effect: fx.Effect) -> Any:
        self.before.extend(node.output.take())
        return super().run_now(node, effect)

    before: list[fx.Effect]


class Watching:
    """A Sentinel that watches `m` at 10.0.0.1, and what it wants done."""

    def __init__(self, *lines: str) -> None:
        text = "\n".join(("sentinel monitor m 10.0.0.1 6379 1", f"sentinel myid {ID}", *lines)) + "\n"
        files = Files(text)
        config = read_config(parse_command_line(["s.conf"]), "/", files, START_US)
        role = files.role
        assert isinstance(role, SentinelRole)
        self.now_us = START_US
        node = role.node(config, 1, START_US)
        assert isinstance(node, SentinelNode)
        self.node = node
        self.world = Quiet()
        self.world.before = []
        self.world.files["s.conf"] = text.encode()
        node.attach(cast(Any, self.world))
        node.start(START_US)
        self.effects: list[fx.Effect] = []
        self.pass_time(0.1)

    def pass_time(self, seconds: float) -> None:
        end_us = self.now_us + int(seconds * SECOND)
        while self.now_us < end_us:
            self.now_us = min(end_us, max(self.now_us, self.node.deadline()))
            self.node.wake(self.now_us)
            self.collect()

    def collect(self) -> None:
        self.effects += self.world.before + self.node.end_round(self.now_us)
        self.world.before.clear()

    def take(self, kind: type) -> list[Any]:
        """Return what it wanted of a kind since the last time."""
        found = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, kind)]
        return found

    def open_links(self) -> tuple[int, int]:
        """Let the first two connections stand; returns them: for commands, for pub/sub."""
        commands, pubsub = (dial.link for dial in self.take(fx.Dial)[:2])
        for link in (commands, pubsub):
            self.node.opened(link, "10.0.0.1:6379", "dialled", self.now_us, "10.0.0.100:40000")
        self.collect()
        return commands, pubsub

    def says(self, link: int, data: bytes) -> None:
        self.node.received(link, data, self.now_us)
        self.collect()

    @property
    def master(self) -> Master:
        return self.node.monitor.watched.masters["m"]

    def logs(self) -> list[str]:
        return [effect.text for effect in self.take(fx.Log)]


def sent(watching: Watching, link: int) -> bytes:
    return b"".join(effect.data for effect in watching.take(fx.Send) if effect.link == link)


def test_both_connections_say_who_this_is_and_one_listens() -> None:
    watching = Watching("sentinel auth-pass m secret", "sentinel auth-user m watcher")
    dials = [(dial.host, dial.port, dial.tls) for dial in watching.effects if isinstance(dial, fx.Dial)]
    assert dials == [("10.0.0.1", 6379, False)] * 2
    commands, pubsub = watching.open_links()
    sends = {effect.link: effect.data for effect in watching.take(fx.Send)}
    login = encode_command([b"AUTH", b"watcher", b"secret"])
    name = f"sentinel-{ID[:8]}-".encode()
    assert sends[commands].startswith(login + encode_command([b"CLIENT", b"SETNAME", name + b"cmd"]))
    assert encode_command([b"PING"]) in sends[commands]
    assert sends[pubsub] == (
        login
        + encode_command([b"CLIENT", b"SETNAME", name + b"pubsub"])
        + encode_command([b"SUBSCRIBE", b"__sentinel__:hello"])
    )


def test_commands_are_sent_by_their_new_names() -> None:
    watching = Watching("sentinel rename-command m PING knock", "sentinel rename-command m subscribe listen")
    watching.open_links()
    data = b"".join(effect.data for effect in watching.take(fx.Send))
    assert encode_command([b"knock"]) in data and encode_command([b"listen", b"__sentinel__:hello"]) in data
    assert b"PING" not in data


def test_what_is_due_is_sent() -> None:
    watching = Watching()
    commands, _ = watching.open_links()
    watching.says(commands, b"+OK\r\n+PONG\r\n")
    sent(watching, commands)
    watching.pass_time(0.2)
    assert b"INFO" in sent(watching, commands)  # at first
    watching.says(commands, b"$%d\r\n%b\r\n" % (len(INFO), INFO) * watching.master.link.pending_commands)
    assert [each.address.ip for each in watching.master.replicas.values()] == ["10.0.0.2"]
    assert watching.master.run_id == "d" * 40
    watching.pass_time(2.5)
    data = sent(watching, commands)
    assert data.count(b"PING") >= 1
    assert b"10.0.0.100,26379,%b,0,m,10.0.0.1,6379,0" % ID.encode() in data
    assert b"INFO" not in data


def test_an_instance_that_answers_nothing_is_given_up_and_dialled_again() -> None:
    watching = Watching("sentinel down-after-milliseconds m 1000")
    commands, pubsub = watching.open_links()
    watching.pass_time(14)
    assert "+sdown master m 10.0.0.1 6379" in watching.logs()
    assert watching.take(fx.Hangup) == []
    pending = watching.master.link.pending_commands
    assert pending <= 110
    watching.pass_time(3)
    assert {effect.link for effect in watching.take(fx.Hangup)} == {commands, pubsub}
    assert len(watching.take(fx.Dial)) >= 2


def test_a_script_that_takes_long_is_killed_once() -> None:
    watching = Watching("sentinel down-after-milliseconds m 1000")
    commands, _ = watching.open_links()
    busy = b"-BUSY Redis is busy running a script.\r\n"
    watching.says(commands, b"+OK\r\n" + busy)
    for _ in range(6):
        watching.pass_time(0.5)
        watching.says(commands, busy * watching.master.link.pending_commands)
    assert sent(watching, commands).count(encode_command([b"SCRIPT", b"KILL"])) == 1


HOSTILE = {
    "too long a bulk": b"+OK\r\n$999999999\r\n",
    "too long a line": b"+OK\r\n+" + b"x" * 100_000,
    "an endless array": b"+OK\r\n*1000000000\r\n",
    "arrays in arrays": b"*1\r\n" * 1000,
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "replies that nobody asked for": b"+PONG\r\n" * 1000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("which", [0, 1], ids=["commands", "pubsub"])
def test_what_no_server_says_ends_the_connection(name: str, which: int) -> None:
    watching = Watching()
    links = watching.open_links()
    if name == "replies that nobody asked for" and which == 1:
        watching.says(links[1], HOSTILE[name])  # messages of any kind may come here
        assert watching.take(fx.Hangup) == []
        return
    for start in range(0, len(HOSTILE[name]), 16_384):
        watching.says(links[which], HOSTILE[name][start : start + 16_384])
    assert [effect.link for effect in watching.take(fx.Hangup)] == [links[which]]
    watching.pass_time(2)
    assert watching.take(fx.Dial)


def test_an_endless_reply_takes_no_more_memory_than_one_may() -> None:
    watching = Watching()
    commands, _ = watching.open_links()
    watching.says(commands, b"+OK\r\n+PONG\r\n")
    connection = watching.master.link.commands
    assert isinstance(connection, InstanceConnection)
    watching.pass_time(0.3)
    for _ in range(40):
        if not connection.is_open:
            break
        watching.says(commands, b"*100000\r\n" + b"$1000\r\n%b\r\n" % (b"x" * 1000) * 60)
        assert len(connection.conversation.buffer) < 1 << 21
    assert not connection.is_open


@pytest.mark.parametrize(
    "info",
    [
        b"",
        b"role:",
        b"role:nothing\r\nslave0:ip=,port=\r\nslave1:ip=x,port=y\r\nslaveX:\r\nslave9",
        b"role:slave\r\nmaster_host:\r\nmaster_port:99999999999999999999\r\nslave_priority:x\r\nslave_repl_offset:-1",
        b"run_id:" + b"x" * 10 + b"\r\nrole:master\r\nslave0:ip=10.0.0.1,port=-5\r\nslave1:1.2.3.4,70000,online",
        bytes(range(256)) * 20,
        b"\r\n".join(b"slave%d:ip=10.%d.%d.1,port=1,state=online" % (i, i // 256, i % 256) for i in range(200)),
    ],
)
def test_info_that_says_nothing_or_too_much(info: bytes) -> None:
    watching = Watching()
    commands, _ = watching.open_links()
    watching.says(commands, b"+OK\r\n+PONG\r\n")
    watching.pass_time(0.2)
    watching.says(commands, b"$%d\r\n%b\r\n" % (len(info), info) * watching.master.link.pending_commands)
    watching.pass_time(5)
    assert len(watching.master.replicas) <= 200
    assert watching.node.monitor.watched.masters["m"] is watching.master


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b",,,,,,,",
        b"x",
        b"a,b,c,d,m,e,f,g",
        b"10.0.0.3,26379,%b,0,other,10.0.0.1,6379,0" % (b"e" * 40),
        b"10.0.0.3,99999,%b,0,m,10.0.0.1,6379,0" % (b"e" * 40),
        b"nowhere,26379,%b,0,m,10.0.0.1,6379,0" % (b"e" * 40),
        b"10.0.0.3,26379,%b,0,m,nowhere,6379,9" % (b"e" * 40),
        bytes(range(256)),
    ],
)
def test_hello_messages_that_make_no_sense(message: bytes) -> None:
    watching = Watching()
    _, pubsub = watching.open_links()
    data = b"*3\r\n$7\r\nmessage\r\n$18\r\n__sentinel__:hello\r\n$%d\r\n%b\r\n" % (len(message), message)
    watching.says(pubsub, b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$18\r\n__sentinel__:hello\r\n:1\r\n" + data)
    assert watching.take(fx.Hangup) == []
    assert watching.master.address.ip == "10.0.0.1"


def test_a_sentinel_can_be_copied_at_any_time() -> None:
    watching = Watching()
    commands, pubsub = watching.open_links()
    watching.says(commands, b"+OK\r\n+PO")
    copy = pickle.loads(pickle.dumps(watching.node))
    watching.node = copy
    copy.attach(watching.world)
    watching.says(commands, b"NG\r\n")
    watching.pass_time(3)
    assert watching.master.link.waiting_since_ms is not None  # a later ping
    assert watching.master.link.last_available_ms == (START_US + SECOND // 10) // 1000
    assert sent(watching, commands) and pubsub
