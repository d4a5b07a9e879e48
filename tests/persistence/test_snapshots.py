"""Snapshots and the end of a server: what a child tells, signals, crashes, damaged files."""

import pytest

from engine import effects as fx
from engine.config import Config
from engine.node import Node
from engine.observe.stats import Stats
from engine.persistence.snapshots import DamagedFileError, LoadError
from engine.protocol.resp import encode_command
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000


class Server:
    def __init__(self, **settings):
        config = Config()
        config.enable_debug_command = "yes"
        for name, value in settings.items():
            setattr(config, name, value)
        self.world = QuietWorld()
        self.node = Node(config, 1, NOW)
        self.node.attach(self.world)
        self.now = NOW

    def start(self):
        self.node.start(self.now)
        self.node.opened(1, "127.0.0.1:1", "tcp", self.now)
        self.effects = self.node.end_round(self.now)
        return self

    def run(self, *commands):
        self.node.received(1, b"".join(encode_command(command.split()) for command in commands), self.now)
        return self.settle()

    def settle(self):
        self.effects = self.node.end_round(self.now)
        return b"".join(each.data for each in self.effects if isinstance(each, fx.Send))

    def info(self, section):
        lines = self.run(b"INFO " + section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    @property
    def logs(self):
        return [each.text for each in self.effects if isinstance(each, fx.Log)]


def test_info_tells_how_far_a_child_is():
    server = Server().start()
    server.run(*[b"SET k%d v" % i for i in range(10)], b"BGSAVE")
    assert server.info(b"persistence")["current_save_keys_total"] == "10"
    server.node.snapshot_progress(4, 8192, server.now)
    info = server.info(b"persistence")
    assert info["current_save_keys_processed"] == "4" and info["current_fork_perc"] == "40.00"
    assert info["current_cow_size"] == "8192" and info["rdb_last_cow_size"] == "0"
    server.node.snapshot(server.node.persistence.saving, None, server.now)
    info = server.info(b"persistence")
    assert info["current_save_keys_processed"] == "0" and info["rdb_last_cow_size"] == "8192"


@pytest.mark.parametrize("kind", ["rdb", "aof"])
def test_what_writes_a_snapshot_counts_its_keys(kind):
    server = Server(aof_use_rdb_preamble=False).start()
    server.run(*[b"SET k%d v" % i for i in range(10)], b"SELECT 3", b"SET k v")
    progress = server.node.persistence.child.progress
    counts = [progress.keys for _ in server.node.snapshot_chunks(kind, 1)]
    assert counts == sorted(counts) and counts[0] <= 1 and counts[-1] == 11


def test_a_signal_waits_while_the_cron_is_paused():
    server = Server().start()
    server.run(b"DEBUG PAUSE-CRON 1")
    server.node.signal("term", server.now)
    assert server.run(b"SHUTDOWN ABORT") == b"+OK\r\n"
    assert "Shutdown manually aborted." in server.logs
    server.run(b"DEBUG PAUSE-CRON 0")
    assert server.run(b"SHUTDOWN ABORT").startswith(b"-ERR No shutdown in progress")
    server.now += 200_000
    server.node.wake(server.now)
    assert not server.node.exiting
    server.run(b"DEBUG PAUSE-CRON 1")
    server.node.signal("term", server.now)
    server.run(b"DEBUG PAUSE-CRON 0")
    server.now += 200_000
    server.node.wake(server.now)
    assert server.node.exiting


@pytest.mark.parametrize("command, signal, text", [(b"SEGFAULT", 11, "crashed by signal: 11"), (b"PANIC", 6, "Guru")])
def test_a_crash_answers_nobody(command, signal, text):
    server = Server().start()
    assert server.run(b"PING", b"DEBUG " + command) == b""
    (ending,) = [effect for effect in server.effects if isinstance(effect, fx.Exit)]
    assert ending.signal == signal and text in ending.crash and ending.status


def test_flushall_leaves_an_empty_snapshot_where_there_are_save_points():
    server = Server().start()
    server.run(b"SET k v", b"SAVE")
    full = server.world.files["dump.rdb"]
    server.run(b"FLUSHALL")
    assert len(server.world.files["dump.rdb"]) < len(full)
    server = Server(save=[]).start()
    server.run(b"SET k v", b"SAVE", b"FLUSHALL")
    assert b"\x00\x01k\x01v" in server.world.files["dump.rdb"]


@pytest.mark.parametrize("number, refused", [(10, False), (9, True)])
def test_a_save_that_was_given_up_is_no_failure(number, refused):
    """FLUSHALL ends the child that writes a snapshot; writes go on, as they do when somebody sends it SIGUSR1."""
    server = Server().start()
    server.run(b"SET k v", b"BGSAVE")
    saving = server.node.persistence.saving
    assert saving
    server.run(b"FLUSHALL")
    server.node.snapshot(saving, f"Background saving terminated by signal {number}", server.now)
    assert server.info(b"persistence")["rdb_last_bgsave_status"] == ("err" if refused else "ok")
    assert server.run(b"SET k v").startswith(b"-MISCONF" if refused else b"+OK")
    assert server.run(b"PING").startswith(b"-MISCONF" if refused else b"+PONG")


def test_pings_fail_while_the_disk_cannot_keep_writes():
    """A Sentinel that pings such a master sees it as down, and promotes a replica that can save."""
    server = Server().start()
    server.run(b"SET k v", b"BGSAVE")
    server.node.snapshot(server.node.persistence.saving, "Background saving error", server.now)
    assert server.run(b"PING").startswith(b"-MISCONF Redis is configured to save RDB snapshots")
    assert server.run(b"GET k", b"ECHO x", b"INFO stats").startswith(b"$1\r\nv\r\n$1\r\nx\r\n$")
    assert server.run(b"MULTI", b"PING", b"EXEC").startswith(b"+OK\r\n-MISCONF")
    assert server.run(b"CONFIG SET stop-writes-on-bgsave-error no", b"PING") == b"+OK\r\n+PONG\r\n"


def test_a_rewrite_that_was_given_up_is_no_failure():
    server = Server(appendonly=True).start()
    server.run(b"SET k v", b"BGREWRITEAOF")
    server.node.snapshot(server.node.aof.rewriting, "Background AOF rewrite terminated by signal 10", server.now)
    told = server.info(b"persistence")
    assert (told["aof_last_bgrewrite_status"], told["aof_rewrites_consecutive_failures"]) == ("ok", "0")


def test_a_damaged_file_ends_the_server_with_the_place():
    server = Server().start()
    server.run(b"RPUSH list a b c", b"SAVE")
    data = bytearray(server.world.files["dump.rdb"])
    data[data.index(b"\x84list") if b"\x84list" in data else data.index(b"\x04list") + 8] ^= 0xFF
    again = Server()
    again.world.files["dump.rdb"] = bytes(data)
    with pytest.raises(DamagedFileError) as found:
        again.start()
    assert found.value.last_words == "Terminating server after rdb file reading failure."
    assert any(isinstance(each, fx.Log) and "[offset " in each.text for each in again.node.output.effects)
    again = Server()
    again.world.files["dump.rdb"] = b"something else"
    with pytest.raises(LoadError) as found:
        again.start()
    assert not isinstance(found.value, DamagedFileError)


def test_lcs_of_what_is_too_long_is_refused():
    server = Server().start()
    assert server.run(b"SETRANGE k 423324 1450173551") == b":423334\r\n"
    assert b"transient memory for LCS exceeds proto-max-bulk-len" in server.run(b"LCS k k")


def test_unlink_counts_what_has_many_pieces():
    server = Server().start()
    server.run(b"SADD big " + b" ".join(b"m%d" % i for i in range(200)), b"SADD small a b", b"UNLINK big small")
    assert server.info(b"memory")["lazyfreed_objects"] == "1"


def test_where_the_time_of_rounds_went_is_told_on_demand():
    server = Server().start()
    server.run(b"PING", b"PING", b"PING")
    assert server.info(b"debug")["eventloop_cmd_per_cycle_max"] == "3"
    assert "eventloop_cmd_per_cycle_max" not in server.info(b"everything")
    stats = Stats()
    stats.round_began_us, stats.round_requests = 10, 1
    stats.round_ended(15)
    stats.round_began_us, stats.round_requests = 20, 2
    stats.round_ended(23)
    assert (stats.active_time_us, stats.active_time_max_us, stats.calls_per_round_max) == (8, 5, 2)


class NoForkWorld(QuietWorld):
    """A world without room for another process."""

    def run_now(self, node, effect):
        if isinstance(effect, fx.Snapshot) and effect.id:
            return OSError(11, "Resource temporarily unavailable")
        return super().run_now(node, effect)


def test_a_background_save_for_which_no_child_can_be_forked_is_an_error_at_once():
    server = Server(save=[]).start()
    world = server.world
    server.node.attach(NoForkWorld())
    assert server.run(b"BGSAVE") == b"-ERR\r\n"
    assert "Can't save in background: fork: Resource temporarily unavailable" in [
        effect.text for effect in server.effects if isinstance(effect, fx.Log)
    ]
    told = server.info(b"persistence")
    assert (told["rdb_last_bgsave_status"], told["rdb_bgsave_in_progress"]) == ("err", "0")
    server.node.persistence.save_scheduled = True
    for seconds in range(1, 20):  # tried again now and then, as save points are
        server.now = NOW + seconds * 1_000_000
        server.node.wake(server.now)
        server.settle()
        if seconds == 8:
            server.node.attach(world)
    assert not server.node.persistence.save_scheduled and server.node.persistence.saving
