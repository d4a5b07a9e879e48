"""Every directive of redis.conf, declared once, in the order of Redis's own commented redis.conf.

Units are Redis's: sizes in bytes, times in seconds unless a comment says otherwise. An attribute's name is the
directive's with underscores; `config.maxmemory_policy` is `"noeviction"`, `config.appendonly` is `False`.

https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/
"""

from engine.config import checks
from engine.config.kinds import (
    DEBUG,
    DENY_LOADING,
    HIDDEN,
    IMMUTABLE,
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    MULTI_ARG,
    PROTECTED,
    SENSITIVE,
    UINT_MAX,
    ULONG_MAX,
    VOLATILE,
    Bool,
    Choice,
    Choices,
    MemoryOrPercent,
    MemorySize,
    Number,
    Octal,
    Password,
    Text,
)
from engine.config.settings import Settings
from engine.config.special import (
    Bind,
    Dir,
    NotifyKeyspaceEvents,
    OomScoreAdjValues,
    OutputBufferLimits,
    OutputLimit,
    OutputLimits,
    Percentiles,
    ReplicaOf,
    Save,
    SavePoint,
)

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30
PORT_MAX = 65535
SHUTDOWN = "default save nosave now force"
WHO_MAY = "no yes local"


class Config(Settings):
    """The configuration of one server: plain data."""

    def __init__(self) -> None:
        super().__init__()
        self.config_file = ""
        """Absolute path of the file that CONFIG REWRITE writes; empty if there is none."""

        # Contents of the file other than directives with a value.
        self.users: list[list[bytes]] = []  # ACL users: name and rules
        self.renamed_commands: list[tuple[bytes, bytes]] = []  # old and new name; an empty new name removes it
        self.modules: list[list[bytes]] = []  # path and arguments
        self.module_directives: dict[bytes, bytes] = {}

    @property
    def is_replica(self) -> bool:
        """Whether the server is a replica."""
        return self.replicaof is not None

    @property
    def deletion(self) -> bytes:
        """The command that propagates the deletion of an expired key to replicas and to the append-only file."""
        return b"UNLINK" if self.lazyfree_lazy_expire else b"DEL"

    # Network
    bind = Bind(("*", "-::*"))
    bind_source_addr = Text()
    protected_mode = Bool(True)
    enable_protected_configs = Choice(WHO_MAY, "no", IMMUTABLE)
    enable_debug_command = Choice(WHO_MAY, "no", IMMUTABLE)
    enable_module_command = Choice(WHO_MAY, "no", IMMUTABLE)
    port = Number(6379, 0, PORT_MAX)
    tcp_backlog = Number(511, flags=IMMUTABLE)
    unixsocket = Text("", IMMUTABLE)
    unixsocketperm = Octal(0, 0, 0o777, IMMUTABLE, unsigned=True)
    timeout = Number(0)
    tcp_keepalive = Number(300)
    socket_mark_id = Number(0, 0, UINT_MAX, IMMUTABLE, unsigned=True)

    # TLS
    tls_port = Number(0, 0, PORT_MAX)
    tls_cert_file = Text("", VOLATILE)
    tls_key_file = Text("", VOLATILE)
    tls_key_file_pass = Text()
    tls_client_cert_file = Text("", VOLATILE)
    tls_client_key_file = Text("", VOLATILE)
    tls_client_key_file_pass = Text()
    tls_dh_params_file = Text("", VOLATILE)
    tls_ca_cert_file = Text("", VOLATILE)
    tls_ca_cert_dir = Text("", VOLATILE)
    tls_auth_clients = Choice("no yes optional", "yes")
    tls_replication = Bool(False)
    tls_cluster = Bool(False)
    tls_protocols = Text()
    tls_ciphers = Text()
    tls_ciphersuites = Text()
    tls_prefer_server_ciphers = Bool(False)
    tls_session_caching = Bool(True)
    tls_session_cache_size = Number(20480)
    tls_session_cache_timeout = Number(300)

    # General
    daemonize = Bool(False, IMMUTABLE)
    supervised = Choice("upstart systemd auto no", "no", IMMUTABLE)
    pidfile = Text("", IMMUTABLE)
    loglevel = Choice("debug verbose notice warning nothing", "notice")
    logfile = Text("", IMMUTABLE, optional=False)
    syslog_enabled = Bool(False, IMMUTABLE)
    syslog_ident = Text("redis", IMMUTABLE, optional=False)
    syslog_facility = Choice("user local0 local1 local2 local3 local4 local5 local6 local7", "local0", IMMUTABLE)
    crash_log_enabled = Bool(True)
    crash_memcheck_enabled = Bool(True)
    use_exit_on_panic = Bool(False, HIDDEN)
    databases = Number(16, 1, flags=IMMUTABLE)
    always_show_logo = Bool(False, IMMUTABLE)
    set_proc_title = Bool(True, IMMUTABLE)
    proc_title_template = Text("{title} {listen-addr} {server-mode}", check=checks.title_template, optional=False)
    locale_collate = Text(optional=False)
    ignore_warnings = Text(optional=False)
    watchdog_period = Number(0, flags=HIDDEN)  # ms

    # Snapshots
    save = Save((SavePoint(3600, 1), SavePoint(300, 100), SavePoint(60, 10000)), MULTI_ARG)
    stop_writes_on_bgsave_error = Bool(True)
    rdbcompression = Bool(True)
    rdbchecksum = Bool(True, IMMUTABLE)
    sanitize_dump_payload = Choice("no yes clients", "no", DEBUG)
    dbfilename = Text("dump.rdb", PROTECTED, check=checks.db_filename, optional=False)
    rdb_del_sync_files = Bool(False)
    rdb_save_incremental_fsync = Bool(True)
    rdb_key_save_delay = Number(0, INT_MIN, INT_MAX, HIDDEN)  # µs per key
    key_load_delay = Number(0, INT_MIN, INT_MAX, HIDDEN)  # µs per key
    loading_process_events_interval_bytes = Number(2 * MB, 1024, INT_MAX, HIDDEN)
    dir = Dir("", PROTECTED | DENY_LOADING)

    # Replication
    replicaof = ReplicaOf(None, IMMUTABLE | MULTI_ARG, "slaveof")
    masterauth = Password(b"", SENSITIVE)
    masteruser = Text("", SENSITIVE)
    replica_serve_stale_data = Bool(True, alias="slave-serve-stale-data")
    replica_read_only = Bool(True, DEBUG, "slave-read-only")
    repl_diskless_sync = Bool(True, DEBUG)
    repl_diskless_sync_delay = Number(5)
    repl_diskless_sync_max_replicas = Number(0)
    repl_diskless_load = Choice("disabled on-empty-db swapdb", "disabled", DEBUG | DENY_LOADING)
    repl_ping_replica_period = Number(10, 1, alias="repl-ping-slave-period")
    repl_timeout = Number(60, 1)
    repl_disable_tcp_nodelay = Bool(False)
    repl_backlog_size = MemorySize(MB, 1, LONG_MAX)
    repl_backlog_ttl = Number(3600, 0, LONG_MAX)
    replica_priority = Number(100, alias="slave-priority")
    propagation_error_behavior = Choice("ignore panic panic-on-replicas", "ignore")
    replica_ignore_disk_write_errors = Bool(False)
    replica_announced = Bool(True)
    min_replicas_to_write = Number(0, alias="min-slaves-to-write")
    min_replicas_max_lag = Number(10, alias="min-slaves-max-lag")
    replica_announce_ip = Text(alias="slave-announce-ip")
    replica_announce_port = Number(0, 0, PORT_MAX, alias="slave-announce-port")

    # Keys tracking, security
    tracking_table_max_keys = Number(1000000, 0, LONG_MAX, unsigned=True)
    acllog_max_len = Number(128, 0, LONG_MAX)
    aclfile = Text("", IMMUTABLE, optional=False)
    requirepass = Password(b"", SENSITIVE)
    acl_pubsub_default = Choice("allchannels resetchannels", "resetchannels")

    # Clients
    maxclients = Number(10000, 1, UINT_MAX, unsigned=True)
    client_output_buffer_limit = OutputBufferLimits(
        OutputLimits(OutputLimit(0, 0, 0), OutputLimit(256 * MB, 64 * MB, 60), OutputLimit(32 * MB, 8 * MB, 60)),
        MULTI_ARG,
    )
    client_query_buffer_limit = MemorySize(GB, MB, LONG_MAX, DEBUG, unsigned=True)
    maxmemory_clients = MemoryOrPercent(0, -100, LONG_MAX)
    proto_max_bulk_len = MemorySize(512 * MB, MB, LONG_MAX, DEBUG)

    # Memory
    maxmemory = MemorySize(0, 0, ULONG_MAX, unsigned=True)
    maxmemory_policy = Choice(
        "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction",
        "noeviction",
    )
    maxmemory_samples = Number(5, 1)
    maxmemory_eviction_tenacity = Number(10, 0, 100)
    replica_ignore_maxmemory = Bool(True, alias="slave-ignore-maxmemory")
    active_expire_effort = Number(1, 1, 10)
    lfu_log_factor = Number(10)
    lfu_decay_time = Number(1)  # minutes

    # Lazy freeing
    lazyfree_lazy_eviction = Bool(False, DEBUG)
    lazyfree_lazy_expire = Bool(False, DEBUG)
    lazyfree_lazy_server_del = Bool(False, DEBUG)
    replica_lazy_flush = Bool(False, alias="slave-lazy-flush")
    lazyfree_lazy_user_del = Bool(False, DEBUG)
    lazyfree_lazy_user_flush = Bool(False, DEBUG)

    # Threads and the kernel
    io_threads = Number(1, 1, 128, DEBUG | IMMUTABLE)
    io_threads_do_reads = Bool(False, DEBUG | IMMUTABLE)
    oom_score_adj = Choice("no yes relative absolute", "no", same={"relative": "yes"})
    oom_score_adj_values = OomScoreAdjValues((0, 200, 800), MULTI_ARG)
    disable_thp = Bool(True, IMMUTABLE)
    server_cpulist = Text("", IMMUTABLE, name="server_cpulist")
    bio_cpulist = Text("", IMMUTABLE, name="bio_cpulist")
    aof_rewrite_cpulist = Text("", IMMUTABLE, name="aof_rewrite_cpulist")
    bgsave_cpulist = Text("", IMMUTABLE, name="bgsave_cpulist")

    # Append-only file
    appendonly = Bool(False, DENY_LOADING)
    appendfilename = Text("appendonly.aof", IMMUTABLE, check=checks.aof_filename, optional=False)
    appenddirname = Text("appendonlydir", IMMUTABLE, check=checks.aof_dirname, optional=False)
    appendfsync = Choice("everysec always no", "everysec")
    no_appendfsync_on_rewrite = Bool(False)
    auto_aof_rewrite_percentage = Number(100)
    auto_aof_rewrite_min_size = MemorySize(64 * MB, 0, LONG_MAX)
    aof_load_truncated = Bool(True)
    aof_use_rdb_preamble = Bool(True)
    aof_timestamp_enabled = Bool(False)
    aof_rewrite_incremental_fsync = Bool(True)
    aof_disable_auto_gc = Bool(False, HIDDEN)

    # Shutdown
    shutdown_timeout = Number(10)
    shutdown_on_sigint = Choices(SHUTDOWN, check=checks.shutdown_options)
    shutdown_on_sigterm = Choices(SHUTDOWN, check=checks.shutdown_options)

    # Scripts
    busy_reply_threshold = Number(5000, 0, LONG_MAX, alias="lua-time-limit")  # ms

    # Cluster
    cluster_enabled = Bool(False, IMMUTABLE)
    cluster_config_file = Text("nodes.conf", IMMUTABLE, optional=False)
    cluster_node_timeout = Number(15000, 0, LONG_MAX)  # ms
    cluster_ping_interval = Number(0, 0, LONG_MAX, HIDDEN)
    cluster_port = Number(0, 0, PORT_MAX, IMMUTABLE)
    cluster_replica_validity_factor = Number(10, alias="cluster-slave-validity-factor")
    cluster_migration_barrier = Number(1)
    cluster_allow_replica_migration = Bool(True)
    cluster_require_full_coverage = Bool(True)
    cluster_replica_no_failover = Bool(False, alias="cluster-slave-no-failover")
    cluster_allow_reads_when_down = Bool(False)
    cluster_allow_pubsubshard_when_down = Bool(True)
    cluster_link_sendbuf_limit = MemorySize(0, 0, ULONG_MAX, unsigned=True)
    cluster_announce_hostname = Text(check=checks.host_name)
    cluster_announce_human_nodename = Text(check=checks.node_name, whole=True)
    cluster_preferred_endpoint_type = Choice("ip hostname unknown-endpoint", "ip")
    cluster_announce_ip = Text()
    cluster_announce_port = Number(0, 0, PORT_MAX)
    cluster_announce_tls_port = Number(0, 0, PORT_MAX)
    cluster_announce_bus_port = Number(0, 0, PORT_MAX)

    # Slow commands and latency
    slowlog_log_slower_than = Number(10000, -1, LONG_MAX)  # µs
    slowlog_max_len = Number(128, 0, LONG_MAX)
    latency_monitor_threshold = Number(0, 0, LONG_MAX)  # ms
    latency_tracking = Bool(True)
    latency_tracking_info_percentiles = Percentiles((50.0, 99.0, 99.9), MULTI_ARG)

    # Keyspace notifications
    notify_keyspace_events = NotifyKeyspaceEvents(0)

    # Encodings
    hash_max_listpack_entries = Number(512, 0, LONG_MAX, alias="hash-max-ziplist-entries", unsigned=True)
    hash_max_listpack_value = MemorySize(64, 0, LONG_MAX, alias="hash-max-ziplist-value", unsigned=True)
    list_max_listpack_size = Number(-2, INT_MIN, alias="list-max-ziplist-size")
    list_compress_depth = Number(0, flags=DEBUG)
    set_max_intset_entries = Number(512, 0, LONG_MAX, unsigned=True)
    set_max_listpack_entries = Number(128, 0, LONG_MAX, unsigned=True)
    set_max_listpack_value = Number(64, 0, LONG_MAX, unsigned=True)
    zset_max_listpack_entries = Number(128, 0, LONG_MAX, alias="zset-max-ziplist-entries", unsigned=True)
    zset_max_listpack_value = MemorySize(64, 0, LONG_MAX, alias="zset-max-ziplist-value", unsigned=True)
    hll_sparse_max_bytes = MemorySize(3000, 0, LONG_MAX, unsigned=True)
    stream_node_max_bytes = MemorySize(4096, 0, LONG_MAX, unsigned=True)
    stream_node_max_entries = Number(100, 0, LONG_MAX)

    # Background work
    activerehashing = Bool(True)
    hz = Number(10)  # clamped to 1 … 500 by `engine.config.reading.sane_hz`
    dynamic_hz = Bool(True)
    jemalloc_bg_thread = Bool(True)
    activedefrag = Bool(False, DEBUG, check=checks.active_defrag)
    active_defrag_ignore_bytes = MemorySize(100 * MB, 1, LONG_MAX, unsigned=True)
    active_defrag_threshold_lower = Number(10, 0, 1000)
    active_defrag_threshold_upper = Number(100, 0, 1000)
    active_defrag_cycle_min = Number(1, 1, 99)
    active_defrag_cycle_max = Number(25, 1, 99)
    active_defrag_max_scan_fields = Number(1000, 1, LONG_MAX)
