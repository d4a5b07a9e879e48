"""What a server makes of the files that it is started on: beside a real one, to the line of its log.

    python -m tests.differential.started [--seconds N] [--seed N] [--server PATH]

Snapshots of all layouts, whole and damaged, and append-only files of one and of several parts, cut at every place:
both sides must load them or refuse them, hold the same data, leave the same files, and give the same reasons.
"""

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from engine import effects as fx
from engine.config import Config
from engine.keyspace.digest import dataset_digest
from engine.node import Node
from engine.persistence.rdb import primitives
from engine.persistence.rdb.loader import AUX, EXPIRETIME, EXPIRETIME_MS, FREQ, FUNCTION2, IDLE, RESIZEDB, SELECTDB
from engine.persistence.snapshots import LoadError
from engine.protocol.resp import encode_command
from tests.differential.stored import make
from tests.fuzz.attacks import damaged
from tests.real import Program, examine, find_servers, free_port
from tests.world import QuietWorld

DIRECTORY = "appendonlydir/"
NAME = "appendonly.aof"
PATIENCE_S = 20

Files = dict[str, bytes]


class Outcome(NamedTuple):
    """What came of a start."""

    loads: bool
    log: list[str]
    digest: bytes
    files: Files


# Lines that say nothing of the files, or that have a time or a place in a source in them.
_QUIET = re.compile(
    "Redis|Running mode|monotonic|Server initialized|WARNING|oO0|Configuration loaded|eady to accept|DB loaded|"
    "Terminating server after rdb|RDB age|RDB memory usage|Loading RDB produced|Done loading|BUG REPORT|^ *$|-----|"
    "Creating AOF|Reading RDB base|RDB is base AOF|Short read or OOM|AOF file .*, offset|checksum disabled|"
    "Checking RDB|RDB looks|Unrecognized RDB|Failed loading library"  # functions are loaded at another time
)
_PLACES = re.compile(r" offset \d+(, function at rdb\.c:\d+)?")


def _lines(log: list[str]) -> list[str]:
    """Return the lines that say something of the files, up to those of Redis's own check of a damaged snapshot."""
    found = []
    for line in log:
        if "Internal error in RDB" in line or "Software Failure" in line or "crashed" in line:
            break  # what follows tells of the place, in each side's own words
        if not _QUIET.search(line):
            found.append(_PLACES.sub(" offset", line) if "RDB" in line else line)
    return found


def real(program: Program, files: Files, settings: dict[str, str]) -> Outcome:
    """Start a real server on files, and stop it again."""
    with tempfile.TemporaryDirectory(prefix="started-") as directory:
        for name, data in files.items():
            path = Path(directory, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        options = {"port": str(free_port()), "bind": "127.0.0.1", "dir": directory, "save": "", **settings}
        options |= {"enable-debug-command": "yes", "rdbchecksum": "no", "unixsocket": f"{directory}/s"}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        process = subprocess.Popen(
            [program.path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        log: list[str] = []
        digest = b""
        try:
            for raw in process.stdout:
                line = raw.decode(errors="surrogateescape").rstrip("\n")
                log.append(re.sub(r"^\d+:\S \d+ \S+ \d+ \S+ ", "", line))
                if "Ready to accept connections" in line and "unix" in line:
                    break
                if "eady to accept connections at" in line:
                    break
            else:
                process.wait(PATIENCE_S)
                return Outcome(False, _lines(log), b"", _read(directory))
            digest = _ask(f"{directory}/s", b"DEBUG", b"DIGEST")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        return Outcome(True, _lines(log), digest, _read(directory))


def _ask(path: str, *argv: bytes) -> bytes:
    import socket

    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(path)
        sock.sendall(encode_command(list(argv)))
        return sock.recv(1 << 16)[1:].strip()


def _read(directory: str) -> Files:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in Path(directory).rglob("*")
        if path.is_file() and path.name.endswith((".aof", ".rdb"))
    }


class _World(QuietWorld):
    """A disk in memory, whose log keeps the order of what is told."""

    def run_now(self, node: Node, effect: fx.Effect) -> object:
        self.hear(node)
        return super().run_now(node, effect)

    def hear(self, node: Node) -> None:
        for each in node.output.take():
            if isinstance(each, fx.Log):
                self.logs += f"{each.level} {each.text}".split("\n")


def ours(files: Files, settings: dict[str, str], now_us: int) -> Outcome:
    """Start our node on files."""
    config = Config()
    config.save = ()
    config.rdbchecksum = False
    for name, value in settings.items():
        setattr(config, name.replace("-", "_"), {"yes": True, "no": False}.get(value, value))
    if "sanitize-dump-payload" in settings:
        config.sanitize_dump_payload = settings["sanitize-dump-payload"]
    world = _World()
    world.files = dict(files)
    node = Node(config, 1, now_us)
    node.attach(world)
    loads = True
    try:
        node.start(now_us)
    except LoadError as error:
        loads = False
        if error.last_words:
            node.output.log("#", error.last_words)
    world.hear(node)
    kept = {name: data for name, data in world.files.items() if name.endswith((".aof", ".rdb"))}
    return Outcome(loads, _lines(world.logs), dataset_digest(node.space) if loads else b"", kept)


def compare(program: Program, files: Files, settings: dict[str, str]) -> str:
    """Return how the two differ about files; nothing when they do not."""
    theirs = real(program, files, settings)
    mine = ours(files, settings, time.time_ns() // 1000)
    if mine.loads != theirs.loads:
        return f"loads: ours {mine.loads}, theirs {theirs.loads}\n ours   {mine.log}\n theirs {theirs.log}"
    if mine.log != theirs.log:
        return f"log:\n ours   {mine.log}\n theirs {theirs.log}"
    if mine.digest != theirs.digest and (theirs.digest or not theirs.loads):  # or it died of what it loaded
        return f"digest: ours {mine.digest!r}, theirs {theirs.digest!r}"
    if mine.loads and mine.files.keys() != theirs.files.keys():
        return f"files: ours {sorted(mine.files)}, theirs {sorted(theirs.files)}"
    for name, data in mine.files.items():
        if name.endswith(".incr.aof") and data != theirs.files.get(name):
            return f"{name}: ours {data!r}, theirs {theirs.files.get(name)!r}"
    return ""


# --- snapshots ----------------------------------------------------------------------------------------------------


def _record(rng: Random, number: int) -> bytes:
    """Return a key with its attributes and value, or what else is among them."""
    chance = rng.random()
    if chance < 0.05:
        name = rng.choice([b"unknown", b"%shown", b"redis-bits", b"ctime", b"repl-id", b"lua", b"used-mem"])
        return bytes([AUX]) + primitives.string(name) + primitives.string(rng.choice([b"7", b"-1", b"text", b""]))
    if chance < 0.1:
        return bytes([SELECTDB, rng.choice((0, 3, 9, 15, 16) if rng.random() < 0.2 else (0, 3))])
    if chance < 0.13:
        return bytes([RESIZEDB]) + primitives.length(rng.randrange(300)) + primitives.length(rng.randrange(300))
    if chance < 0.15:
        name = rng.choice([b"a", b"b"])
        body = b"redis.register_function('f%b', function() return 1 end)" % name if rng.random() < 0.9 else b"("
        return bytes([FUNCTION2]) + primitives.string(b"#!lua name=" + name + b"\n" + body)
    (kind, body), is_damaged = make(rng)
    while is_damaged and rng.random() < 0.9:
        (kind, body), is_damaged = make(rng)
    attributes = b""
    if rng.random() < 0.2:
        attributes += rng.choice(
            [
                bytes([EXPIRETIME_MS]) + (rng.choice((-1, 1, 2**42)) & (2**64 - 1)).to_bytes(8, "little"),
                bytes([EXPIRETIME]) + rng.choice((1, 2**31 - 1)).to_bytes(4, "little"),
            ]
        )
    if rng.random() < 0.2:
        attributes += rng.choice([bytes([FREQ, 7]), bytes([IDLE]) + primitives.length(1000)])
    if rng.random() < 0.03:
        kind = rng.choice((6, 7, 8, 22, 23, 100, 244, 246, 247))
    name = b"k%d" % (number if rng.random() < 0.97 else 0)
    if rng.random() < 0.05:
        kind, body = rng.choice([(1, b"\0"), (2, b"\0"), (4, b"\0"), (5, b"\0"), (14, b"\0"), (18, b"\0")])
    return attributes + bytes([kind]) + primitives.string(name) + body


def snapshot(rng: Random) -> bytes:
    """Return a snapshot, which may be damaged."""
    version = rng.choice([b"0011", b"0011", b"0010", b"0009", b"0006", b"0003", b"0012", b"0000", b"9 xx"])
    data = b"REDIS" + version + b"".join(_record(rng, number) for number in range(1, rng.randrange(2, 9)))
    data += b"\xff" + bytes(8)
    chance = rng.random()
    if chance < 0.1:
        return data[: rng.randrange(len(data))]
    return damaged(rng, data, 1) if chance < 0.2 else data


# --- append-only files --------------------------------------------------------------------------------------------

_COMMANDS = {
    "SET a 1": 20, "INCR a": 20, "INCR l": 3, "RPUSH l x y": 9, "SELECT 3": 9, "SELECT 99": 1, "SADD s 1 2 x": 9,
    "HSET h f v": 9, "DEL a": 9, "XADD x 1-1 f v": 12, "ZADD z 1 a": 9, "EXPIREAT a 99999999999": 3, "NOSUCH x": 0.3,
    "LPOP a": 3, "EVAL return 1 0": 3, "GETEX a EX 0": 3, "PUBLISH c m": 3, "INCRBY a x": 2, "DISCARD": 1,
}  # fmt: skip


def commands(rng: Random, count: int) -> bytes:
    """Return commands as they are in an append-only file, some of them in transactions, some failing, with notes."""
    parts: list[bytes] = []
    inside = False
    for _ in range(count):
        chance = rng.random()
        if chance < 0.1:
            parts.append(b"#TS:%d\r\n" % rng.randrange(10**9))
        elif chance < 0.2:
            parts.append(encode_command([b"MULTI"]))
            inside = True
        elif inside and chance < 0.4:
            parts.append(encode_command([b"EXEC"]))
            inside = False
        else:
            (line,) = rng.choices(list(_COMMANDS), list(_COMMANDS.values()))
            parts.append(encode_command([word.encode() for word in line.split()]))
    if inside and rng.random() < 0.7:
        parts.append(encode_command([b"EXEC"]))
    return b"".join(parts)


_ODD_ENDS = (b"", b"*", b"*1", b"*1\r", b"*x\r\n", b"*0\r\n", b"*1\r\n", b"*1\r\n$", b"*1\r\n$4\r\nPING", b"#TS:1",
             b"#", b"$", b"*2\r\n$x\r\n\r\n$4\r\nPING\r\n", b"*1\r\n$4", b"*-1\r\n", b"\r\n", b"*1\r\n*1\r\n", b"\n",
             b"# " + b"x" * 1100 + b"\n", b"*1 \r\n$4\r\nPING\r\n", b"*1\r\n$99999\r\nPING\r\n")  # fmt: skip


def append_only(rng: Random) -> tuple[Files, dict[str, str]]:
    """Return the files of an append-only file, one of which may be cut or damaged, and settings."""
    names = []
    files: Files = {}
    for number in range(1, rng.choice((2, 2, 3, 4))):
        name = f"{NAME}.{number}.incr.aof"
        data = commands(rng, rng.randrange(7)) if rng.random() < 0.9 else b""
        if rng.random() < 0.4:
            data = data[: rng.randrange(len(data) + 1)]
        if rng.random() < 0.2:
            data += rng.choice(_ODD_ENDS)
        if rng.random() < 0.05:
            data = damaged(rng, data, 1)
        files[DIRECTORY + name] = data
        names.append(f"file {name} seq {number} type i\n")
    if rng.random() < 0.3:
        base = f"{NAME}.1.base.{rng.choice(['rdb', 'aof'])}"
        files[DIRECTORY + base] = rng.choice([snapshot(rng), commands(rng, 5), b"", b"REDIS0011\xff" + bytes(8)])
        names.insert(0, f"file {base} seq 1 type b\n")
    files[f"{DIRECTORY}{NAME}.manifest"] = "".join(names).encode()
    return files, {"appendonly": "yes", "aof-load-truncated": rng.choice(["yes", "yes", "no"])}


def cuts(data: bytes) -> Iterator[tuple[Files, dict[str, str]]]:
    """Yield an append-only file cut at every place."""
    manifest = f"file {NAME}.1.incr.aof seq 1 type i\n".encode()
    for at in range(len(data) + 1):
        files = {f"{DIRECTORY}{NAME}.1.incr.aof": data[:at], f"{DIRECTORY}{NAME}.manifest": manifest}
        yield files, {"appendonly": "yes"}


def cases(rng: Random) -> tuple[Files, dict[str, str]]:
    """Return files and settings to start on."""
    if rng.random() < 0.5:
        return append_only(rng)
    return {"dump.rdb": snapshot(rng)}, {"sanitize-dump-payload": rng.choice(["no", "yes", "clients"])}


def main() -> int:
    """Compare; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.started", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="compare with this binary")
    parser.add_argument("--cuts", action="store_true", help="cut one append-only file at every place instead")
    options = parser.parse_args()
    program = examine(options.server) if options.server else next(iter(find_servers()), None)
    if program is None:
        parser.error("no real server to compare with")
    end = time.monotonic() + options.seconds
    seed = options.seed
    done: Counter[bool] = Counter()
    differences = 0
    every = cuts(commands(Random(seed), 12)) if options.cuts else None
    while time.monotonic() < end and differences < 20:
        case = next(every, None) if every is not None else cases(Random(seed))
        if case is None:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            told = compare(program, *case)
            done[bool(told)] += 1
            if told:
                differences += 1
                print(f"seed {seed}, {case[1]}: {told}")
                for name, data in case[0].items():
                    print(f"    {name}: {data[:300]!r}")
        seed += 1
    print(f"{sum(done.values())} starts, seeds {options.seed} to {seed - 1}, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
