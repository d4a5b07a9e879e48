"""Append-only files cross over: a real server's are loaded and continued here, ours by the real server."""

import subprocess
import time
from pathlib import Path

import pytest

from engine import effects as fx
from engine.config import Config
from engine.keyspace.digest import dataset_digest
from engine.live.files import FILE_EFFECTS, carry_out
from engine.live.snapshots import save_now
from engine.node import Node
from engine.protocol.resp import encode_command
from tests.differential.test_rdb_files_cross import Link, fill
from tests.real import find_servers, missing, start_server
from tests.waiting import PATIENCE_S, wait_until
from tests.world import QuietWorld

pytestmark = pytest.mark.long


# No scores of -0 here: what a command makes of one depends on the encoding, so no file of commands keeps it.
LIBRARY = b"#!lua name=lib\nredis.register_function('f', function(keys, args) return args[1] end)"


class FileWorld(QuietWorld):
    """A world with real files, in a directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory

    def run_now(self, node, effect):
        effects = node.output.take()
        self.carry_out_all(effects)
        if isinstance(effect, fx.Snapshot):
            return save_now(node, effect.kind, str(self.directory / effect.path))
        return self.carry_out(effect)

    def carry_out_all(self, effects):
        for effect in effects:
            if isinstance(effect, fx.Log):
                self.logs.append(effect.text)
            elif isinstance(effect, FILE_EFFECTS):
                self.carry_out(effect)

    def carry_out(self, effect):
        if isinstance(effect, fx.Rename):
            effect = effect._replace(source=str(self.directory / effect.source))
            return carry_out(effect._replace(target=str(self.directory / effect.target)))
        return carry_out(effect._replace(path=str(self.directory / effect.path)))


class Ours:
    """A node with an append-only file in a directory."""

    def __init__(self, directory: Path, **settings) -> None:
        config = Config()
        config.appendonly, config.save, config.appendfsync = True, [], "no"
        for name, value in settings.items():
            setattr(config, name, value)
        self.now = time.time_ns() // 1000
        self.world = FileWorld(directory)
        self.node = Node(config, 1, self.now)
        self.node.attach(self.world)
        self.node.start(self.now)
        self.node.opened(1, "127.0.0.1:1", "tcp", self.now)
        self.world.carry_out_all(self.node.end_round(self.now))

    def __call__(self, *argv: bytes) -> bytes:
        self.node.received(1, encode_command(list(argv)), self.now)
        effects = self.node.end_round(self.now)
        self.world.carry_out_all(effects)
        return b"".join(each.data for each in effects if isinstance(each, fx.Send))

    def rewrite(self) -> None:
        """Have the file rewritten, to the end."""
        assert b"started" in self(b"BGREWRITEAOF")
        self.node.snapshot(self.node.aof.rewriting, None, self.now)
        self.world.carry_out_all(self.node.end_round(self.now))

    @property
    def digest(self) -> bytes:
        return dataset_digest(self.node.space)


def program(number: int):
    servers = find_servers()
    if not servers:
        missing("a real server")
    if number >= len(servers):
        pytest.skip(f"only {len(servers)} real servers found")
    return servers[number]


def changes(link) -> None:
    """Change what is there, in ways that are written in another form than they were given."""
    link(b"SELECT", b"5")
    link(b"SET", b"mortal", b"x", b"EX", b"10000")
    link(b"SADD", b"members", b"a", b"b", b"c", b"d")
    link(b"SPOP", b"members", b"2")
    link(b"INCRBYFLOAT", b"float", b"10.5")
    link(b"MULTI")
    link(b"LPUSH", b"list", b"1", b"2", b"3")
    link(b"SELECT", b"6")
    link(b"HINCRBYFLOAT", b"hash", b"f", b"0.1")
    link(b"EXEC")
    link(b"EVAL", b"redis.call('SET', KEYS[1], ARGV[1]) redis.call('INCR', KEYS[2])", b"2", b"s", b"n", b"\x00\xff")
    link(b"XADD", b"stream", b"1-1", b"f", b"v")
    link(b"XGROUP", b"CREATE", b"stream", b"g", b"0")
    link(b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"stream", b">")
    link(b"PFADD", b"hll", b"a", b"b")
    link(b"GETEX", b"s", b"EX", b"1000")


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("number", range(3))
def test_their_files_are_loaded_here(number, preamble, tmp_path):
    theirs = program(number)
    arguments = ("--dir", str(tmp_path), "--appendonly", "yes", "--aof-use-rdb-preamble", preamble)
    # While a background fsync runs, "everysec" would hold a write back: killed, the server would lose it.
    arguments += ("--appendfsync", "no")
    with start_server(*arguments, "--aof-timestamp-enabled", "yes", program=theirs) as server:
        link = Link(server)
        fill(link, number, fractions=theirs.version >= (7, 2), zeros=False)
        link(b"FUNCTION", b"LOAD", LIBRARY)
        link(b"BGREWRITEAOF")
        wait_until(lambda: b"aof_rewrite_in_progress:0" in link(b"INFO", b"persistence"), "the end of the rewrite")
        changes(link)
        digest = link(b"DEBUG", b"DIGEST")
        server.process.kill()  # the file stays as it is
        server.process.wait()
    ours = Ours(tmp_path)
    assert ours.digest == digest
    assert list(ours.node.scripting.sources()) == [LIBRARY]
    ours(b"SELECT", b"0")
    ours(b"SET", b"continued", b"here")
    digest = ours.digest
    with start_server(*arguments, program=theirs) as server:
        assert Link(server)(b"DEBUG", b"DIGEST") == digest


@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("number", range(3))
def test_our_files_are_loaded_there(number, preamble, rewritten, tmp_path):
    theirs = program(number)
    if preamble and theirs.version < (7, 2):
        pytest.skip(f"{theirs} reads RDB up to version 10, also in an append-only file")
    ours = Ours(tmp_path, aof_use_rdb_preamble=preamble, aof_timestamp_enabled=True)
    fill(ours, number, fractions=theirs.version >= (7, 2), zeros=False)
    ours(b"FUNCTION", b"LOAD", LIBRARY)
    if rewritten:
        ours.rewrite()
    changes(ours)
    digest = ours.digest
    checker = tmp_path / f"{theirs.kind}-check-aof"
    checker.symlink_to(theirs.path)  # what a server is called decides what it does
    manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    told = subprocess.run([checker, manifest], capture_output=True, text=True, timeout=PATIENCE_S)
    assert told.returncode == 0 and "All AOF files and manifest are valid" in told.stdout, told.stdout + told.stderr
    checker.unlink()
    arguments = ("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "no")
    with start_server(*arguments, program=theirs) as server:
        link = Link(server)
        assert link(b"DEBUG", b"DIGEST") == digest
        assert link(b"FUNCTION", b"LIST")[0][1] == b"lib"
