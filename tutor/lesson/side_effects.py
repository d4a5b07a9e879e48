"""Which commands change something that an undo would have to bring back."""

import functools
from collections.abc import Sequence

PARTLY = frozenset(b"exec eval evalsha fcall".split())  # an error of these comes after some of what they do
_SCRIPTS = frozenset(b"eval evalsha fcall".split())

_LOOKING = frozenset(
    b"ping echo info time command memory object config|get client|id client|list client|info client|getname acl|list"
    b" acl|whoami acl|users acl|getuser acl|cat pubsub slowlog|get slowlog|len latency role lastsave publish help"
    b" sentinel|master sentinel|masters sentinel|replicas sentinel|slaves sentinel|sentinels sentinel|ckquorum"
    b" sentinel|get-master-addr-by-name sentinel|myid sentinel|info-cache"
    b" lolwut dbsize ls cat head tail wc xxd grep redis-tutor sleep hostname pwd".split()
)


def only_looks(argv: Sequence[bytes]) -> bool:
    """Tell whether a command changes nothing that an undo would have to bring back."""
    name = argv[0].lower()
    if b">" in argv or b">>" in argv:  # a shell's: it writes a file
        return False
    if name in (b"redis-cli", b"sudo"):
        rest = list(argv[1:])
        while rest and rest[0].startswith(b"-"):
            rest = rest[2:] if rest[0] in (b"-h", b"-p", b"-a", b"-n") else rest[1:]
        return not rest or only_looks(rest)
    pair = name + b"|" + argv[1].lower() if len(argv) > 1 else name
    if name in _LOOKING or pair in _LOOKING:
        return True
    return _reads(name)


_OF_A_CONNECTION = frozenset(
    b"auth select hello client reset multi discard watch unwatch subscribe psubscribe ssubscribe unsubscribe quit"
    b" punsubscribe sunsubscribe monitor readonly readwrite asking wait waitaof".split()
)


def changes(argv: Sequence[bytes]) -> bool:
    """Tell whether a command changes a server or a machine, and not only the connection that it came by."""
    return bool(argv) and not only_looks(argv) and argv[0].lower() not in _OF_A_CONNECTION


def _reads(name: bytes) -> bool:
    from engine.table.declarations import READONLY

    return bool(_flags(name) & READONLY)


def may_write(name: bytes) -> bool:
    """Tell whether a command, or a script that it runs, may write to keys."""
    from engine.table.declarations import WRITE

    return bool(_flags(name) & WRITE) or name in _SCRIPTS


@functools.cache
def _flags(name: bytes) -> int:
    from engine.commands import load_all  # late: the table is large, and a lesson asks for it only here
    from engine.table.declarations import SERVER

    load_all()
    command = SERVER.get(name)
    return command.flags if command is not None else 0
