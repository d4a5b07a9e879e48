"""String commands: bytes, counters, substrings, many keys at once.

https://redis.io/docs/latest/commands/?group=string
"""

from engine.client import Client
from engine.keyspace import NOTIFY_STRING
from engine.resp import OK, Argv, Reply
from engine.table import DENYOOM, FAST, READONLY, WRITE, command


@command("GET key", READONLY, FAST, keys=("1 RO access",), since="1.0.0", complexity="O(1)")
def get(ctx: Client, argv: Argv) -> Reply:
    value = ctx.db.read_string(argv[1])
    return b"%d" % value if type(value) is int else value


@command("SET key value", WRITE, DENYOOM, arity=-3, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def set_(ctx: Client, argv: Argv) -> Reply:
    ctx.db.set(argv[1], argv[2])
    ctx.db.modified(argv[1], NOTIFY_STRING, b"set")
    return OK
