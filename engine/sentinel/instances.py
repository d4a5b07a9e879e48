"""What a Sentinel watches: masters, their replicas, and the other Sentinels that watch the same master.

All times are monotonic, in ms; `LONG_AGO` stands for never.
"""

from typing import ClassVar

from engine.links import LinkHandler
from engine.sentinel.addresses import Address

LONG_AGO = -(1 << 60)

# Flags of instances, in the order in which SENTINEL MASTER shows them around the instance's kind.
S_DOWN = 1 << 0  # subjectively down: this Sentinel does not reach it
O_DOWN = 1 << 1  # objectively down: enough Sentinels agree
MASTER_DOWN = 1 << 2  # of a Sentinel: it says that the master is down
FAILOVER_IN_PROGRESS = 1 << 3
PROMOTED = 1 << 4  # the replica that was chosen
RECONF_SENT = 1 << 5  # of a replica: told to follow the new master …
RECONF_INPROG = 1 << 6  # … follows it …
RECONF_DONE = 1 << 7  # … and has its data
FORCE_FAILOVER = 1 << 8  # requested by SENTINEL FAILOVER: without votes
SCRIPT_KILL_SENT = 1 << 9
MASTER_REBOOT = 1 << 10  # it has restarted and does not answer yet

_DOWN_NAMES = {S_DOWN: "s_down", O_DOWN: "o_down"}
_OTHER_NAMES = {
    MASTER_DOWN: "master_down",
    FAILOVER_IN_PROGRESS: "failover_in_progress",
    PROMOTED: "promoted",
    RECONF_SENT: "reconf_sent",
    RECONF_INPROG: "reconf_inprog",
    RECONF_DONE: "reconf_done",
    FORCE_FAILOVER: "force_failover",
    SCRIPT_KILL_SENT: "script_kill_sent",
    MASTER_REBOOT: "master_reboot",
}

# States of a failover.
NONE = "none"
WAIT_START = "wait_start"
SELECT_SLAVE = "select_slave"
SEND_SLAVEOF_NOONE = "send_slaveof_noone"
WAIT_PROMOTION = "wait_promotion"
RECONF_SLAVES = "reconf_slaves"
UPDATE_CONFIG = "update_config"


class InstanceLink:
    """The connections to an instance, and since when it has not answered.

    Instances of several masters that are the same Sentinel share one: it is pinged once, and down for all.
    """

    def __init__(self, now_ms: int) -> None:
        self.users = 1
        self.disconnected = True  # one of the connections is missing
        self.pending_commands = 0
        self.commands: LinkHandler | None = None
        self.pubsub: LinkHandler | None = None
        self.commands_since_ms = 0
        self.pubsub_since_ms = 0
        self.heard_ms = LONG_AGO  # when something last came on the pub/sub connection
        self.waiting_since_ms: int | None = now_ms  # for the reply to a ping; None: it has come
        self.last_ping_ms = LONG_AGO
        self.last_available_ms = now_ms  # of the last reply to a ping that an instance gives which is well
        self.last_pong_ms = now_ms  # of the last reply to a ping
        self.last_attempt_ms = LONG_AGO  # of connecting


class Instance:
    """An instance; see the subclasses for the three kinds."""

    kind: ClassVar[str]
    master: "Master"

    def __init__(self, name: str, address: Address, down_after_ms: int, now_ms: int) -> None:
        self.name = name
        self.address = address
        self.link = InstanceLink(now_ms)
        self.flags = 0
        self.run_id = ""
        self.down_after_ms = down_after_ms
        self.last_hello_sent_ms = now_ms
        self.s_down_since_ms = LONG_AGO
        self.o_down_since_ms = LONG_AGO
        self.released = False  # nothing more is to be done with it

    def describe_flags(self) -> str:
        """Return the flags as SENTINEL MASTER shows them."""
        names = [name for flag, name in _DOWN_NAMES.items() if self.flags & flag]
        names.append(self.kind)
        if self.link.disconnected:
            names.append("disconnected")
        names += [name for flag, name in _OTHER_NAMES.items() if self.flags & flag]
        return ",".join(names)

    def not_down_for(self, period_ms: int, now_ms: int) -> bool:
        """Tell whether it has not begun to be down within a period."""
        return now_ms - max(self.s_down_since_ms, self.o_down_since_ms) > period_ms


class DataInstance(Instance):
    """A master or a replica: what holds data, and tells of itself in INFO."""

    def __init__(self, name: str, address: Address, down_after_ms: int, now_ms: int) -> None:
        super().__init__(name, address, down_after_ms, now_ms)
        self.info = b""  # the last
        self.info_refresh_ms = LONG_AGO
        self.role_reported = self.kind
        self.role_reported_ms = now_ms
        self.master_link_down_ms = 0  # for how long, as it says
        self.slave_master_host = ""
        self.slave_master_port = 0
        self.slave_master_link_up = False
        self.slave_conf_change_ms = now_ms
        self.slave_priority = 100
        self.slave_repl_offset = 0
        self.replica_announced = True


class Master(DataInstance):
    """A master that is watched, with everything that is known of its group."""

    kind = "master"

    def __init__(self, name: str, address: Address, quorum: int, down_after_ms: int, now_ms: int) -> None:
        super().__init__(name, address, down_after_ms, now_ms)
        self.master = self
        self.replicas: dict[str, Replica] = {}
        self.sentinels: dict[str, Peer] = {}
        self.quorum = quorum
        self.parallel_syncs = 1
        self.user = ""
        self.password = ""
        self.renamed: dict[str, tuple[str, str]] = {}  # commands: usual name and new one, by the usual in lower case
        self.notification_script = ""
        self.client_reconfig_script = ""
        self.reboot_down_after_ms = 0
        self.reboot_since_ms = LONG_AGO
        self.config_epoch = 0
        self.leader = ""  # for whom this Sentinel has voted
        self.leader_epoch = 0  # and in which epoch
        self.refused = ("", 0)  # the last Sentinel that was refused a vote, and the epoch
        self.failover_epoch = 0
        self.failover_state = NONE
        self.failover_state_change_ms = LONG_AGO
        self.failover_start_ms = LONG_AGO
        self.failover_timeout_ms = 180_000
        self.failover_delay_logged_ms = 0
        self.promoted: Replica | None = None

    @property
    def current_address(self) -> Address:
        """Where the master is for clients: at the promoted replica as soon as that is a master."""
        if (
            self.flags & FAILOVER_IN_PROGRESS
            and self.promoted is not None
            and self.failover_state in (RECONF_SLAVES, UPDATE_CONFIG)
        ):
            return self.promoted.address
        return self.address


class Replica(DataInstance):
    """A replica of a master that is watched, or what has been one."""

    kind = "slave"

    def __init__(self, name: str, address: Address, master: Master, now_ms: int) -> None:
        super().__init__(name, address, master.down_after_ms, now_ms)
        self.master = master
        self.reconf_sent_ms = LONG_AGO


class Peer(Instance):
    """Another Sentinel, as one that watches a certain master; its name is its ID."""

    kind = "sentinel"

    def __init__(self, name: str, address: Address, master: Master, now_ms: int) -> None:
        super().__init__(name, address, master.down_after_ms, now_ms)
        self.run_id = name
        self.master = master
        self.last_hello_ms = now_ms  # when it last said something
        self.last_answer_ms = now_ms  # to IS-MASTER-DOWN-BY-ADDR
        self.leader = ""  # for whom it says that it has voted
        self.leader_epoch = 0
