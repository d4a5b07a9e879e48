"""How long a million small keys take to load from an RDB file, here and in a real server; and to write.

    python -m tests.benchmarks.rdb_loading [KEYS]

Prints the seconds of each and their ratio; the median of three runs.
"""

import gc
import platform
import re
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from subprocess import PIPE, STDOUT, Popen

from engine.keyspace.databases import Keyspace
from engine.persistence.rdb.loader import Loader
from engine.persistence.rdb.objects import RdbLimits
from engine.persistence.rdb.writer import write
from engine.protocol.resp import encode_command
from engine.values.rng import Rng
from tests.real import free_port, server_program, start_server

RUNS = 3
PIECE_BYTES = 1 << 20


def make_file(keys: int, directory: str) -> Path:
    """Let a real server write a file with that many small keys."""
    with start_server("--dir", directory) as server, socket.create_connection((server.host, server.port)) as sock:
        for argv in ([b"DEBUG", b"POPULATE", b"%d" % keys], [b"SAVE"]):
            sock.sendall(encode_command(argv))
            assert sock.recv(100) == b"+OK\r\n"
    return Path(directory, "dump.rdb")


def real_seconds(directory: str) -> float:
    """Return how long a real server says it took to load the file."""
    program = server_program().path
    process = Popen([program, "--port", str(free_port()), "--dir", directory], stdout=PIPE, stderr=STDOUT, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if (told := re.search(r"DB loaded from disk: ([0-9.]+) seconds", line)) is not None:
                return float(told[1])
    finally:
        process.kill()
        process.wait()
    raise SystemExit("the real server did not load the file")


def our_seconds(data: bytes) -> tuple[float, float]:
    """Return how long loading takes here, and writing the same keys again."""
    space = Keyspace(16, Rng(1))
    gc.collect()
    gc.set_threshold(100_000, 50, 1000)  # as the server sets it
    started = time.perf_counter()
    loader = Loader(space, RdbLimits())
    for at in range(0, len(data), PIECE_BYTES):
        loader.feed(data[at : at + PIECE_BYTES])
    loader.finish()
    loaded = time.perf_counter()
    for _ in write(space):
        pass
    return loaded - started, time.perf_counter() - loaded


def main() -> None:
    """Measure and print."""
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        data = make_file(keys, directory).read_bytes()
        theirs = median(real_seconds(directory) for _ in range(RUNS))
        runs = [our_seconds(data) for _ in range(RUNS)]
    ours, writing = (median(column) for column in zip(*runs))
    print(f"{keys} keys, {len(data)} bytes, Python {platform.python_version()}, {server_program()}")
    print(f"loading: {ours:.2f} s here, {theirs:.2f} s there, ratio {ours / theirs:.1f}")
    print(f"writing: {writing:.2f} s here")


if __name__ == "__main__":
    main()
