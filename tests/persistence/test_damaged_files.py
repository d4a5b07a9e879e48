"""Damaged files never crash the loader, hang it, or make it take memory that they do not have to show for."""

import contextlib
import resource
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.persistence.aof.loading import AofLoadError
from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.persistence.snapshots import LoadError
from engine.protocol.resp import encode_command
from tests.persistence.test_append_only import DATA, DIRECTORY, Server
from tests.persistence.test_rdb_files import keyspace

pytestmark = pytest.mark.long

NAME = DIRECTORY + "appendonly.aof.1.incr.aof"
BASE = DIRECTORY + "appendonly.aof.1.base.rdb"
MEMORY_BYTES = 300 << 20
LIMITS = settings(deadline=3000, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
NUMBERS = {"endless": b"9" * 5000, "negative": b"-1", "large": b"99999999999", "none": b"0"}

edits = st.lists(
    st.one_of(
        st.tuples(st.just("byte"), st.integers(0, 1 << 16), st.integers(0, 255)),
        st.tuples(
            st.just("claim"),
            st.integers(0, 1 << 16),
            st.sampled_from([b"\x80\xff\xff\xff\xff", b"\x81" + b"\x7f" * 8]),
        ),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.integers(1, 40)),
        st.tuples(st.just("add"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=12)),
        st.tuples(st.just("number"), st.integers(0, 1 << 16), st.sampled_from(list(NUMBERS))),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, changes) -> bytes:
    out = bytearray(data)
    for kind, at, what in changes:
        at %= len(out) or 1
        if kind == "byte":
            out[at : at + 1] = bytes([what])
        elif kind == "claim":
            out[at : at + len(what)] = what
        elif kind == "cut":
            del out[at : at + what]
        elif kind == "add":
            out[at:at] = what
        else:
            # In the place of the next number of the text.
            while at < len(out) and not 48 <= out[at] <= 57:
                at += 1
            end = at
            while end < len(out) and 48 <= out[end] <= 57:
                end += 1
            out[at:end] = NUMBERS[what]
    return bytes(out)


@pytest.fixture(autouse=True, scope="module")
def bounded():
    scale = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale - before < MEMORY_BYTES


def rdb_file() -> bytes:
    server = Server()
    server.run(*DATA, b"SET long " + b"abc" * 3000, b"RPUSH big " + b" ".join(b"%d" % i for i in range(2000)))
    server.run(b"ZADD bigz " + b" ".join(b"%d m%d" % (i, i) for i in range(200)))
    server.run(b"HSET bigh " + b" ".join(b"f%d v" % i for i in range(600)))
    return b"".join(server.node.persistence.chunks())


RDB = rdb_file()


@given(edits, st.booleans())
@LIMITS
def test_snapshots(changes, lenient):
    loader = Loader(keyspace(), RdbLimits(lenient=lenient), checksum=False)
    with contextlib.suppress(CorruptRdbError):
        loader.feed(damaged(RDB, changes))
        loader.finish()
    for db in loader.space.databases:
        for _, value in db.items():
            if hasattr(value, "check"):
                value.check()


@given(edits, st.booleans())
@LIMITS
def test_append_only_files(changes, truncated):
    server = Server()
    server.run(*DATA)
    files = {**server.world.files, NAME: damaged(server.world.files[NAME], changes)}
    with contextlib.suppress(AofLoadError):
        Server(files, aof_load_truncated=truncated)


@given(edits)
@LIMITS
def test_bases_and_manifests(changes):
    server = Server()
    server.run(b"SET a 1")
    for name in (DIRECTORY + "appendonly.aof.manifest", BASE):
        files = {**server.world.files, NAME: server.world.files[NAME]}
        files[name] = damaged(RDB if name == BASE else files[name], changes)
        with contextlib.suppress(LoadError):
            Server(files)


def test_a_number_of_five_thousand_digits_is_refused():
    server = Server()
    server.run(b"SET a 1")
    for bad in (b"*" + b"9" * 5000 + b"\r\n", b"*2\r\n$" + b"9" * 5000 + b"\r\n"):
        files = {**server.world.files, NAME: server.world.files[NAME] + bad + encode_command([b"PING"])}
        with pytest.raises(AofLoadError):
            Server(files)
