"""INFO: the server's report about itself, section by section.

A section is a function that returns lines; the table `SECTIONS` lists them in Redis's order. Fields without a
meaning here (threads, allocator arenas) have the value that a real server shows when it does not use the feature,
because monitoring tools parse them.

https://redis.io/docs/latest/commands/info/
"""

from collections.abc import Callable
from typing import Any

from engine.clients import client as flags
from engine.clients.memory import STARTUP_BYTES, human
from engine.protocol.version import ALLOCATOR, ARCH_BITS, BUILD_ID, GIT_DIRTY, GIT_SHA1, VERSION
from engine.report.replication import info as replication_info
from engine.server import Server

Lines = list[tuple[str, Any]]
Section = Callable[[Server], Lines]


def server(node: Server) -> Lines:
    """The identity of this server."""
    config, facts = node.config, node.facts()
    uptime_s = (node.clock.monotonic_us - node.process.started_us) // 1_000_000
    listeners = [
        f"name={kind},{','.join(f'bind={bind}' for bind in config.bind)},port={port}"
        for kind, port in (("tcp", config.port), ("tls", config.tls_port))
        if port
    ]
    if config.unixsocket:
        listeners.append(f"name=unix,bind={config.unixsocket}")
    return [
        ("redis_version", VERSION),
        ("redis_git_sha1", GIT_SHA1),
        ("redis_git_dirty", GIT_DIRTY),
        ("redis_build_id", BUILD_ID),
        ("redis_mode", node.mode),
        ("os", facts["os"]),
        ("arch_bits", ARCH_BITS),
        ("monotonic_clock", "POSIX clock_gettime"),
        ("multiplexing_api", facts["multiplexing"]),
        ("atomicvar_api", "c11-builtin"),
        ("gcc_version", "0.0.0"),
        ("process_id", facts["pid"]),
        ("process_supervised", config.supervised if config.supervised != "auto" else "no"),
        ("run_id", node.process.run_id.decode()),
        ("tcp_port", config.port or config.tls_port),
        ("server_time_usec", node.clock.now_us),
        ("uptime_in_seconds", uptime_s),
        ("uptime_in_days", uptime_s // 86400),
        ("hz", config.hz),
        ("configured_hz", config.hz),
        ("lru_clock", node.clock.now_us // 1_000_000 & 0xFFFFFF),
        ("executable", facts["executable"]),
        ("config_file", config.config_file),
        ("io_threads_active", 0),
        *([("shutdown_in_milliseconds", node.shutdown.remaining_ms)] if node.shutdown.until_us else []),
        *[(f"listener{i}", text) for i, text in enumerate(listeners)],
    ]


def clients(node: Server) -> Lines:
    """Connected clients."""
    ordinary = [
        client
        for client in node.clients.values()
        if not client.flags & (flags.REPLICA | flags.MASTER) or client.flags & flags.MONITOR
    ]
    blocked_keys = sum(len(db.blocked) for db in node.space.databases)
    on_nokey = {
        (client.blocking.db, key)
        for client in node.clients.values()
        if client.blocking is not None and client.blocking.on_nokey
        for key in client.blocking.keys
    }
    timed = sum(client.blocking is not None and bool(client.blocking.timer) for client in node.clients.values())
    return [
        ("connected_clients", len(ordinary)),
        ("cluster_connections", 2 * (len(node.cluster.state.nodes) - 1) if node.cluster is not None else 0),
        ("maxclients", node.config.maxclients),
        ("client_recent_max_input_buffer", max([client.memory().query for client in ordinary], default=0)),
        ("client_recent_max_output_buffer", max([client.memory().output for client in ordinary], default=0)),
        ("blocked_clients", node.waiting.count),
        ("tracking_clients", sum(bool(client.flags & flags.TRACKING) for client in node.clients.values())),
        ("clients_in_timeout_table", timed),
        ("total_blocking_keys", blocked_keys),
        ("total_blocking_keys_on_nokey", len(on_nokey)),
    ]


def memory(node: Server) -> Lines:
    """Memory usage."""
    facts = node.facts()
    used = node.memory.used()
    peak = node.stats.peak_memory_bytes
    extra = node.memory.overhead()
    dataset = max(0, used - extra)
    net = max(1, used - STARTUP_BYTES)
    rss = facts["rss"]
    limit = node.config.maxmemory
    fragmentation = rss / used

    def sized(name: str, size: int) -> Lines:
        return [(name, size), (f"{name}_human", human(size).decode())]

    scripts = node.scripting.memory()
    return [
        *sized("used_memory", used),
        *sized("used_memory_rss", rss),
        *sized("used_memory_peak", peak),
        ("used_memory_peak_perc", f"{used / peak * 100:.2f}%"),
        ("used_memory_overhead", extra),
        ("used_memory_startup", STARTUP_BYTES),
        ("used_memory_dataset", dataset),
        ("used_memory_dataset_perc", f"{dataset / net * 100:.2f}%"),
        ("allocator_allocated", used),
        ("allocator_active", rss),
        ("allocator_resident", rss),
        *sized("total_system_memory", facts["total_memory"]),
        ("used_memory_lua", scripts.vm_eval),
        ("used_memory_vm_eval", scripts.vm_eval),
        ("used_memory_lua_human", human(scripts.vm_eval).decode()),
        ("used_memory_scripts_eval", scripts.scripts),
        ("number_of_cached_scripts", scripts.cached),
        ("number_of_functions", scripts.functions),
        ("number_of_libraries", scripts.libraries),
        ("used_memory_vm_functions", scripts.vm_functions),
        *sized("used_memory_vm_total", scripts.vm_eval + scripts.vm_functions),
        ("used_memory_functions", scripts.function_bytes),
        *sized("used_memory_scripts", scripts.scripts + scripts.function_bytes),
        *sized("maxmemory", limit),
        ("maxmemory_policy", node.config.maxmemory_policy),
        ("allocator_frag_ratio", f"{fragmentation:.2f}"),
        ("allocator_frag_bytes", max(0, rss - used)),
        ("allocator_rss_ratio", "1.00"),
        ("allocator_rss_bytes", 0),
        ("rss_overhead_ratio", "1.00"),
        ("rss_overhead_bytes", 0),
        ("mem_fragmentation_ratio", f"{fragmentation:.2f}"),
        ("mem_fragmentation_bytes", rss - used),
        ("mem_not_counted_for_evict", node.memory.not_counted_for_eviction()),
        ("mem_replication_backlog", node.replication.backlog_bytes),
        ("mem_total_replication_buffers", node.replication.buffer_bytes),
        ("mem_clients_slaves", node.memory.clients_bytes(replicas=True)),
        ("mem_clients_normal", node.memory.clients_bytes()),
        ("mem_cluster_links", node.cluster.bus.memory if node.cluster is not None else 0),
        ("mem_aof_buffer", node.aof.buffer_bytes),
        ("mem_allocator", ALLOCATOR),
        ("active_defrag_running", 0),
        ("lazyfree_pending_objects", 0),
        ("lazyfreed_objects", node.stats.lazyfreed_objects),
    ]


def persistence(node: Server) -> Lines:
    """Snapshots, the append-only file, and loading."""
    return node.persistence.info()


def stats(node: Server) -> Lines:
    """Totals and rates since startup."""
    total, space, rates = node.stats, node.space, node.stats.rates
    calls = sum(stats.calls for stats in node.stats.commands.values())
    return [
        ("total_connections_received", total.connections_received),
        ("total_commands_processed", calls),
        ("instantaneous_ops_per_sec", int(rates.ops)),
        ("total_net_input_bytes", total.net_input_bytes + total.net_repl_input_bytes),
        ("total_net_output_bytes", total.net_output_bytes + total.net_repl_output_bytes),
        ("total_net_repl_input_bytes", total.net_repl_input_bytes),
        ("total_net_repl_output_bytes", total.net_repl_output_bytes),
        ("instantaneous_input_kbps", f"{rates.net_in / 1024:.2f}"),
        ("instantaneous_output_kbps", f"{rates.net_out / 1024:.2f}"),
        ("instantaneous_input_repl_kbps", f"{rates.repl_in / 1024:.2f}"),
        ("instantaneous_output_repl_kbps", f"{rates.repl_out / 1024:.2f}"),
        ("rejected_connections", total.rejected_connections),
        ("sync_full", total.sync_full),
        ("sync_partial_ok", total.sync_partial_ok),
        ("sync_partial_err", total.sync_partial_err),
        ("expired_keys", space.expired_keys),
        ("expired_stale_perc", "0.00"),
        ("expired_time_cap_reached_count", 0),
        ("expire_cycle_cpu_milliseconds", total.expire_cycle_us // 1000),
        ("evicted_keys", total.evicted_keys),
        ("evicted_clients", total.evicted_clients),
        ("total_eviction_exceeded_time", 0),
        ("current_eviction_exceeded_time", 0),
        ("keyspace_hits", space.hits),
        ("keyspace_misses", space.misses),
        ("pubsub_channels", len(node.pubsub.channels)),
        ("pubsub_patterns", len(node.pubsub.patterns)),
        ("pubsubshard_channels", len(node.pubsub.shard_channels)),
        ("latest_fork_usec", total.latest_fork_us),
        ("total_forks", total.forks),
        ("migrate_cached_sockets", node.facts().get("migrate_cached_sockets", 0)),
        ("slave_expires_tracked_keys", len(node.space.own_expiring)),
        ("active_defrag_hits", 0),
        ("active_defrag_misses", 0),
        ("active_defrag_key_hits", 0),
        ("active_defrag_key_misses", 0),
        ("total_active_defrag_time", 0),
        ("current_active_defrag_time", 0),
        ("tracking_total_keys", node.tracking.total_keys),
        ("tracking_total_items", node.tracking.total_items),
        ("tracking_total_prefixes", node.tracking.total_prefixes),
        ("unexpected_error_replies", total.unexpected_error_replies),
        ("total_error_replies", total.total_error_replies),
        ("dump_payload_sanitizations", total.dump_payload_sanitizations),
        ("total_reads_processed", total.reads_processed),
        ("total_writes_processed", total.writes_processed),
        ("io_threaded_reads_processed", 0),
        ("io_threaded_writes_processed", 0),
        ("reply_buffer_shrinks", total.reply_buffer_shrinks),
        ("reply_buffer_expands", total.reply_buffer_expands),
        ("eventloop_cycles", total.rounds),
        ("eventloop_duration_sum", total.active_time_us),
        ("eventloop_duration_cmd_sum", sum(stats.usec for stats in node.stats.commands.values())),
        ("instantaneous_eventloop_cycles_per_sec", int(rates.cycles)),
        ("instantaneous_eventloop_duration_usec", int(rates.duration)),
        ("acl_access_denied_auth", total.acl_access_denied_auth),
        ("acl_access_denied_cmd", total.acl_access_denied_cmd),
        ("acl_access_denied_key", total.acl_access_denied_key),
        ("acl_access_denied_channel", total.acl_access_denied_channel),
    ]


def replication(node: Server) -> Lines:
    """The replication state of the node."""
    return replication_info(node)


def cpu(node: Server) -> Lines:
    """Processor time in seconds."""
    facts = node.facts()
    return [
        ("used_cpu_sys", f"{facts['cpu_sys']:.6f}"),
        ("used_cpu_user", f"{facts['cpu_user']:.6f}"),
        ("used_cpu_sys_children", f"{facts['cpu_sys_children']:.6f}"),
        ("used_cpu_user_children", f"{facts['cpu_user_children']:.6f}"),
        ("used_cpu_sys_main_thread", f"{facts['cpu_sys']:.6f}"),
        ("used_cpu_user_main_thread", f"{facts['cpu_user']:.6f}"),
    ]


def modules(node: Server) -> Lines:
    """Loaded modules: there are none."""
    return []


def commandstats(node: Server) -> Lines:
    """Calls of every command that was used, and their durations."""
    lines: Lines = []
    for name, stats in node.stats.commands.items():
        calls, usec = stats.calls, stats.usec
        if not calls and not stats.rejected and not stats.failed:
            continue
        each = usec / calls if calls else 0.0
        lines.append(
            (
                f"cmdstat_{_safe(name)}",
                f"calls={calls},usec={usec},usec_per_call={each:.2f},rejected_calls={stats.rejected},"
                f"failed_calls={stats.failed}",
            )
        )
    return lines


def errorstats(node: Server) -> Lines:
    """The number of error replies by error code."""
    return [(f"errorstat_{_safe(code)}", f"count={count}") for code, count in sorted(node.stats.errors.items())]


def _safe(name: bytes) -> str:
    return name.decode("utf-8", "replace").translate(str.maketrans("#:\n\r", "____"))


def latencystats(node: Server) -> Lines:
    """Percentiles of the durations of each command in µs."""
    if not node.config.latency_tracking:
        return []
    lines: Lines = []
    percentiles = node.config.latency_tracking_info_percentiles
    for name, stats in node.stats.commands.items():
        histogram = stats.histogram()
        if not histogram:
            continue
        parts = [f"p{percentile:g}={percentile_us(histogram, percentile):.3f}" for percentile in percentiles]
        lines.append((f"latency_percentiles_usec_{_safe(name)}", ",".join(parts)))
    return lines


def percentile_us(histogram: list[tuple[int, int]], percentile: float) -> float:
    """Return a percentile of durations in µs from a histogram of two significant digits."""
    wanted = max(1, round(sum(count for _, count in histogram) * percentile / 100 + 0.5 - 1e-9))
    seen = 0
    for duration, count in histogram:
        seen += count
        if seen >= wanted:
            return highest_equivalent(duration * 1000) / 1000
    return highest_equivalent(histogram[-1][0] * 1000) / 1000


def highest_equivalent(value: int) -> int:
    """Return the largest value that a histogram of two significant digits cannot distinguish from `value`."""
    shift = max(0, value.bit_length() - 8)
    return (((value >> shift) + 1) << shift) - 1


def cluster(node: Server) -> Lines:
    """Whether cluster mode is enabled."""
    return [("cluster_enabled", int(node.conditions.cluster_enabled))]


def debug(node: Server) -> Lines:
    """The time spent in rounds, in µs."""
    total = node.stats
    return [
        ("eventloop_duration_aof_sum", total.aof_time_us),
        ("eventloop_duration_cron_sum", total.cron_time_us),
        ("eventloop_duration_max", total.active_time_max_us),
        ("eventloop_cmd_per_cycle_max", total.calls_per_round_max),
    ]


def keyspace(node: Server) -> Lines:
    """The number of keys in each database."""
    lines: Lines = []
    for db in node.space.databases:
        if len(db):
            lines.append((f"db{db.index}", f"keys={len(db)},expires={len(db.expires)},avg_ttl={db.average_ttl_ms()}"))
    return lines


SECTIONS: dict[str, Section] = {
    "Server": server,
    "Clients": clients,
    "Memory": memory,
    "Persistence": persistence,
    "Stats": stats,
    "Replication": replication,
    "CPU": cpu,
    "Modules": modules,
    "Commandstats": commandstats,
    "Errorstats": errorstats,
    "Latencystats": latencystats,
    "Cluster": cluster,
    "Keyspace": keyspace,
}
_ON_DEMAND: dict[str, Section] = {"Debug": debug}  # shown only if named explicitly
_NOT_BY_DEFAULT = frozenset(("Commandstats", "Latencystats"))


def info(node: Server, names: list[bytes]) -> bytes:
    """Return the text of INFO for the requested sections."""
    return text_of(node, names, SECTIONS, _ON_DEMAND)


def text_of(
    node: Server, names: list[bytes], sections: dict[str, Section], on_demand: dict[str, Section] | None = None
) -> bytes:
    """Return the text of INFO: the requested ones of the given sections."""
    asked = [name.decode("utf-8", "replace").lower() for name in names]
    everything = "everything" in asked or "all" in asked
    default = not asked or "default" in asked
    parts: list[str] = []
    chosen = [
        (title, section)
        for title, section in sections.items()
        if everything or title.lower() in asked or (default and title not in _NOT_BY_DEFAULT)
    ]
    chosen += [(title, section) for title, section in (on_demand or {}).items() if title.lower() in asked]
    for title, section in chosen:
        lines = "".join([f"{name}:{value}\r\n" for name, value in section(node)])
        parts.append(f"# {title}\r\n{lines}")
    return "\r\n".join(parts).encode("utf-8", "surrogateescape")
