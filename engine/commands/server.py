"""Server commands: time, roles, MONITOR, the slow log, latency, memory, shutdown.

https://redis.io/docs/latest/commands/?group=server
"""

from engine.clients import client as flags
from engine.clients.client import BLOCKED_SHUTDOWN
from engine.clients.memory import STARTUP_BYTES, key_usage
from engine.observe import latency as latency_graphs
from engine.protocol.errors import SYNTAX, ReplyError, c_text, subcommand_syntax
from engine.protocol.numbers import parse_integer
from engine.protocol.resp import NO_REPLY, OK, Argv, Reply, Status, Verbatim
from engine.report import doctor
from engine.report.info import highest_equivalent, info
from engine.report.replication import role as describe_role
from engine.server.context import Context
from engine.server.shutdown import FAILED
from engine.table.arguments import integer
from engine.table.declarations import (
    ADMIN,
    ALLOW_BUSY,
    FAST,
    LOADING,
    NO_MULTI,
    NOSCRIPT,
    READONLY,
    STALE,
    command,
    container,
)
from engine.table.help import help_reply

GROUP = "server"


@command("TIME", LOADING, STALE, FAST, tips=("nondeterministic_output",), since="2.6.0", complexity="O(1)")
def time(ctx: Context, argv: Argv) -> Reply:
    seconds, micros = divmod(ctx.node.clock.shown_us, 1_000_000)
    return [b"%d" % seconds, b"%d" % micros]


@command(
    "INFO [section [section ...]]",
    LOADING,
    STALE,
    acl=("dangerous",),
    tips=(
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ),
    since="1.0.0",
    complexity="O(1)",
)
def info_command(ctx: Context, argv: Argv) -> Reply:
    return Verbatim(info(ctx.node, argv[1:]))


@command(
    "ROLE",
    NOSCRIPT,
    LOADING,
    STALE,
    FAST,
    acl=(
        "admin",
        "dangerous",
    ),
    since="2.8.12",
    complexity="O(1)",
)
def role(ctx: Context, argv: Argv) -> Reply:
    return describe_role(ctx.node)


@command("MONITOR", ADMIN, NOSCRIPT, LOADING, STALE, since="1.0.0", complexity="")
def monitor(ctx: Context, argv: Argv) -> Reply:
    if ctx.flags & flags.DENY_BLOCKING:
        raise ReplyError(b"ERR MONITOR isn't allowed for DENY BLOCKING client")
    if ctx.flags & flags.REPLICA:
        return NO_REPLY
    ctx.flags |= flags.MONITOR | flags.REPLICA
    ctx.update_checks()
    ctx.node.monitors.add(ctx)
    return OK


@command(
    "SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    NO_MULTI,
    ALLOW_BUSY,
    since="1.0.0",
    complexity="O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
)
def shutdown(ctx: Context, argv: Argv) -> Reply:
    options: dict[bytes, None] = {}
    for arg in argv[1:]:
        option = arg.lower()
        if option not in (b"save", b"nosave", b"now", b"force", b"abort"):
            raise ReplyError(SYNTAX)
        options[option] = None
    if (b"abort" in options and len(options) > 1) or (b"save" in options and b"nosave" in options):
        raise ReplyError(SYNTAX)
    if b"abort" in options:
        if not ctx.node.shutdown.abort():
            raise ReplyError(b"ERR No shutdown in progress.")
        return OK
    if ctx.flags & flags.DENY_BLOCKING and b"now" not in options:
        raise ReplyError(b"ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client")
    shutdown = ctx.node.shutdown
    if not shutdown.begin(options):
        raise ReplyError(FAILED)
    return ctx.block(BLOCKED_SHUTDOWN, [], None) if shutdown.until_us and not ctx.node.ending.exiting else NO_REPLY


# --- slow log ---------------------------------------------------------------------------------------------------


container("SLOWLOG", since="2.2.12", group="server")


@command(
    "SLOWLOG GET [count]",
    ADMIN,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "nondeterministic_output",
    ),
    since="2.2.12",
    complexity="O(N) where N is the number of entries returned",
)
def slowlog_get(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 3:
        raise subcommand_syntax(argv)
    entries = ctx.node.core.slowlog.entries
    count = 10
    if len(argv) > 2:
        number = parse_integer(argv[2])
        if number is None or number < -1:
            raise ReplyError(b"ERR count should be greater than or equal to -1")
        count = len(entries) if number == -1 else number
    return [
        [entry.id, entry.time_s, entry.duration_us, entry.argv, entry.peer, entry.client_name]
        for _, entry in zip(range(count), entries)
    ]


@command(
    "SLOWLOG LEN",
    ADMIN,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:agg_sum",
        "nondeterministic_output",
    ),
    since="2.2.12",
    complexity="O(1)",
)
def slowlog_len(ctx: Context, argv: Argv) -> Reply:
    return len(ctx.node.core.slowlog.entries)


@command(
    "SLOWLOG RESET",
    ADMIN,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:all_succeeded",
    ),
    since="2.2.12",
    complexity="O(N) where N is the number of entries in the slowlog",
)
def slowlog_reset(ctx: Context, argv: Argv) -> Reply:
    ctx.node.core.slowlog.entries.clear()
    return OK


# --- latency ----------------------------------------------------------------------------------------------------


container("LATENCY", since="2.8.13", group="server")


@command(
    "LATENCY LATEST",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ),
    since="2.8.13",
    complexity="O(1)",
)
def latency_latest(ctx: Context, argv: Argv) -> Reply:
    return [
        [name, series.samples[-1].time_s, series.samples[-1].latency_ms, series.max_ms]
        for name, series in ctx.node.core.latency.events.items()
    ]


@command(
    "LATENCY HISTORY event",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ),
    since="2.8.13",
    complexity="O(1)",
)
def latency_history(ctx: Context, argv: Argv) -> Reply:
    series = ctx.node.core.latency.events.get(argv[2])
    return [[sample.time_s, sample.latency_ms] for sample in series.samples] if series is not None else []


@command(
    "LATENCY RESET [event [event ...]]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "request_policy:all_nodes",
        "response_policy:agg_sum",
    ),
    since="2.8.13",
    complexity="O(1)",
)
def latency_reset(ctx: Context, argv: Argv) -> Reply:
    return ctx.node.core.latency.reset(argv[2:] or None)


@command(
    "LATENCY GRAPH event",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ),
    since="2.8.13",
    complexity="O(1)",
)
def latency_graph(ctx: Context, argv: Argv) -> Reply:
    series = ctx.node.core.latency.events.get(argv[2])
    if series is None:
        raise ReplyError(b"ERR No samples available for event '%b'" % c_text(argv[2]))
    return Verbatim(latency_graphs.graph(argv[2], series, ctx.node.clock.now_us // 1_000_000))


@command(
    "LATENCY DOCTOR",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ),
    since="2.8.13",
    complexity="O(1)",
)
def latency_doctor(ctx: Context, argv: Argv) -> Reply:
    return Verbatim(doctor.latency_report(ctx.node))


@command(
    "LATENCY HISTOGRAM [COMMAND [COMMAND ...]]",
    ADMIN,
    NOSCRIPT,
    LOADING,
    STALE,
    tips=(
        "nondeterministic_output",
        "request_policy:all_nodes",
        "response_policy:special",
    ),
    since="7.0.0",
    complexity="O(N) where N is the number of commands with latency information being retrieved.",
)
def latency_histogram(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    wanted: list[bytes] = []
    for arg in argv[2:]:
        name = arg.lower()
        command = node.dispatch.commands.get(name.partition(b"|")[0])
        if command is None:
            continue
        if command.subcommands is not None and b"|" not in name:
            wanted += [sub.name for sub in command.subcommands.values()]
        else:
            wanted.append(name)
    reply: dict[bytes, Reply] = {}
    for name in wanted if len(argv) > 2 else list(node.stats.commands):
        stats = node.stats.commands.get(name)
        if stats is None or not stats.calls:
            continue
        buckets: dict[int, int] = {}
        bound, shown, seen = 1024, 0, 0
        for duration, count in stats.histogram():
            while duration * 1000 > highest_equivalent(bound):
                if seen > shown:
                    buckets[highest_equivalent(bound) // 1000] = shown = seen
                bound *= 2
            seen += count
        buckets[highest_equivalent(bound) // 1000] = seen
        reply[name] = {b"calls": stats.calls, b"histogram_usec": buckets}
    return reply


# --- memory -----------------------------------------------------------------------------------------------------


container("MEMORY", since="4.0.0", group="server")


@command(
    "MEMORY USAGE key [SAMPLES count]",
    READONLY,
    keys=("2 RO",),
    since="4.0.0",
    complexity="O(N) where N is the number of samples.",
)
def memory_usage(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 3:
        if len(argv) != 5 or argv[3].lower() != b"samples":
            raise ReplyError(SYNTAX)
        if integer(argv[4]) < 0:
            raise ReplyError(SYNTAX)
    return key_usage(ctx.node.space, argv[2], ctx.db.index)


@command(
    "MEMORY STATS",
    tips=(
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ),
    since="4.0.0",
    complexity="O(1)",
)
def memory_stats(ctx: Context, argv: Argv) -> Reply:
    node = ctx.node
    used = node.memory.used()
    extra = node.memory.overhead()
    keys = sum(len(db) for db in node.space.databases)
    net = used - STARTUP_BYTES
    data = max(0, used - extra)
    peak = node.stats.peak_memory_bytes
    rss = node.facts()["rss"]
    scripts = node.scripting.memory()
    reply: dict[bytes, Reply] = {
        b"peak.allocated": peak,
        b"total.allocated": used,
        b"startup.allocated": STARTUP_BYTES,
        b"replication.backlog": node.replication.backlog_bytes,
        b"clients.slaves": node.memory.clients_bytes(replicas=True),
        b"clients.normal": node.memory.clients_bytes(),
        b"cluster.links": node.cluster.bus.memory if node.cluster is not None else 0,
        b"aof.buffer": node.aof.buffer_bytes,
        b"lua.caches": scripts.scripts,
        b"functions.caches": scripts.function_bytes,
    }
    for db in node.space.databases:
        if len(db):
            reply[b"db.%d" % db.index] = {
                b"overhead.hashtable.main": len(db) * 72,
                b"overhead.hashtable.expires": len(db.expires) * 32,
                b"overhead.hashtable.slot-to-keys": 0,
            }
    reply |= {
        b"overhead.total": extra,
        b"keys.count": keys,
        b"keys.bytes-per-key": net // keys if keys else 0,
        b"dataset.bytes": data,
        b"dataset.percentage": data * 100 / net if net else 0.0,
        b"peak.percentage": used * 100 / peak,
        b"allocator.allocated": used,
        b"allocator.active": rss,
        b"allocator.resident": rss,
        b"allocator-fragmentation.ratio": rss / used,
        b"allocator-fragmentation.bytes": rss - used,
        b"allocator-rss.ratio": 1.0,
        b"allocator-rss.bytes": 0,
        b"rss-overhead.ratio": 1.0,
        b"rss-overhead.bytes": 0,
        b"fragmentation": rss / used,
        b"fragmentation.bytes": rss - used,
    }
    return reply


@command(
    "MEMORY DOCTOR",
    tips=(
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ),
    since="4.0.0",
    complexity="O(1)",
)
def memory_doctor(ctx: Context, argv: Argv) -> Reply:
    return Verbatim(doctor.memory_report(ctx.node))


@command(
    "MEMORY MALLOC-STATS",
    tips=(
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ),
    since="4.0.0",
    complexity="Depends on how much memory is allocated, could be slow",
)
def memory_malloc_stats(ctx: Context, argv: Argv) -> Reply:
    return Verbatim(b"Stats not supported for the current allocator")


@command(
    "MEMORY PURGE",
    tips=(
        "request_policy:all_shards",
        "response_policy:all_succeeded",
    ),
    since="4.0.0",
    complexity="Depends on how much memory is allocated, could be slow",
)
def memory_purge(ctx: Context, argv: Argv) -> Reply:
    return OK


RESET = Status(b"RESET")


@command("SLOWLOG HELP", LOADING, STALE, since="6.2.0", complexity="O(1)")
def slowlog_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, SLOWLOG_HELP)


SLOWLOG_HELP = """\
GET [<count>]
    Return top <count> entries from the slowlog (default: 10, -1 mean all).
    Entries are made of:
    id, timestamp, time in microseconds, arguments array, client IP and port,
    client name
LEN
    Return the length of the slowlog.
RESET
    Reset the slowlog.
"""


@command("LATENCY HELP", LOADING, STALE, since="2.8.13", complexity="O(1)")
def latency_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, LATENCY_HELP)


LATENCY_HELP = """\
DOCTOR
    Return a human readable latency analysis report.
GRAPH <event>
    Return an ASCII latency graph for the <event> class.
HISTORY <event>
    Return time-latency samples for the <event> class.
LATEST
    Return the latest latency samples for all events.
RESET [<event> ...]
    Reset latency data of one or more <event> classes.
    (default: reset all data for all event classes)
HISTOGRAM [COMMAND ...]
    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.
    If no commands are specified then all histograms are replied.
"""


@command("MEMORY HELP", LOADING, STALE, since="4.0.0", complexity="O(1)")
def memory_help(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, MEMORY_HELP)


MEMORY_HELP = """\
DOCTOR
    Return memory problems reports.
MALLOC-STATS
    Return internal statistics report from the memory allocator.
PURGE
    Attempt to purge dirty pages for reclamation by the allocator.
STATS
    Return information about the memory usage of the server.
USAGE <key> [SAMPLES <count>]
    Return memory in bytes used by <key> and its value. Nested values are
    sampled up to <count> times (default: 5, 0 means sample all).
"""
