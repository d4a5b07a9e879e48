"""The diagnoses and advice of MEMORY DOCTOR and LATENCY DOCTOR.

Each finding is a condition with its text, in the order of the report; the figures are those of INFO and
of the latency monitor.

https://redis.io/docs/latest/commands/memory-doctor/
https://redis.io/docs/latest/commands/latency-doctor/
"""

from engine.observe.latency import Series
from engine.protocol.version import ALLOCATOR
from engine.server import Server

_MB = 1 << 20

# --- memory -------------------------------------------------------------------------------------------------------

_EMPTY = (
    "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in these "
    "conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be back "
    "to our programming as soon as I finished rebooting.\n"
)
_HEALTHY = (
    "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n"
)
_PEAK = (
    " * Peak memory: In the past this instance used more than 150% the memory that is currently using. The allocator "
    "is normally not able to release memory after a peak, so you can expect to see a big fragmentation ratio, "
    "however this is actually harmless and is only due to the memory peak, and if the Redis instance Resident Set "
    "Size (RSS) is currently bigger than expected, the memory will be used as soon as you fill the Redis instance "
    "with more data. If the memory peak was only occasional and you want to try to reclaim memory, please try the "
    "MEMORY PURGE command, otherwise the only other option is to shutdown and restart the instance.\n\n"
)
_RSS = (
    " * High total RSS: This instance has a memory fragmentation and RSS overhead greater than 1.4 (this means that "
    "the Resident Set Size of the Redis process is much larger than the sum of the logical allocations Redis "
    "performed). This problem is usually due either to a large peak memory (check if there is a peak memory entry "
    "above in the report) or may result from a workload that causes the allocator to fragment memory a lot. If the "
    "problem is a large peak memory, then there is no issue. Otherwise, make sure you are using the Jemalloc "
    "allocator and not the "
    f'default libc malloc. Note: The currently used allocator is "{ALLOCATOR}".\n\n'
)
_FRAGMENTATION = (
    " * High allocator fragmentation: This instance has an allocator external fragmentation greater than 1.1. This "
    "problem is usually due either to a large peak memory (check if there is a peak memory entry above in the "
    "report) or may result from a workload that causes the allocator to fragment memory a lot. You can try enabling "
    "'activedefrag' config option.\n\n"
)
_REPLICAS = (
    " * Big replica buffers: The replica output buffers in this instance are greater than 10MB for each replica (on "
    "average). This likely means that there is some replica instance that is struggling receiving data, either "
    "because it is too slow or because of networking issues. As a result, data piles on the master output buffers. "
    "Please try to identify what replica is not receiving data correctly and why. You can use the INFO output in "
    "order to check the replicas delays and the CLIENT LIST command to check the output buffers of each replica.\n\n"
)
_CLIENTS = (
    " * Big client buffers: The clients output buffers in this instance are greater than 200K per client (on "
    "average). This may result from different causes, like Pub/Sub clients subscribed to channels bot not receiving "
    "data fast enough, so that data piles on the Redis instance output buffer, or clients sending commands with "
    "large replies or very large sequences of commands in the same pipeline. Please use the CLIENT LIST command in "
    "order to investigate the issue if it causes problems in your instance, or to understand better why certain "
    "clients are using a big amount of memory.\n\n"
)
_SCRIPTS = (
    " * Many scripts: There seem to be many cached scripts in this instance (more than 1000). This may be because "
    "scripts are generated and `EVAL`ed, instead of being parameterized (with KEYS and ARGV), `SCRIPT LOAD`ed and "
    "`EVALSHA`ed. Unless `SCRIPT FLUSH` is called periodically, the scripts' caches may end up consuming most of "
    "your memory.\n\n"
)


def memory_report(node: Server) -> bytes:
    """Return the reply of MEMORY DOCTOR."""
    used = node.memory.used()
    if used < 5 * _MB:
        return _EMPTY.encode()
    rss = node.facts()["rss"]
    replicas = len(node.master.replicas)
    normal = max(1, len(node.clients) - replicas)
    findings = (
        (node.stats.peak_memory_bytes > 1.5 * used, _PEAK),
        (rss > 1.4 * used and rss - used > 10 * _MB, _RSS),
        (rss > 1.1 * used and rss - used > 10 * _MB, _FRAGMENTATION),
        (replicas > 0 and node.memory.clients_bytes(replicas=True) > 10 * _MB, _REPLICAS),
        (node.memory.clients_bytes() // normal > 200 * 1024, _CLIENTS),
        (node.scripting.memory().cached > 1000, _SCRIPTS),
    )
    found = [text for holds, text in findings if holds]
    if not found:
        return _HEALTHY.encode()
    head = "Sam, I detected a few issues in this Redis instance memory implants:\n\n"
    return "".join([head, *found, "I'm here to keep you safe, Sam. I want to help you.\n"]).encode()


# --- latency ------------------------------------------------------------------------------------------------------

_DISABLED = (
    "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG "
    "SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep space mission "
    "I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n"
)
_NO_SPIKE = (
    "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. I "
    "honestly think you ought to sit down calmly, take a stress pill, and think things over.\n"
)
_NO_ADVICE = (
    "\nWhile there are latency events logged, I'm not able to suggest any easy fix. Please use the Redis community "
    "to get some help, providing this report in your help request.\n"
)

# Advice by name, in the order of the report; {limit_us} is the monitor's threshold.
_ADVICES = {
    "better-vm": "- If you are using a virtual machine, consider upgrading it with a faster one using a hypervisior "
    "that provides less latency during fork() calls. Xen is known to have poor fork() performance. Even in the "
    "context of the same VM provider, certain kinds of instances can execute fork faster than others.\n",
    "slowlog-enabled": "- There are latency issues with potentially slow commands you are using. Try to enable the "
    "Slow Log Redis feature using the command 'CONFIG SET slowlog-log-slower-than {limit_us}'. If the Slow log is "
    "disabled Redis is not able to log slow commands execution for you.\n",
    "slowlog-tuning": "- Your current Slow Log configuration only logs events that are slower than your configured "
    "latency monitor threshold. Please use 'CONFIG SET slowlog-log-slower-than {limit_us}'.\n",
    "slowlog-inspect": "- Check your Slow Log to understand what are the commands you are running which are too slow "
    "to execute. Please check https://redis.io/commands/slowlog for more information.\n",
    "scheduler": "- The system is slow to execute Redis code paths not containing system calls. This usually means "
    "the system does not provide Redis CPU time to run for long periods. You should try to:\n"
    "  1) Lower the system load.\n"
    "  2) Use a computer / VM just for Redis if you are running other software in the same system.\n"
    '  3) Check if you have a "noisy neighbour" problem.\n'
    "  4) Check with 'redis-cli --intrinsic-latency 100' what is the intrinsic latency in your system.\n"
    "  5) Check if the problem is allocator-related by recompiling Redis with MALLOC=libc, if you are using "
    "Jemalloc. However this may create fragmentation problems.\n",
    "local-disk": "- It is strongly advised to use local disks for persistence, especially if you are using AOF. "
    "Remote disks provided by platform-as-a-service providers are known to be slow.\n",
    "ssd": "- SSD disks are able to reduce fsync latency, and total time needed for snapshotting and AOF log "
    "rewriting (resulting in smaller memory usage). With extremely high write load SSD disks can be a good option. "
    "However Redis should perform reasonably with high load using normal disks. Use this advice as a last resort.\n",
    "data-writeback": "- Mounting ext3/4 filesystems with data=writeback can provide a performance boost compared to "
    "data=ordered, however this mode of operation provides less guarantees, and sometimes it can happen that after a "
    "hard crash the AOF file will have a half-written command at the end and will require to be repaired before "
    "Redis restarts.\n",
    "disk-contention": "- Try to lower the disk contention. This is often caused by other disk intensive processes "
    "running in the same computer (including other Redis instances).\n",
    "no-appendfsync": "- Assuming from the point of view of data safety this is viable in your environment, you "
    "could try to enable the 'no-appendfsync-on-rewrite' option, so that fsync will not be performed while there is "
    "a child rewriting the AOF file or producing an RDB file (the moment where there is high disk contention).\n",
    "relax-fsync": "- Your fsync policy is set to 'always'. It is very hard to get good performances with such a "
    "setup, if possible try to relax the fsync policy to 'onesec'.\n",
    "write-load": "- Latency during the AOF atomic rename operation or when the final difference is flushed to the "
    "AOF file at the end of the rewrite, sometimes is caused by very high write load, causing the AOF buffer to get "
    "very large. If possible try to send less commands to accomplish the same work, or use Lua scripts to group "
    "multiple operations into a single EVALSHA call.\n",
    "hz": "- In order to make the Redis keys expiring process more incremental, try to set the 'hz' configuration "
    "parameter to 100 using 'CONFIG SET hz 100'.\n",
    "large-objects": "- Deleting, expiring or evicting (because of maxmemory policy) large objects is a blocking "
    "operation. If you have very large objects that are often deleted, expired, or evicted, try to fragment those "
    "objects into multiple smaller objects.\n",
    "mass-eviction": "- Sudden changes to the 'maxmemory' setting via 'CONFIG SET', or allocation of large objects "
    "via sets or sorted sets intersections, STORE option of SORT, Redis Cluster large keys migrations (RESTORE "
    "command), may create sudden memory pressure forcing the server to block trying to evict keys. \n",
}
_DISK = ("local-disk", "disk-contention", "ssd", "data-writeback")
_OF_EVENT = {
    b"command": ("slowlog-inspect", "large-objects"),
    b"fast-command": ("scheduler",),
    b"aof-write-pending-fsync": _DISK,
    b"aof-write-active-child": ("no-appendfsync", "data-writeback", "ssd"),
    b"aof-write-alone": ("local-disk", "data-writeback", "ssd"),
    b"aof-fsync-always": ("relax-fsync",),
    b"aof-fstat": ("disk-contention", "local-disk"),
    b"rdb-unlink-temp-file": ("disk-contention", "local-disk"),
    b"aof-rewrite-diff-write": ("write-load", "data-writeback", "ssd", "local-disk"),
    b"aof-rename": ("write-load", "data-writeback", "ssd", "local-disk"),
    b"expire-cycle": ("hz", "large-objects"),
    b"eviction-del": ("large-objects",),
    b"eviction-cycle": ("mass-eviction",),
}


def latency_report(node: Server) -> bytes:
    """Return the reply of LATENCY DOCTOR."""
    config, events = node.config, node.core.latency.events
    limit_ms = config.latency_monitor_threshold
    if not events:
        return (_NO_SPIKE if limit_ms else _DISABLED).encode()
    report = [
        "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do you "
        "Dave?\n\n"
    ]
    advised: dict[str, None] = {}
    for number, (name, series) in enumerate(events.items(), 1):
        report.append(f"{number}. {name.decode()}: {_described(series, node.clock.now_us // 1_000_000)}")
        advised |= dict.fromkeys(_OF_EVENT.get(name, ()))
        if name == b"fork":
            rate = node.stats.fork_rate
            quality = next((word for below, word in _FORKS if rate < below), "excellent")
            report.append(f" Fork rate is {rate:.2f} GB/sec ({quality}).")
            if quality in ("terrible", "poor"):
                advised["better-vm"] = None
        if name == b"command" and config.slowlog_log_slower_than < 0:
            advised["slowlog-enabled"] = None
        elif name == b"command" and config.slowlog_log_slower_than // 1000 > limit_ms:
            advised["slowlog-tuning"] = None
        report.append("\n")
    if not advised:
        return "".join([*report, _NO_ADVICE]).encode()
    report.append("\nI have a few advices for you:\n\n")
    moot = {"relax-fsync": config.appendfsync != "always", "hz": config.hz >= 100}
    report += [
        text.replace("{limit_us}", str(limit_ms * 1000))
        for name_, text in _ADVICES.items()
        if name_ in advised and not moot.get(name_)
    ]
    return "".join(report).encode()


_FORKS = ((10, "terrible"), (25, "poor"), (100, "good"))


def _described(series: Series, now_s: int) -> str:
    values = [sample.latency_ms for sample in series.samples]
    count = len(values)
    mean = sum(values) // count
    deviation = sum(abs(value - mean) for value in values) // count
    period_s = (now_s - min(sample.time_s for sample in series.samples)) or 1
    return (
        f"{count} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period_s / count:.2f} "
        f"sec). Worst all time event {series.max_ms}ms."
    )
