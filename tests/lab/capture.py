"""What goes over the wire between a real master and a real replica, kept as a file.

    python -m tests.lab.capture FILE [--server PATH]

Records all there is of the protocol: a snapshot without a file (`$EOF:`) of values of every type, newlines that keep
a waiting replica from giving up, the stream with transactions, other databases, expiry and scripts, PINGs, GETACK and
ACKs, a reset and a partial resynchronization, a history that is not known, and a snapshot by way of a file.

A line of the file is a message: the connection's number, `>` from the one who dialled or `<` to it, and its bytes in
hexadecimal.
"""

import argparse
import sys
import time
from pathlib import Path

from engine.simulation import actions
from tests.lab.explained import Message
from tests.lab.machines import Machines
from tests.lab.wires import Wire
from tests.real import Program, examine, find_servers
from tests.replication.servers import wait_for

MASTER, REPLICA = "172.16.6.18:6379", "172.16.6.57:6379"
LIBRARY = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"


def fill(client: object) -> None:
    """Put a value of every type and of most encodings into a server."""
    run = client.execute_command  # type: ignore[attr-defined]
    run("FLUSHALL")
    run("SET", "string", "value")
    run("SET", "number", 12345)
    run("SET", "compressed", "abc" * 50)
    run("SET", "expires", "soon", "PX", 1_000_000)
    run("RPUSH", "list", *range(10), "x" * 100)
    run("SADD", "integers", *range(8))
    run("SADD", "words", "one", "two", 3)
    run("SADD", "many", *(f"member:{number}" for number in range(150)))
    run("HSET", "hash", "field", "value", "n", 1)
    run("HSET", "wide", "field", "y" * 100)
    run("ZADD", "sorted", 1.5, "a", 2, "b", "-inf", "c")
    run("ZADD", "tall", 1, "z" * 100)
    run("XADD", "stream", "1-1", "temperature", 20)
    run("XGROUP", "CREATE", "stream", "group", 0)
    run("XREADGROUP", "GROUP", "group", "me", "STREAMS", "stream", ">")
    run("PFADD", "loglog", "a", "b")
    run("FUNCTION", "LOAD", "REPLACE", LIBRARY)


def record(program: Program) -> list[Message]:
    """Let two real servers go through it all; returns what they said to each other."""
    heard: list[Message] = []

    def tap(wire: Wire, ours: bool, data: bytes) -> None:
        if {wire.forward.source, wire.forward.target} == {"A", "B"}:
            heard.append((wire.number, ours, data))

    with Machines(program) as machines:
        machines.wires.taps.append(tap)
        base = ("repl-diskless-sync yes", "repl-ping-replica-period 1", "save ''")
        machines.do(actions.AddHost("A", MASTER, (*base, "repl-diskless-sync-delay 2")))
        machines.do(actions.AddHost("B", REPLICA, (*base, f"replicaof {MASTER.replace(':', ' ')}")))
        machines.do(actions.Start("A"))
        a = machines.hosts["A"].client
        fill(a)
        machines.do(actions.Start("B"))
        b = machines.hosts["B"].client

        def caught_up() -> bool:
            one, other = a.info("replication"), b.info("replication")
            linked = other["master_link_status"] == "up"
            return bool(linked and other["master_repl_offset"] == one["master_repl_offset"])

        wait_for(caught_up, "the replica has everything")
        fill(a)
        for line in ("MULTI", "INCR number", "SPOP words", "EXEC", "SELECT 9", "SET other 1"):
            a.execute_command(*line.split())
        a.execute_command("EVAL", "redis.call('SET', KEYS[1], 1) redis.call('INCR', KEYS[1])", 1, "by-script")
        a.execute_command("WAIT", 1, 5000)
        machines.do(actions.Cut("A", "B", "reset"))
        a.execute_command("SET", "meanwhile", 1)
        wait_for(lambda: a.info("stats")["sync_partial_ok"] >= 1 and caught_up(), "the replica continues")
        b.execute_command("REPLICAOF", "NO", "ONE")
        b.execute_command("SET", "own", "history")
        a.config_set("repl-diskless-sync", "no")
        b.execute_command("REPLICAOF", *machines.here(MASTER).rsplit(":", 1))
        wait_for(lambda: a.info("stats")["sync_full"] >= 2 and caught_up(), "the replica starts anew")
        time.sleep(1.2)  # a PING and an ACK
        machines.do(actions.Pause("A"))  # between two commands
        machines.do(actions.Pause("B"))
        time.sleep(0.1)
        machines.wires.taps.clear()
    return heard


def write(messages: list[Message]) -> str:
    """Return messages as a file's text; those of one direction that follow each other are one."""
    lines: list[list[object]] = []
    for link, ours, data in messages:
        if lines and lines[-1][:2] == [link, ours]:
            lines[-1][2] += data  # type: ignore[operator]
        else:
            lines.append([link, ours, data])
    return "".join(f"{link} {'>' if ours else '<'} {data.hex()}\n" for link, ours, data in lines)  # type: ignore[attr-defined]


def read(text: str) -> list[Message]:
    """Return the messages of a file's text."""
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return [(int(link), way == ">", bytes.fromhex(data)) for link, way, data in lines]


def main() -> int:
    """Record a file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.capture", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--server", metavar="PATH", help="a redis-server or valkey-server (default: the first found)")
    options = parser.parse_args()
    program = examine(options.server) if options.server else next(iter(find_servers()), None)
    if program is None:
        parser.error("no real server found")
    heard = record(program)
    text = f"# python -m tests.lab.capture, {program}\n" + write(heard)
    options.file.write_text(text)
    print(f"{sum(len(data) for _, _, data in heard)} bytes in {options.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
