"""The state of a client that is a replica. `engine.replication.master` explains the states and changes them."""

WAIT_BGSAVE, SEND_BULK, ONLINE = "wait_bgsave", "send_bulk", "online"


class ReplicaLink:
    """The node's knowledge of a client that is or wants to be its replica."""

    def __init__(self) -> None:
        self.state = ""  # not attached yet
        self.listening_port = 0
        self.announced_ip = ""
        self.capa_eof = False
        self.capa_psync2 = False
        self.rdb_only = False
        self.contents = "rdb"  # the kind of snapshot requested: see `Persistence.chunks`
        self.old_sync = False  # uses SYNC: does not support PSYNC
        self.snapshot = 0  # ID of the snapshot that it waits for; 0: the next one
        self.initial_offset = 0
        self.pending: list[bytes] = []  # the stream since its snapshot, until the replica is online
        self.pending_bytes = 0
        self.ack_offset = 0
        self.aof_offset = 0
        self.ack_time_s = 0
        self.since_s = 0
        self.file: bytes | None = None  # the snapshot being sent (shared by all replicas that receive it)
        self.file_sent = 0
        self.stuck_since_us = 0  # when a replica with unsent output last made progress; 0: nothing is unsent
        self.leaving = ""  # why we disconnect it
