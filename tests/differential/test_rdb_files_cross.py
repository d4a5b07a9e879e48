"""Snapshots cross over: a real server's file is loaded here, written again, and loaded by the real server."""

import random
import socket
import subprocess
from pathlib import Path

import hiredis
import pytest

from engine.keyspace.databases import Keyspace
from engine.keyspace.digest import dataset_digest
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.persistence.rdb.writer import auxiliary, write
from engine.protocol.resp import encode_command
from engine.values.rng import Rng
from tests.real import RealServer, find_servers, missing, start_server
from tests.waiting import PATIENCE_S

KEYS = 150


class Link:
    """A connection to a real server."""

    def __init__(self, server: RealServer) -> None:
        self.sock = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.reader = hiredis.Reader()

    def __call__(self, *argv: bytes):
        self.sock.sendall(encode_command(list(argv)))
        while (reply := self.reader.gets()) is False:
            data = self.sock.recv(1 << 16)
            assert data, "the real server hung up"
            self.reader.feed(data)
        assert not isinstance(reply, Exception), (argv, reply)
        return reply


def fill(link: Link, seed: int, fractions: bool, zeros: bool = True) -> None:
    """Write keys of all types, in small and large encodings, some of them mortal; `zeros`: with scores of -0 too."""
    rnd = random.Random(seed)

    def item() -> bytes:
        chance = rnd.random()
        if chance < 0.4:
            return b"%d" % rnd.choice((rnd.randrange(-200, 200), rnd.randrange(-(2**63), 2**63)))
        if chance < 0.9:
            return rnd.randbytes(rnd.randrange(20))
        return bytes(rnd.choices(b"abcdefgh", k=rnd.choice((64, 100, 5000))))

    for number in range(KEYS):
        link(b"SELECT", rnd.choice((b"0", b"3")))
        key = b"key:%d:%b" % (number, item())
        count = rnd.choice((1, 3, 20, 130))
        kind = rnd.randrange(6)
        if kind == 0:
            link(b"SET", key, item())
        elif kind == 1:
            link(b"RPUSH", key, *[item() for _ in range(count)])
        elif kind == 2:
            link(b"SADD", key, *[b"%d" % rnd.randrange(10**6) if number % 2 else item() for _ in range(count)])
        elif kind == 3:
            link(b"HSET", key, *[item() for _ in range(2 * count)])
        elif kind == 4:
            scores = [b"1", b"-3.5", b"inf", b"-0.0" if zeros else b"7"]
            if fractions:  # before 7.2 their digests were made of another text
                scores += [b"1e300", repr(rnd.random()).encode()]
            link(b"ZADD", key, *[word for _ in range(count) for word in (rnd.choice(scores), item())])
        else:
            for i in range(count):
                link(b"XADD", key, b"%d-%d" % (i // 3 + 1, i + 1), item(), item())
            link(b"XGROUP", b"CREATE", key, b"group", b"0")
            link(b"XREADGROUP", b"GROUP", b"group", b"alice", b"COUNT", b"3", b"STREAMS", key, b">")
            link(b"XREADGROUP", b"GROUP", b"group", b"bob", b"COUNT", b"2", b"STREAMS", key, b">")
            link(b"XDEL", key, b"1-2")
        if number % 5 == 0:
            link(b"PEXPIRE", key, b"100000000")


@pytest.mark.parametrize("number", range(3))
def test_files_cross_over(number, tmp_path):
    servers = find_servers()
    if not servers:
        missing("a real server")
    if number >= len(servers):
        pytest.skip(f"only {len(servers)} real servers found")
    program = servers[number]
    with start_server(program=program) as server:
        link = Link(server)
        fill(link, number, fractions=program.version >= (7, 2))
        digest = link(b"DEBUG", b"DIGEST")
        assert link(b"SAVE") == b"OK"
        data = Path(server.directory, "dump.rdb").read_bytes()
    loader = Loader(Keyspace(16, Rng(1)), RdbLimits())
    loader.feed(data)
    loader.finish()
    assert loader.keys_loaded == KEYS
    for db in loader.space.databases:
        db.check()
        for _, value in db.items():
            if hasattr(value, "check"):
                value.check()
    assert dataset_digest(loader.space) == digest
    if program.version < (7, 2):
        pytest.skip(f"{program} reads RDB up to version 10; loading its file was checked")
    file = tmp_path / "dump.rdb"
    file.write_bytes(b"".join(write(loader.space, auxiliary("7.2.4", 1_700_000_000, 0), usage=True)))
    with start_server("--dir", str(tmp_path), program=program) as server:
        assert Link(server)(b"DEBUG", b"DIGEST") == digest
    if program.kind == "valkey":
        checker = tmp_path / "valkey-check-rdb"
        checker.symlink_to(program.path)
        told = subprocess.run([checker, file], capture_output=True, text=True, timeout=PATIENCE_S)
        assert told.returncode == 0, told.stdout
