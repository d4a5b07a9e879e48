"""The append-only file: what is written when, what is loaded again, what is refused."""

import pytest

from engine import effects as fx
from engine.config import Config
from engine.keyspace.digest import dataset_digest
from engine.node import Node
from engine.persistence.aof.loading import AofLoadError
from engine.protocol.resp import encode_command
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000
DIRECTORY = "appendonlydir/"


class DiskWorld(QuietWorld):
    """A world that keeps a list of what was done on its disk, and whose disk may be full."""

    def __init__(self):
        super().__init__()
        self.done = []
        self.room = None

    def run_now(self, node, effect):
        node.output.effects, before = [], node.output.effects
        self.logs += [each.text for each in before if isinstance(each, fx.Log)]
        for each in before:
            if isinstance(each, fx.Unlink):
                self.files.pop(each.path, None)
        self.done.append(type(effect).__name__)
        if isinstance(effect, fx.Append) and self.room is not None:
            effect = effect._replace(data=effect.data[: self.room])
        return super().run_now(node, effect)


class Server:
    """A node with an append-only file, started on what is in `files`."""

    def __init__(self, files=None, **settings):
        config = Config()
        config.appendonly = True
        for name, value in settings.items():
            setattr(config, name, value)
        self.world = DiskWorld()
        self.world.files = files if files is not None else {}
        self.node = Node(config, 1, NOW)
        self.node.attach(self.world)
        self.node.start(NOW)
        self.node.opened(1, "127.0.0.1:1", "tcp", NOW)
        self.take(self.node.end_round(NOW))

    def take(self, effects):
        self.world.logs += [each.text for each in effects if isinstance(each, fx.Log)]
        return b"".join(each.data for each in effects if isinstance(each, fx.Send))

    def run(self, *commands, at=NOW):
        self.world.done.clear()
        self.node.received(1, b"".join(encode_command(command.split()) for command in commands), at)
        return self.take(self.node.end_round(at))

    def digest(self):
        return dataset_digest(self.node.space)

    @property
    def increment(self):
        (name,) = [name for name in self.world.files if name.endswith(".incr.aof")]
        return self.world.files[name]


DATA = (
    b"SET s hello",
    b"SET n 12 EX 100",
    b"RPUSH l a b c",
    b"SADD set 1 2 3",
    b"SADD words x y",
    b"ZADD z 1.5 a inf b",
    b"HSET h f v g w",
    b"XADD x 1-1 f v",
    b"XADD x 2-0 f w",
    b"XGROUP CREATE x g 0",
    b"XREADGROUP GROUP g c COUNT 1 STREAMS x >",
    b"PFADD hll a b c",
    b"SELECT 3",
    b"SETBIT bits 100 1",
    b"MULTI",
    b"INCR counter",
    b"LPOP l",
    b"EXEC",
)


@pytest.mark.parametrize("preamble", [True, False])
def test_what_was_written_is_there_again(preamble):
    server = Server(aof_use_rdb_preamble=preamble)
    server.run(*DATA)
    again = Server(server.world.files, aof_use_rdb_preamble=preamble)
    assert again.digest() == server.digest()
    assert again.node.space.databases[0].expires[b"n"] == (NOW // 1000) + 100_000


@pytest.mark.parametrize("preamble", [True, False])
def test_a_rewrite_takes_the_place_of_what_it_sums_up(preamble):
    server = Server(aof_use_rdb_preamble=preamble, appendfsync="no")
    server.run(*DATA)
    assert b"started" in server.run(b"BGREWRITEAOF")
    server.run(b"SELECT 0", b"SET after rewrite")
    server.node.snapshot(server.node.aof.rewriting, None, NOW)
    for effect in server.node.end_round(NOW):
        if isinstance(effect, fx.Unlink):
            server.world.files.pop(effect.path, None)
    base = "appendonly.aof.2.base." + ("rdb" if preamble else "aof")
    assert sorted(server.world.files) == [
        DIRECTORY + base,
        DIRECTORY + "appendonly.aof.2.incr.aof",
        DIRECTORY + "appendonly.aof.manifest",
    ]
    assert Server(server.world.files).digest() == server.digest()


def test_a_reply_stands_behind_the_fsync_of_its_round():
    server = Server(appendfsync="always")
    reply = server.run(b"SET a 1", b"MULTI", b"INCR a", b"INCR a", b"EXEC", b"GET a")
    assert reply.endswith(b"$1\r\n3\r\n")
    assert server.world.done == ["Append", "Sync"]
    assert server.run(b"GET a") == b"$1\r\n3\r\n"
    assert server.world.done == []


def test_everysec_syncs_once_a_second_in_the_background():
    server = Server(appendfsync="everysec")
    server.run(b"SET a 1")
    assert server.world.done == ["Append"]
    server.node.received(1, encode_command([b"SET", b"a", b"2"]), NOW + 1_100_000)
    effects = server.node.end_round(NOW + 1_100_000)
    (sync,) = [effect for effect in effects if isinstance(effect, fx.Sync)]
    assert sync.background
    # While it is under way writes wait for it, two seconds at most.
    server.world.done.clear()
    server.node.received(1, encode_command([b"SET", b"a", b"3"]), NOW + 1_200_000)
    server.node.end_round(NOW + 1_200_000)
    assert server.world.done == []
    server.node.received(1, encode_command([b"SET", b"a", b"4"]), NOW + 3_300_000)
    server.node.end_round(NOW + 3_300_000)
    assert server.world.done == ["Append"]


def test_a_file_that_ends_in_the_middle_is_cut_back():
    server = Server()
    server.run(b"SET a 1", b"SET b 2")
    name = DIRECTORY + "appendonly.aof.1.incr.aof"
    whole = server.world.files[name]
    server.world.files[name] = whole[:-3]
    again = Server(server.world.files)
    assert again.run(b"EXISTS a b") == b":1\r\n"
    assert server.world.files[name] == whole[: whole.rindex(b"*3")]


def test_an_unfinished_transaction_is_taken_back():
    server = Server()
    server.run(b"SET a 1")
    name = DIRECTORY + "appendonly.aof.1.incr.aof"
    whole = server.world.files[name]
    server.world.files[name] = whole + encode_command([b"MULTI"]) + encode_command([b"SET", b"a", b"2"])
    again = Server(server.world.files)
    assert again.run(b"GET a") == b"$1\r\n1\r\n"
    assert server.world.files[name] == whole


INCREMENT = DIRECTORY + "appendonly.aof.1.incr.aof"
SECOND = DIRECTORY + "appendonly.aof.2.incr.aof"
BASE = DIRECTORY + "appendonly.aof.1.base.aof"
MANIFEST = DIRECTORY + "appendonly.aof.manifest"


def commands(*lines):
    return b"".join(line if line.startswith(b"#") else encode_command(line.split()) for line in lines)


def one_file(*lines, end=b""):
    """Return an append-only file of one increment: these commands and notes, and what follows them."""
    return {INCREMENT: commands(*lines) + end, MANIFEST: b"file appendonly.aof.1.incr.aof seq 1 type i\n"}


BEGUN = (b"SET a 1", b"#TS:1\r\n", b"MULTI", b"SET a 2")


def test_a_transaction_that_is_cut_within_a_command_stays_until_the_next_write():
    files = one_file(*BEGUN, end=b"*3\r\n$3\r\nSE")
    server = Server(files)
    assert server.run(b"GET a") == b"$1\r\n1\r\n"
    assert files[INCREMENT] == commands(*BEGUN)
    assert Server(dict(files)).increment == commands(*BEGUN[:1])  # now it ends with a whole command, but without EXEC
    server.run(b"SET b 3")
    assert files[INCREMENT] == commands(*BEGUN[:1], b"SELECT 0", b"SET b 3")
    assert Server(files).run(b"MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n3\r\n"


def test_a_transaction_that_is_cut_does_not_swallow_the_files_after_it():
    """What begins a new file (a rewrite, or the first increment after a base alone) removes its rest as well."""
    server = Server(one_file(*BEGUN, end=b"*3"))
    server.run(b"BGREWRITEAOF", b"SET b 3")
    files = server.world.files
    assert files[INCREMENT] == commands(*BEGUN[:1])
    assert Server(files).run(b"MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n3\r\n"
    files = {BASE: commands(*BEGUN) + b"*3", MANIFEST: b"file appendonly.aof.1.base.aof seq 1 type b\n"}
    assert Server(files).run(b"SET b 3") == b"+OK\r\n"
    assert files[BASE] == commands(*BEGUN[:1])
    assert Server(files).run(b"MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n3\r\n"


def test_a_transaction_that_is_cut_concerns_no_other_file():
    server = Server(one_file(*BEGUN, end=b"*3"))
    server.run(b"CONFIG SET appendonly no", b"CONFIG SET appendonly yes", b"SET b 3")
    server.node.snapshot(server.node.aof.rewriting, None, NOW)
    server.take(server.node.end_round(NOW))
    server.run(b"SET c 4")
    assert Server(server.world.files).run(b"MGET a b c") == b"*3\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n4\r\n"


def test_a_file_that_is_cut_and_not_the_last_is_cut_back_and_ends_the_start():
    files = one_file(b"SET a 1", end=b"*3\r\n$3")
    files[SECOND] = commands(b"SET b 2")
    files[MANIFEST] += b"file appendonly.aof.2.incr.aof seq 2 type i\n"
    with pytest.raises(AofLoadError):
        Server(files)
    assert files[INCREMENT] == commands(b"SET a 1")
    assert Server(files).run(b"MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"


@pytest.mark.parametrize("end", [b"#TS:1", b"#", b"#TS:1\r\n"])
def test_a_note_at_the_end_may_be_incomplete(end):
    files = one_file(b"SET a 1", end=end)
    assert Server(files).run(b"GET a") == b"$1\r\n1\r\n"
    assert files[INCREMENT] == commands(b"SET a 1") + end


def test_a_cut_takes_the_notes_before_it_along():
    files = one_file(b"SET a 1", b"#TS:1\r\n", end=b"*3\r\n")
    Server(files)
    assert files[INCREMENT] == commands(b"SET a 1")


def test_an_empty_file_is_not_reported_as_loaded():
    lines = Server(one_file()).world.logs
    assert any(line.startswith("DB loaded from append only file") for line in lines)
    assert not any("incr file appendonly.aof.1.incr.aof:" in line for line in lines)


@pytest.mark.parametrize(
    ("lines", "error", "name"),
    [
        ((b"SET a x", b"INCR a"), "value is not an integer or out of range", "incr"),
        ((b"LPUSH a x", b"INCR a"), "-WRONGTYPE Operation against a key holding the wrong kind of value", "incr"),
        ((b"XADD s 1-1 f v", b"XADD s 1-1 f v"), "The ID specified in XADD is equal or smaller than", "xadd"),
        ((b"SET a 1 NX XX",), "-ERR syntax error", "set"),
        ((b"LPUSH a x", b"MULTI", b"INCR a", b"EXEC"), "-WRONGTYPE Operation", "exec"),
        ((b"EXEC",), "EXEC without MULTI", "exec"),
        ((b"MULTI", b"MULTI", b"EXEC"), "MULTI calls can not be nested", "exec"),
    ],
)
def test_a_command_that_fails_while_loading_is_logged(lines, error, name):
    server = Server(one_file(*lines, b"SET b 1"))
    (line,) = [line for line in server.world.logs if "CRITICAL" in line]
    assert line.startswith(f"== CRITICAL == This server is sending an error to its AOF-loading-client: '{error}")
    assert line.endswith(f"' after processing the command '{name}'")
    assert server.run(b"GET b") == b"$1\r\n1\r\n"
    assert server.node.stats.unexpected_error_replies == 1
    with pytest.raises(AofLoadError):
        Server(one_file(*lines), propagation_error_behavior="panic")


def test_numbers_are_read_as_c_reads_them():
    """A length that is not a number is 0, and a count may have anything after it."""
    files = one_file(end=b"*3x\r\n$3\r\nSET\r\n$ 1\r\na\r\n$x\r\n\r\n")
    assert Server(files).run(b"GET a") == b"$0\r\n\r\n"
    for end in (b"*0\r\n", b"*x\r\n", b"\r\n", b"*1\r", b"*-1\r\n"):
        if end == b"*1\r":
            assert Server(one_file(end=end)).increment == b""
        else:
            with pytest.raises(AofLoadError):
                Server(one_file(end=end))


@pytest.mark.parametrize(
    ("damage", "settings"),
    [
        (lambda data: data.replace(b"$3\r\nSET", b"!3\r\nSET"), {}),
        (lambda data: data[:-3], {"aof_load_truncated": False}),
        (lambda data: data + encode_command([b"NOSUCH"]), {}),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(damage, settings):
    server = Server()
    server.run(b"SET a 1", b"SET b 2")
    name = DIRECTORY + "appendonly.aof.1.incr.aof"
    damaged = server.world.files[name] = damage(server.world.files[name])
    before = dict(server.world.files)
    with pytest.raises(AofLoadError):
        Server(server.world.files, **settings)
    assert server.world.files == before
    assert server.world.files[name] == damaged


def test_a_full_disk_stops_writes_until_there_is_room():
    server = Server(appendfsync="no")
    server.world.room = 10
    assert server.run(b"SET a 1") == b"+OK\r\n"
    for command in (b"SET a 2", b"PING"):
        assert server.run(command).startswith(b"-MISCONF Errors writing to the AOF file: No space left on device")
    assert server.run(b"GET a") == b"$1\r\n1\r\n"
    server.world.room = None
    server.node.wake(NOW + 2_000_000)
    server.node.end_round(NOW + 2_000_000)
    assert server.run(b"SET a 3", at=NOW + 2_000_000) == b"+OK\r\n"
    assert Server(server.world.files).run(b"GET a") == b"$1\r\n3\r\n"


def test_a_full_disk_ends_a_server_that_promised_durability():
    server = Server(appendfsync="always")
    server.world.room = 10
    server.node.received(1, encode_command([b"SET", b"a", b"1"]), NOW)
    effects = server.node.end_round(NOW)
    assert effects[-1] == fx.Exit(1)
    assert not [effect for effect in effects if isinstance(effect, fx.Send)]


def test_it_is_switched_on_while_the_server_runs():
    server = Server()
    server.run(b"SET a 1", b"CONFIG SET appendonly no", b"SET b 2", b"CONFIG SET appendonly yes", b"SET c 3")
    aof = server.node.aof
    assert aof.state == "wait_rewrite"
    server.node.snapshot(aof.rewriting, None, NOW)
    server.node.end_round(NOW)
    assert aof.state == "on"
    assert Server(server.world.files).digest() == server.digest()


def test_publish_is_not_written_and_scripts_choose():
    server = Server()
    server.run(b"PUBLISH channel message")
    assert server.increment == b""
    script = "redis.set_repl(redis.REPL_REPLICA) redis.call('set','a','1') redis.set_repl(redis.REPL_AOF) "
    server.node.received(1, encode_command([b"EVAL", (script + "redis.call('set','b','1')").encode(), b"0"]), NOW)
    server.node.end_round(NOW)
    assert b"\r\nb\r\n" in server.increment
    assert b"\r\na\r\n" not in server.increment


@pytest.mark.parametrize("policy", ["everysec", "no"])
def test_an_increment_is_durable_before_the_manifest_names_the_next(policy):
    server = Server(appendfsync=policy)
    server.run(b"SET a 1", b"BGREWRITEAOF")
    # Changes so far; the next increment; the old one to its end; the manifest; the child.
    assert server.world.done == ["ListDir", "Append", "Write", "Sync", "Write", "Sync", "Rename", "Snapshot"]


def test_a_server_that_gives_up_answers_nobody():
    server = Server(appendfsync="always")
    server.node.opened(2, "127.0.0.1:2", "tcp", NOW)
    server.node.received(2, encode_command([b"WAITAOF", b"1", b"0", b"1000"]), NOW)
    server.world.room = 3
    assert server.run(b"SET a 1", b"WAITAOF 1 0 0", b"PING") == b""
    assert server.node.exiting


@pytest.mark.parametrize("batch_bytes", [60, 300, 1 << 16])
def test_batches_load_as_single_commands_do(batch_bytes, monkeypatch):
    server = Server(aof_timestamp_enabled=True)
    for second, command in enumerate(DATA):
        server.run(command, at=NOW + second * 400_000)
    server.node.received(1, encode_command([b"SET", b"odd", b"x\r\n*2\r\n$1\r\n=~>"]), NOW)
    server.run(b"INCR after")
    name = DIRECTORY + "appendonly.aof.1.incr.aof"
    whole = server.world.files[name]
    for cut in range(0, len(whole), 7):
        found = []
        for size in (0, batch_bytes):
            monkeypatch.setattr("engine.persistence.aof.loading._BATCH_BYTES", size)
            files = {**server.world.files, name: whole[: len(whole) - cut]}
            found.append((Server(files).digest(), files[name]))
        assert found[0] == found[1]
        assert whole.startswith(found[0][1])


def test_debug_loadaof_without_a_file_is_an_error():
    server = Server(appendonly=False, enable_debug_command="yes")
    assert server.run(b"DEBUG LOADAOF") == b"-ERR Error trying to load the AOF files, check server logs.\r\n"
    assert server.run(b"PING") == b"+PONG\r\n"
