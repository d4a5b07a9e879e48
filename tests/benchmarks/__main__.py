"""Our server beside a real one: CPU time of the server per command, throughput, memory, time to start.

    python -m tests.benchmarks [--requests N] [--runs N] [--keys N] [COMMAND …]

Both servers run in turns, under the same redis-benchmark, at `-P 1` and `-P 16`; what is printed is the median of
the runs and the ratio ours to theirs. CPU time is what counts: throughput of an unpipelined client mostly measures
the client and the kernel. What else the machine does disturbs both, in turns.
"""

import argparse
import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from statistics import median

from engine.protocol.resp import encode_command
from tests.real import free_port, server_program, start_server

COMMANDS = ("ping_mbulk", "set", "get", "incr", "lpush", "rpop", "hset", "zadd", "lrange_100", "mset")
LIBRARY = "#!lua name=l\nredis.register_function('f', function(keys) return redis.call('INCR', keys[1]) end)"
# Commands that redis-benchmark has no test for: what is there before, and what is given over and over.
OTHERS: dict[str, tuple[list[str], str]] = {
    "xadd": ([], "XADD s MAXLEN ~ 1000 * field value"),
    "xrange": ([f"XADD s 1-{n} f v" for n in range(1, 101)], "XRANGE s - + COUNT 10"),
    "xreadgroup": (["XGROUP CREATE s g 0 MKSTREAM"], "XREADGROUP GROUP g c COUNT 1 STREAMS s >"),
    "geoadd": ([], "GEOADD g 13.361389 38.115556 __rand_int__"),
    "geosearch": (
        [f"GEOADD g {n % 30 / 10} {n // 30 / 10} m{n}" for n in range(900)],
        "GEOSEARCH g FROMLONLAT 1.5 1.5 BYRADIUS 20 km",
    ),
    "setbit": (["SETBIT b 99999 1"], "SETBIT b 777 1"),
    "bitcount": (["SETBIT b 8191 1"], "BITCOUNT b"),
    "bitfield": ([], "BITFIELD b INCRBY u16 100 1"),
    "eval": ([], "EVAL return(redis.call('INCR',KEYS[1])) 1 n"),
    "fcall": (["FUNCTION LOAD REPLACE " + LIBRARY], "FCALL f 1 n"),
    "publish": ([], "PUBLISH channel message"),
    "pfadd": ([], "PFADD h __rand_int__"),
}
EVERY = (*COMMANDS, *OTHERS)
_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds: to the ns where Linux tells it."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def our_server() -> Iterator[tuple[int, int, float]]:
    """Run ours; give its port, its process's id, and how long it took to answer, in seconds."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tutor", "serve", "--port", str(port), "--save", "", "--dir", directory]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": os.getcwd()})
        try:
            ask(port, b"PING")
            yield port, process.pid, time.perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def ask(port: int, *argv: bytes) -> bytes:
    """Give one command and return the raw reply; waits for a server that is starting."""
    for _ in range(20_000):
        try:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(encode_command(list(argv)))
                return sock.recv(1 << 16)
        except ConnectionRefusedError:
            time.sleep(0.001)
    raise SystemExit(f"no server at port {port}")


def measure(port: int, pid: int, name: str, pipeline: int, requests: int) -> tuple[float, float]:
    """Return µs of the server's CPU per command, and commands per second."""
    ask(port, b"FLUSHALL")
    test = "ping" if name == "ping_mbulk" else name
    if name == "rpop":
        run_benchmark(port, "lpush", 16, requests)
    if name == "lrange_100":
        requests //= 5
    for text in OTHERS.get(name, ([], ""))[0]:
        reply = ask(port, *(word.encode() for word in text.split(" ", 3 if text.startswith("FUNCTION") else -1)))
        assert not reply.startswith(b"-"), reply
    before, started = cpu_seconds(pid), time.perf_counter()
    done = run_benchmark(port, test, pipeline, requests)
    elapsed = time.perf_counter() - started
    return (cpu_seconds(pid) - before) / done * 1e6, done / elapsed


def run_benchmark(port: int, test: str, pipeline: int, requests: int) -> int:
    """Run redis-benchmark; return how many commands it gave."""
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        raise SystemExit("redis-benchmark is not found")
    options = ["-p", str(port), "-n", str(requests), "-P", str(pipeline), "-q", "-r", "10000"]
    options += OTHERS[test][1].split() if test in OTHERS else ["-t", test]
    subprocess.run([program, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # PING is measured inline and as a multibulk, LRANGE fills its list first.
    return requests * 2 if test in ("ping", "lrange_100") else requests


def speed(names: list[str], requests: int, runs: int) -> None:
    """Print CPU and throughput."""
    with our_server() as (our_port, our_pid, _), start_server() as real:
        print(f"{'':14}{'-P':>3}{'µs/cmd':>9}{'theirs':>9}{'ratio':>7}{'ops/s':>10}{'theirs':>10}{'ratio':>7}")
        for pipeline in (1, 16):
            ratios = []
            for name in names:
                ours, theirs = [], []
                for _ in range(runs):
                    ours.append(measure(our_port, our_pid, name, pipeline, requests))
                    theirs.append(measure(real.port, real.process.pid, name, pipeline, requests))
                cpu, cpu_there = median(row[0] for row in ours), median(row[0] for row in theirs)
                rate, rate_there = median(row[1] for row in ours), median(row[1] for row in theirs)
                ratios.append(cpu / cpu_there)
                print(
                    f"{name:14}{pipeline:3}{cpu:9.2f}{cpu_there:9.2f}{cpu / cpu_there:7.2f}"
                    f"{rate:10.0f}{rate_there:10.0f}{rate / rate_there:7.2f}",
                    flush=True,
                )
            print(f"{'median':14}{pipeline:3}{'':18}{median(ratios):7.2f}")


def memory(keys: int) -> None:
    """Print the resident memory that each of many small strings takes."""

    def per_key(port: int, pid: int) -> float:
        before = resident_bytes(pid)
        with socket.create_connection(("127.0.0.1", port)) as sock:
            for start in range(0, keys, 10_000):
                batch = range(start, min(start + 10_000, keys))
                sock.sendall(b"".join(encode_command([b"SET", b"key:%d" % n, b"value:%d" % n]) for n in batch))
                missing = 5 * len(batch)
                while missing:
                    missing -= len(sock.recv(missing))
        return (resident_bytes(pid) - before) / keys

    with our_server() as (port, pid, _), start_server() as real:
        ours, theirs = per_key(port, pid), per_key(real.port, real.process.pid)
    print(
        f"memory: {ours:.0f} bytes a key here, {theirs:.0f} there, ratio {ours / theirs:.2f} ({keys} small strings)"
    )


def start(runs: int) -> None:
    """Print how long it takes from the start of the process to the first answer."""
    times = []
    for _ in range(runs):
        with our_server() as (_, _, seconds):
            times.append(seconds)
    print(f"start: {median(times):.3f} s from `serve` to the first answer (median of {runs})")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(EVERY))
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {server_program()}, median of {options.runs} runs")
    speed(options.commands or list(EVERY), options.requests, options.runs)
    start(max(5, options.runs))
    memory(options.keys)


if __name__ == "__main__":
    main()
