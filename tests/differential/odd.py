"""Arguments that make no sense, given to ours and to a real server: the same errors, and replies of the same type.

    python -m tests.differential.odd [--pairs N] [--seed N] [--server PATH]

Each command of the table gets a key of each kind (`tests.fuzz.everything`) and odd arguments. What is compared is
what does not depend on the machine: the text of an error, and the type of any other reply.
"""

import argparse
import contextlib
import re
import socket
import sys
from collections.abc import Iterator
from random import Random

from engine.protocol.resp import encode_command
from engine.table.declarations import Command
from engine.values.list import ListValue
from tests.differential.sequences import beside
from tests.fuzz.everything import CONFIGURATION, GROUPS, KINDS, request, subcommands
from tests.inprocess import InProcess, Parsed, parse_all
from tests.real import Program, examine, find_servers

LEFT_OUT = frozenset(
    b"""
    config|rewrite config|resetstat acl|load acl|save acl|genpass latency|doctor memory|doctor
    module|load module|loadex module|unload client|kill client|pause client|reply client|unblock
    client|no-evict client|trackinginfo replicaof slaveof replconf migrate save bgsave bgrewriteaof
    script|debug swapdb reset function|stats memory|malloc-stats memory|purge waitaof wait client|list
    client|id hello auth subscribe psubscribe ssubscribe info unsubscribe punsubscribe sunsubscribe blpop
    brpop blmove brpoplpush blmpop bzmpop bzpopmin bzpopmax xread xreadgroup eval eval_ro evalsha
    evalsha_ro fcall fcall_ro function|load script|load lolwut config|set
    """.split()
)
"""What waits, ends a connection, works on files or other machines, or is compared in tests of its own."""

DEBUG_LEFT_OUT = frozenset(
    b"segfault panic assert oom restart crash-and-recover sleep reload loadaof config-rewrite-force-all log leak "
    b"pause-cron replicate populate aof-flush-sleep stringmatch-test structsize htstats htstats-key replybuffer "
    b"listpack quicklist digest sdslen quicklist-packed-threshold".split()
)


def pairs(chance: Random) -> Iterator[tuple[Command, bytes, bytes]]:
    """Yield commands and kinds of values, without end."""
    tried = [
        (command, known)
        for command, known in subcommands()
        if command.name not in LEFT_OUT and known not in DEBUG_LEFT_OUT and not command.name.startswith(b"cluster|")
    ]
    while True:
        command, known = chance.choice(tried)
        fitting = GROUPS.get(command.group, [])
        yield command, known, chance.choice(fitting if fitting and chance.random() < 0.7 else list(KINDS))


def kind(replies: list[Parsed]) -> object:
    """Return what is compared of a reply."""
    if len(replies) != 1:
        return [kind([reply]) for reply in replies]
    reply = replies[0]
    if isinstance(reply, list):
        return reply[0]
    return re.sub(rb"\b(0x)?[0-9a-f]{9,}\b", b"N", reply) if reply[:1] in b"-+" else reply[:1]


class Both:
    """A node of ours and a real server, which are given the same."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.sock: socket.socket | None = None

    def theirs(self, *argv: bytes) -> list[Parsed]:
        """Return what the real server answers."""
        if self.sock is None:
            self.sock = socket.create_connection(self.address, timeout=10)
        self.sock.sendall(encode_command(list(argv)))
        data = b""
        while True:
            part = self.sock.recv(1 << 20)
            if not part:
                self.sock = None
                return [b"-HUNGUP"]
            data += part
            replies, used = parse_all(data)
            if replies and used == len(data):
                return replies

    def begin(self, keys: set[bytes]) -> None:
        """Begin anew, with these keys."""
        self.ours = InProcess()
        if self.sock is not None:
            self.sock.close()  # which may be in a transaction, or speak RESP3
            self.sock = None
        ListValue.packed_threshold = 1 << 30
        for argv in (
            [b"FLUSHALL"],
            [b"FUNCTION", b"FLUSH"],
            [b"SELECT", b"0"],
            [b"CONFIG", b"SET", *CONFIGURATION],
            [b"ACL", b"DELUSER", b"u1", b"u2", b"\xff", b"", b"nosuch"],
            *([key if arg == b"?" else arg for arg in argv] for key in sorted(keys) for argv in KINDS[key]),
        ):
            self.theirs(*argv)
            self.ours.run(1, *argv)

    def differs(self, argv: list[bytes]) -> str | None:
        """Give both a command; returns how the answers differ, or None."""
        theirs, ours = self.theirs(*argv), self.ours.run(1, *argv)
        if kind(theirs) == kind(ours):
            return None
        return f"{[arg[:60] for arg in argv]}\n  ours   {str(ours)[:300]}\n  theirs {str(theirs)[:300]}"


def compare(program: Program, count: int, seed: int) -> list[str]:
    """Compare so many pairs of a command and a kind of value; returns the differences, each kind once."""
    chance = Random(seed)
    found: dict[tuple[bytes, bytes, str], str] = {}
    with beside(program) as other:
        both = Both(other.address)
        for _, (command, known, key) in zip(range(count), pairs(chance), strict=False):
            argv = request(chance, command, known, key)
            if any(len(arg) > 9 and arg.isdigit() for arg in argv) and command.group in ("bitmap", "string"):
                continue  # strings of half a gigabyte
            both.begin({key, *(arg for arg in argv if arg in KINDS)} - {b"expired", b"plain"})
            difference = both.differs(argv)
            if difference is not None:
                found.setdefault((command.name, known, re.sub(r"[\d']+", "", difference)[-60:]), difference)
        with contextlib.suppress(OSError):
            other.ask(b"CONFIG", b"SET", b"proto-max-bulk-len", b"512mb")
    return list(found.values())


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.odd")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server")
    options = parser.parse_args()
    named = examine(options.server) if options.server else None
    failures = 0
    for program in [named] if named else find_servers():
        found = compare(program, options.pairs, options.seed)
        failures += len(found)
        print(f"{program}: {options.pairs} pairs, {len(found)} differences", *found, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
