"""What cluster mode costs: commands, an idle node among twenty, and a slot with many keys that moves.

    python -m tests.benchmarks.cluster [commands] [idle] [slot] [--server PATH]

CPU time of the server, ours and a real one. The limits: 10 % more than standalone at -P 16 for keys that exist, 20 %
where keys are created; 3 % of a core for an idle node; four times the real server's time for the slot.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import redis

from tests.benchmarks.__main__ import cpu_seconds
from tests.clients.ours import serve
from tests.cluster.test_mixed import redis_cli
from tests.real import Program, client_program, examine, find_servers, start_server
from tests.waiting import wait_until

REQUESTS = 100_000
KEYS = 10_000
SLOT_KEYS = 100_000
IDLE_NODES = 20
IDLE_S = 30.0
CLUSTERED = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
KINDS = {
    "GET": ["GET", "key:__rand_int__"],
    "SET, key exists": ["SET", "key:__rand_int__", "xxx"],
    "SET, new key": ["SET", "new:__rand_int__:__rand_int__", "xxx"],
}


@contextlib.contextmanager
def running(program: Program | None, *directives: str) -> Iterator[tuple[int, int]]:
    """Run a server, ours without a program; gives its port and its process."""
    if program is None:
        with serve(*directives) as ours:
            yield ours.port, ours.process.pid
    else:
        with start_server(*directives, program=program) as real:
            yield real.port, int(redis.Redis(port=real.port).info("server")["process_id"])  # type: ignore[arg-type,index]


def ask(port: int, *words: object) -> object:
    """Give a server a command."""
    return redis.Redis(port=port).execute_command(*words)  # type: ignore[no-untyped-call]


def is_ok(port: int) -> bool:
    """Tell whether a node takes its cluster to be up."""
    found: dict[str, str] = ask(port, "CLUSTER INFO")  # type: ignore[assignment]
    return found["cluster_state"] == "ok"


def per_command(port: int, pid: int, words: list[str]) -> float:
    """Return the CPU time of a command of redis-benchmark at -P 16, in µs."""
    tool = client_program().path.replace("-cli", "-benchmark")
    many = 10**9 if words[1].startswith("new") else KEYS
    before = cpu_seconds(pid)
    options = ["-p", str(port), "-P", "16", "-n", str(REQUESTS), "-r", str(many), "-q"]
    subprocess.run([tool, *options, *words], check=True, capture_output=True)
    return (cpu_seconds(pid) - before) / REQUESTS * 1e6


def commands(program: Program | None) -> None:
    """Print what commands cost standalone and in a cluster of one node."""
    for kind, words in KINDS.items():
        figures = []
        with running(program) as alone, running(program, *CLUSTERED) as node:
            ask(node[0], "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda port=node[0]: is_ok(port), "the node serves all slots")  # type: ignore[misc]
            if "new" not in kind:
                for port, _ in (alone, node):
                    pipeline = redis.Redis(port=port).pipeline(transaction=False)
                    for number in range(KEYS):
                        pipeline.set(f"key:{number:012d}", "xxx")
                    pipeline.execute()
            for _ in range(3):
                for server, where in ((alone, "alone"), (node, "cluster")):
                    figures.append((where, per_command(*server, words)))
                    if "new" in kind:
                        ask(server[0], "FLUSHALL")
        best = {where: min(cost for each, cost in figures if each == where) for where in ("alone", "cluster")}
        more = best["cluster"] / best["alone"] - 1
        name = program or "ours"
        print(
            f"{name}: {kind}: {best['alone']:.2f} µs alone, {best['cluster']:.2f} in a cluster, {more:+.0%}",
            flush=True,
        )


def idle(program: Program | None) -> None:
    """Print what an idle node costs in a cluster of twenty."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(running(program, "--cluster-enabled", "yes")) for _ in range(IDLE_NODES)]
        redis_cli("create", *(f"127.0.0.1:{port}" for port, _ in nodes), "--cluster-yes")
        for port, _ in nodes:
            wait_until(lambda port=port: is_ok(port), "the cluster is up")  # type: ignore[misc]
        time.sleep(5)
        before = [cpu_seconds(pid) for _, pid in nodes]
        began = time.monotonic()
        time.sleep(IDLE_S)
        took_s = time.monotonic() - began
        shares = sorted((cpu_seconds(pid) - used) / took_s for (_, pid), used in zip(nodes, before, strict=True))
    print(
        f"{program or 'ours'}: an idle node of {IDLE_NODES}: {shares[0]:.2%} to {shares[-1]:.2%} of a core",
        flush=True,
    )


def slot(program: Program | None) -> None:
    """Print how long a slot with many keys takes to move."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(running(program, "--cluster-enabled", "yes")) for _ in range(3)]
        ports = [port for port, _ in nodes]
        redis_cli("create", *(f"127.0.0.1:{port}" for port in ports), "--cluster-yes")
        for port in ports:
            wait_until(lambda port=port: is_ok(port), "the cluster is up")  # type: ignore[misc]
        first, second = ports[:2]
        tag = next(f"{{{number}}}" for number in range(10**6) if ask(first, "CLUSTER KEYSLOT", number) == 0)
        pipeline = redis.Redis(port=first).pipeline(transaction=False)
        for number in range(SLOT_KEYS):
            pipeline.set(f"{tag}:{number}", "x" * 20)
        pipeline.execute()
        names = [ask(port, "CLUSTER MYID") for port in ports]
        source, target = (name.decode() if isinstance(name, bytes) else str(name) for name in names[:2])
        used = [cpu_seconds(pid) for _, pid in nodes[:2]]
        began = time.monotonic()
        redis_cli("reshard", f"127.0.0.1:{first}", "--cluster-from", source, "--cluster-to", target,
                  "--cluster-slots", "1", "--cluster-pipeline", "100", "--cluster-yes")  # fmt: skip
        took_s = time.monotonic() - began
        costs = [cpu_seconds(pid) - before for (_, pid), before in zip(nodes[:2], used, strict=True)]
        assert ask(second, "DBSIZE") == SLOT_KEYS
    print(
        f"{program or 'ours'}: a slot of {SLOT_KEYS} keys: {took_s:.1f} s, CPU {costs[0]:.2f} s (source) and "
        f"{costs[1]:.2f} s (target)",
        flush=True,
    )


MEASURES: dict[str, Callable[[Program | None], None]] = {"commands": commands, "idle": idle, "slot": slot}


def main() -> int:
    """Measure and print."""
    what = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster", description=what)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", default=[])
    parser.add_argument("--server", metavar="PATH", help="the real server (default: the first found)")
    options = parser.parse_args()
    program = examine(options.server) if options.server else next(iter(find_servers()), None)
    if unknown := set(options.measures) - set(MEASURES):
        parser.error(f"not measured: {', '.join(sorted(unknown))}")
    for name in options.measures or MEASURES:
        for each in (None, *([program] if program is not None else [])):
            MEASURES[name](each)
    return 0


if __name__ == "__main__":
    sys.exit(main())
