"""A master with four replicas under load, whose links are cut at random: at the end all five are equal.

    python -m tests.replication.load [--seconds 30] [--seed 1] [--replicas 4] [--backlog 1mb]

Everything is our own server, in processes of their own; the load is redis-benchmark's (REDIS_BENCHMARK, or found in
PATH). Each replica reaches the master through a proxy of its own, which is cut and healed as the seed says. Ends with
status 1 when a replica does not come to hold the same, to the byte of the stream and by DEBUG DIGEST.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack

import redis

from tests.replication.servers import OURS, Server, in_sync, proxy_to, servers, wait_for

LOAD = ["-q", "-c", "20", "-P", "8", "-n", "100000000", "-r", "5000", "-d", "50"]
TESTS = "set,incr,lpush,rpop,sadd,hset,spop,zadd,mset"


def tell_differences(master: Server, replicas: list[Server]) -> None:
    """Print the first keys in which replicas differ from their master."""
    held = master.data()
    for number, replica in enumerate(replicas):
        other = replica.data()
        differ = [place for place in held.keys() | other.keys() if held.get(place) != other.get(place)]
        for db, key in sorted(differ)[:5]:
            kind = master.client.type(key) + b" " + replica.client.type(key)
            print(f"replica {number}: {len(differ)} keys differ: {db} {key!r} ({kind.decode()})")
            for server in (master, replica):
                with contextlib.suppress(redis.RedisError):
                    print("   ", str(server.client.execute_command("DUMP", key))[:300])


def main() -> int:
    """Run it and print what happened; returns the exit status."""
    options = argparse.ArgumentParser(prog="python -m tests.replication.load", description=__doc__)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--replicas", type=int, default=4)
    options.add_argument("--backlog", default="1mb", help="repl-backlog-size: what an absence may miss")
    chosen = options.parse_args()
    program = os.environ.get("REDIS_BENCHMARK") or shutil.which("redis-benchmark")
    if not program:
        print("redis-benchmark not found")
        return 2
    draw = random.Random(chosen.seed)
    with ExitStack() as stack:
        running = [OURS] * (1 + chosen.replicas)
        arguments = ("--repl-backlog-size", chosen.backlog)
        master, *replicas = stack.enter_context(servers(*running, arguments=arguments))
        links = [stack.enter_context(proxy_to(master)) for _ in replicas]
        for replica, link in zip(replicas, links, strict=True):
            replica.follow(link.port)
        wait_for(lambda: all(replica.linked for replica in replicas), "all replicas are linked")
        load: list[subprocess.Popen[bytes]] = []
        cuts = 0
        # One after the other would never reach the last of the tests in the time there is.
        for name in TESTS.split(","):
            command = [program, "-p", str(master.port), "-t", name, *LOAD]
            load.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        try:
            end = time.monotonic() + chosen.seconds
            heal_at = [0.0] * len(links)
            while (now := time.monotonic()) < end:
                for number, link in enumerate(links):
                    if not link.open and now >= heal_at[number]:
                        link.heal()
                    elif link.open and draw.random() < 0.1:
                        link.cut()
                        cuts += 1
                        heal_at[number] = now + draw.choice([0.05, 0.3, 1.0, 3.0])
                time.sleep(0.1)
            died = [process.returncode for process in load if process.poll() is not None]
        finally:
            for process in load:
                process.kill()
                process.wait()
        for link in links:
            link.heal()
        state = master.client.info("everything")
        done, offset = state["total_commands_processed"], state["master_repl_offset"]
        print(f"{done} commands, {cuts} cuts, stream of {offset} bytes")
        if died:
            print(f"redis-benchmark ended early: {died}")
            return 1
        try:
            wait_for(lambda: in_sync(master, *replicas), "all stand at the same offset", 120)
        except AssertionError as error:
            print(error)
            for server in (master, *replicas):
                told = server.client.info("replication")
                print({name: told[name] for name in ("master_repl_offset", "master_link_status") if name in told})
                print("   ", {name: value for name, value in told.items() if name.startswith("slave")})
            return 1
        digests = [server.client.execute_command("DEBUG", "DIGEST") for server in (master, *replicas)]
        counts = {name: master.info(name) for name in ("sync_full", "sync_partial_ok", "sync_partial_err")}
        print(f"{counts}, {master.client.dbsize()} keys, digests {[digest.decode()[:8] for digest in digests]}")
        if len(set(digests)) != 1:
            print("NOT EQUAL")
            tell_differences(master, replicas)
            return 1
        print("all equal")
        return 0


if __name__ == "__main__":
    sys.exit(main())
