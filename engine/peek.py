"""Looking at a node without leaving a trace.

Checks of lessons and the inspector read through `peek`: the command's handler runs, but nothing of what a real
client's command would leave behind stays: no access time, no hit or miss, no lazy expiry (a key whose time has come
is simply not shown), no statistics, nothing in MONITOR, slow log or ACL log, no random number drawn.
"""

from engine import client as flags
from engine.acl import DEFAULT_USER
from engine.client import Client
from engine.dispatch import find_command
from engine.errors import ReplyError, wrong_arity
from engine.keyspace import EXPIRE_HIDE, TOUCH_NOT
from engine.node import Node
from engine.resp import Argv, Reply
from engine.table import READONLY


def peek(node: Node, argv: Argv, db: int = 0, now: int | None = None) -> Reply:
    """Run a command that only reads, with every permission; returns its reply value, errors included.

    `now` (µs) is the time to look at; None is the node's last. Raises ValueError for a command that could change
    something.
    """
    try:
        command = find_command(node, argv)
    except ReplyError as error:
        return error
    if not command.flags & READONLY and command.name not in _LOOKS:
        raise ValueError(f"{command.name.decode()} is not a command to look with")
    if not command.takes(len(argv)):
        return wrong_arity(command.name)
    space, rng = node.space, node.rng
    kept = (
        space.touch,
        space.expire_mode,
        space.hits,
        space.misses,
        space.notify_misses,
        space.now_ms,
        space.rng.state,
        rng.state,
        node.now_us,
        node.now_ms,
        node.executing,
    )
    space.touch, space.expire_mode, space.notify_misses = TOUCH_NOT, EXPIRE_HIDE, False
    if now is not None:
        node.set_time(now)
    ctx = Client(node, 0, 0)
    ctx.flags = flags.INTERNAL | flags.DENY_BLOCKING
    ctx.user = DEFAULT_USER
    ctx.db = space.databases[db]
    node.executing = ctx
    try:
        return command.handler(ctx, argv)
    except ReplyError as error:
        return error
    finally:
        (
            space.touch,
            space.expire_mode,
            space.hits,
            space.misses,
            space.notify_misses,
            space.now_ms,
            space.rng.state,
            rng.state,
            node.now_us,
            node.now_ms,
            node.executing,
        ) = kept


# Commands that look at the server and not at keys: Redis does not flag them as readonly.
_LOOKS = frozenset(
    (
        b"acl|cat",
        b"acl|dryrun",
        b"acl|getuser",
        b"acl|list",
        b"acl|log",
        b"acl|users",
        b"client|list",
        b"command",
        b"command|count",
        b"command|docs",
        b"command|info",
        b"command|list",
        b"config|get",
        b"echo",
        b"function|list",
        b"info",
        b"lastsave",
        b"latency|histogram",
        b"latency|latest",
        b"ping",
        b"pubsub|channels",
        b"pubsub|numpat",
        b"pubsub|numsub",
        b"role",
        b"script|exists",
        b"slowlog|get",
        b"slowlog|len",
        b"time",
    )
)
