"""A client in the format of CLIENT LIST, which the ACL log and log lines about limits also use.

https://redis.io/docs/latest/commands/client-list/
"""

from typing import Final

from engine.clients import client as flags
from engine.clients.client import Client

# The letters of `flags=` in CLIENT LIST, in Redis's order.
_LETTERS: Final = (
    (flags.MASTER, "M"),
    (flags.PUBSUB, "P"),
    (flags.MULTI, "x"),
    (flags.BLOCKED, "b"),
    (flags.TRACKING, "t"),
    (flags.TRACKING_BROKEN_REDIR, "R"),
    (flags.TRACKING_BCAST, "B"),
    (flags.DIRTY_CAS, "d"),
    (flags.CLOSE_AFTER_REPLY, "c"),
    (flags.UNBLOCKED, "u"),
    (flags.CLOSE_ASAP, "A"),
    (flags.UNIX_SOCKET, "U"),
    (flags.READONLY, "r"),
    (flags.NO_EVICT, "e"),
    (flags.NO_TOUCH, "T"),
)


def describe(client: Client) -> bytes:
    """Return a client's line in CLIENT LIST, without the line break."""
    letters = ""
    if client.flags & flags.MONITOR:
        letters = "O"
    elif client.flags & flags.REPLICA:
        letters = "S"
    letters += "".join(letter for flag, letter in _LETTERS if client.flags & flag)
    usage = client.memory()
    current = client.current.name if client.current is not None else b"NULL"
    now_s = client.shared.clock.monotonic_us // 1_000_000
    fields = (
        b"id=%d" % client.id,
        b"addr=%b" % client.peer.encode(),
        b"laddr=%b" % client.local.encode(),
        b"fd=%d" % (client.link + 7 if client.link else -1),
        b"name=%b" % client.name,
        b"age=%d" % (now_s - client.created_us // 1_000_000),
        b"idle=%d" % (now_s - client.last_us // 1_000_000),
        b"flags=%b" % (letters or "N").encode(),
        b"db=%d" % client.db.index,
        b"sub=%d" % len(client.channels),
        b"psub=%d" % len(client.patterns),
        b"ssub=%d" % len(client.shard_channels),
        b"multi=%d" % (len(client.queue) if client.queue is not None else -1),
        b"qbuf=%d" % usage.query,
        b"qbuf-free=%d" % usage.query_free,
        b"argv-mem=%d" % usage.argv,
        b"multi-mem=%d" % usage.multi,
        b"rbs=%d" % usage.reply_buffer,
        b"rbp=%d" % usage.reply_peak,
        b"obl=%d" % usage.output_buffer,
        b"oll=%d" % usage.output_blocks,
        b"omem=%d" % usage.output,
        b"tot-mem=%d" % usage.total,
        b"events=%b" % (b"rw" if client.out_bytes else b"r"),
        b"cmd=%b" % current,
        b"user=%b" % (client.user if client.user is not None else b"(superuser)"),
        b"redir=%d" % (client.tracking.redirect if client.tracking is not None else -1),
        b"resp=%d" % client.resp,
        b"lib-name=%b" % client.lib_name,
        b"lib-ver=%b" % client.lib_ver,
    )
    return b" ".join(fields)


def client_type(client: Client) -> bytes:
    """Return a client's type as used by CLIENT LIST TYPE."""
    if client.flags & flags.MASTER:
        return b"master"
    if client.flags & flags.REPLICA and not client.flags & flags.MONITOR:
        return b"replica"
    return b"pubsub" if client.flags & flags.PUBSUB else b"normal"
