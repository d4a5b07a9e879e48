"""CONFIG as commands: what follows from a change, what is put back, what reaches the disk."""

import errno

import pytest

from engine.config import parse
from engine.effects import ChangeDir, Listen, Log, Read, Rename, Sync, Unlink, Unlisten, Write
from engine.node import Node
from engine.protocol.errors import ReplyError
from engine.protocol.resp import OK
from engine.report.info import info
from tests.inprocess import InProcess


class Machine:
    """A world with a few files and ports; `taken` ports cannot be had."""

    def __init__(self):
        self.files = {}
        self.taken = set()
        self.listening = {}
        self.log = []
        self.full = False

    def stopwatch(self):
        return 0

    def service(self, node):
        pass

    def facts(self):
        return {"pid": 7, "open_files_max": 1032}

    def run_now(self, node, effect):
        effects = node.output.take()
        for earlier in effects:
            self.carry_out(earlier)
        return self.carry_out(effect)

    def carry_out(self, effect):
        match effect:
            case Read(path):
                return self.files.get(path, FileNotFoundError(2, "No such file or directory", path))
            case Write(path, data):
                if self.full:
                    return OSError(errno.ENOSPC, "No space left on device")
                self.files[path] = data
            case Rename(source, target):
                self.files[target] = self.files.pop(source)
            case Unlink(path):
                self.files.pop(path, None)
            case Listen(kind, host, port):
                if (host, port) in self.listening or port in self.taken:
                    return OSError(errno.EADDRINUSE, "Address already in use")
                self.listening[host, port] = kind
            case Unlisten(kind, host, port):
                self.listening.pop((host, port), None)
            case ChangeDir(path):
                return "/there" if path == "there" else FileNotFoundError(2, "No such file or directory", path)
            case Log(level, text):
                self.log.append(level + text)
            case Sync():
                pass
            case other:
                raise AssertionError(other)
        return None


class Server:
    def __init__(self, text=b"port 7000\nbind 127.0.0.1\nenable-protected-configs yes\n"):
        config = parse(text)
        config.config_file = "/r.conf"
        config.dir = "/here"
        self.machine = Machine()
        self.machine.listening["127.0.0.1", 7000] = "tcp"
        self.node = Node(config, 1, 1_000_000)
        self.node.attach(self.machine)
        self.node.opened(1, "127.0.0.1:9", "tcp", 1_000_000)
        self.client = self.node.links[1]

    def __call__(self, *words):
        argv = [word.encode() for word in words]
        command = self.node.dispatch.commands[b"config"].subcommands[argv[1]]
        reply = self.node.dispatch.call(self.client, command, argv)
        for effect in self.node.output.effects:
            self.machine.carry_out(effect)
        self.node.output.take()
        return reply.text.decode() if isinstance(reply, ReplyError) else reply


@pytest.fixture
def config():
    return Server()


def test_another_port(config):
    assert config("config", "set", "port", "7001", "bind", "127.0.0.1 127.0.0.2") == OK
    assert set(config.machine.listening) == {("127.0.0.1", 7001), ("127.0.0.2", 7001)}
    assert config("config", "set", "port", "0") == OK
    assert not config.machine.listening


def test_a_port_that_is_taken_puts_everything_back(config):
    config.machine.taken.add(7001)
    assert config("config", "set", "hz", "50", "requirepass", "x", "port", "7001") == (
        "ERR CONFIG SET failed (possibly related to argument 'port') - "
        "Unable to listen on this port. Check server logs."
    )
    assert config("config", "get", "hz", "port", "requirepass") == {
        b"hz": b"10",
        b"port": b"7000",
        b"requirepass": b"",
    }
    assert set(config.machine.listening) == {("127.0.0.1", 7000)}
    assert config.node.acl.default_needs_no_password()
    assert any("Restoring previous settings" in line for line in config.machine.log)


def test_the_directory(config):
    assert config("config", "set", "dir", "there") == OK
    assert config("config", "get", "dir") == {b"dir": b"/there"}
    assert config("config", "set", "hz", "50", "dir", "nowhere").endswith("'dir') - No such file or directory")
    assert config("config", "get", "dir", "hz") == {b"dir": b"/there", b"hz": b"10"}


def test_what_is_corrected_and_what_the_machine_refuses(config):
    assert config("config", "set", "hz", "1000", "repl-backlog-size", "1") == OK
    assert config("config", "get", "hz", "repl-backlog-size") == {b"hz": b"500", b"repl-backlog-size": b"16384"}
    assert config("config", "set", "maxclients", "1000") == OK
    assert config("config", "set", "maxclients", "1001").endswith("try with 1000")
    assert config("config", "set", "locale-collate", "xx_YY").endswith("Invalid locale name")
    assert config("config", "get", "maxclients", "locale-collate") == {b"maxclients": b"1000", b"locale-collate": b""}


def test_secrets_are_redacted_even_when_the_command_fails(config):
    assert config("config", "set", "requirepass", "x", "nope", "1").startswith("ERR Unknown option")
    assert config.node.execution.redactions[1] == (3,)


def test_notifications_take_effect(config):
    assert config("config", "set", "notify-keyspace-events", "KEm") == OK
    assert config.node.space.notify_mask == config.node.config.notify_keyspace_events
    assert config.node.space.notify_misses
    assert config("config", "set", "notify-keyspace-events", "Ag") == OK
    assert config.node.space.notify_mask == 0


def test_rewrite(config):
    config.machine.files["/r.conf"] = b"# mine\nport 1\n"
    assert config("config", "rewrite") == OK
    assert config.machine.files["/r.conf"].startswith(b"# mine\nport 7000\n\n# Generated by CONFIG REWRITE\n")
    assert b"\nuser default on nopass " in config.machine.files["/r.conf"]
    assert list(config.machine.files) == ["/r.conf"]
    before = dict(config.machine.files)
    config.machine.full = True
    assert config("config", "rewrite") == "ERR Rewriting config file: No space left on device"
    assert config.machine.files == before
    assert config.machine.log[-2:] == [
        "#Failed after writing (0) bytes to tmp config file (No space left on device)",
        "#CONFIG REWRITE failed: No space left on device",
    ]
    config.node.config.config_file = ""
    assert config("config", "rewrite") == "ERR The server is running without a config file"


def test_renamed_commands_are_found_under_their_new_name_only():
    node = Server(b"rename-command get fetch\nrename-command keys ''\n").node
    assert b"get" not in node.dispatch.commands
    assert b"GET" not in node.dispatch.commands
    assert b"keys" not in node.dispatch.commands
    assert node.dispatch.commands[b"fetch"].name == node.dispatch.commands[b"FETCH"].name == b"get"


def test_resetstat(config):
    node = config.node
    node.stats.net_input_bytes = node.space.hits = 5
    config("config", "get", "hz")
    assert node.stats.commands
    assert config("config", "resetstat") == OK
    assert node.stats.net_input_bytes == node.space.hits == 0
    assert set(node.stats.commands) <= {b"config|resetstat"}


def test_rates_of_sixteen_samples_begin_again_at_resetstat(config):
    node = config.node
    told = dict(node_rates(node, 1000, 16))
    assert told == {
        "ops_per_sec": "0",
        "input_kbps": "20.00",
        "output_kbps": "20.00",
        "input_repl_kbps": "10.00",
        "output_repl_kbps": "10.00",
        "eventloop_cycles_per_sec": "20",
        "eventloop_duration_usec": "100",
    }
    config("config", "resetstat")
    # What was not sampled again counts as nothing: one sample of sixteen.
    again = {name: value for name, value in node_rates(node, 0, 1) if value not in ("0", "0.00")}
    assert again == {"eventloop_cycles_per_sec": "1", "eventloop_duration_usec": "6"}


def test_the_time_of_a_round_is_that_of_the_cron_too():
    server = InProcess()
    node, clock = server.node, iter(range(1000, 10**9, 250))
    node.clock.stopwatch = lambda: next(clock)
    before = node.stats.active_time_us
    node.wake(node.deadline())
    node.end_round(node.clock.now_us)
    assert node.stats.active_time_us >= before + 250


def node_rates(node, bytes_, samples):
    """Let so many periods pass, with bytes in each; return what INFO says of rates."""
    for _ in range(samples + 1):
        total = node.stats
        total.net_input_bytes += bytes_ * 1024 // 1000
        total.net_output_bytes += bytes_ * 1024 // 1000
        total.net_repl_input_bytes += bytes_ * 1024 // 1000
        total.net_repl_output_bytes += bytes_ * 1024 // 1000
        total.rounds += 2
        total.active_time_us += 200
        node.clock.now_us += 100_000
        node.stats.rates.sample(total, 0, node.clock.now_us)
    return [
        (line.removeprefix("instantaneous_").split(":")[0], line.split(":")[1])
        for line in info(node, [b"stats"]).decode().splitlines()
        if line.startswith("instantaneous_")
    ]
