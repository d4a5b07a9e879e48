"""INFO of masters and replicas: what it says, and what follows from it.

What an instance says of itself is believed, but not obeyed: a replica that says that it is a master, or that follows
another one, is put right again after a while, unless a failover wants just that.
"""

import re

from engine.config.kinds import to_str
from engine.sentinel.addresses import AddressError
from engine.sentinel.configuration import ConfigurationFile
from engine.sentinel.directives import c_integer, c_unsigned
from engine.sentinel.failover import Failover
from engine.sentinel.instances import (
    FAILOVER_IN_PROGRESS,
    MASTER_REBOOT,
    O_DOWN,
    PROMOTED,
    RECONF_DONE,
    RECONF_INPROG,
    RECONF_SENT,
    S_DOWN,
    WAIT_PROMOTION,
    DataInstance,
    Master,
    Replica,
)
from engine.sentinel.links import Links
from engine.sentinel.notices import Notices
from engine.sentinel.watched import Watched

ID_DIGITS = 40
REPLICAS_MAX = 4096  # that a master may have; what it says beyond is not believed

BEGINNING = 5
_BEGINNINGS = {"run_id"[:BEGINNING], "slave", "master"[:BEGINNING], "role:", "replica"[:BEGINNING]}
_NEW_REPLICA = re.compile(r"slave\d.*?ip=([^,]*).*?port=([^,]*)")
_OLD_REPLICA = re.compile(r"slave\d[^:]*:([^,]*),([^,]*),")


class Information:
    """What instances say of themselves."""

    def __init__(
        self, watched: Watched, notices: Notices, file: ConfigurationFile, links: Links, failover: Failover
    ) -> None:
        self.settings = watched.settings
        self.watched = watched
        self.notices = notices
        self.file = file
        self.links = links
        self.failover = failover

    def answered(self, instance: DataInstance, reply: object) -> None:
        """A reply to INFO came."""
        if not isinstance(reply, bytes):
            return
        instance.info = reply
        role = self._read(instance, to_str(reply))
        instance.info_refresh_ms = now_ms = self.watched.now_ms
        if role != instance.role_reported:
            instance.role_reported_ms = now_ms
            instance.role_reported = role
            if role == Replica.kind:
                instance.slave_conf_change_ms = now_ms
            self.notices.about(
                "-",
                "+role-change" if role == instance.kind else "-role-change",
                instance,
                f"new reported role is {role or Replica.kind}",
            )
        if not self.settings.tilt and isinstance(instance, Replica):
            if role == Master.kind:
                self._is_master(instance)
            elif role == Replica.kind:
                self._is_replica(instance)

    # --- reading ------------------------------------------------------------------------------------------------

    def _read(self, instance: DataInstance, text: str) -> str:
        """Take over what it says; returns the role."""
        role = ""
        now_ms = self.watched.now_ms
        instance.master_link_down_ms = 0
        for line in text.split("\r\n"):
            if line[:BEGINNING] not in _BEGINNINGS:
                continue
            name, _, value = line.partition(":")
            if name == "run_id" and len(value) >= ID_DIGITS:
                self._has_id(instance, value[:ID_DIGITS])
            elif name.startswith("slave") and name[5:6].isdigit() and isinstance(instance, Master):
                self._has_replica(instance, line)
            elif name == "master_link_down_since_seconds":
                instance.master_link_down_ms = max(-1, c_integer(value)) * 1000
            elif line.startswith("role:master"):
                role = Master.kind
            elif line.startswith("role:slave"):
                role = Replica.kind
            elif role != Replica.kind:
                continue
            elif name == "master_host":
                if value.lower() != instance.slave_master_host.lower():
                    instance.slave_master_host = value
                    instance.slave_conf_change_ms = now_ms
            elif name == "master_port":
                port = c_integer(value)
                if port != instance.slave_master_port:
                    instance.slave_master_port = port
                    instance.slave_conf_change_ms = now_ms
            elif name == "master_link_status":
                instance.slave_master_link_up = value.lower() == "up"
            elif name == "slave_priority":
                instance.slave_priority = c_integer(value)
            elif name == "slave_repl_offset":
                instance.slave_repl_offset = c_unsigned(value)
            elif name == "replica_announced":
                instance.replica_announced = bool(c_integer(value))
        return role

    def _has_id(self, instance: DataInstance, run_id: str) -> None:
        if instance.run_id and instance.run_id != run_id:
            self.notices.about("*", "+reboot", instance)
            if isinstance(instance, Master) and instance.reboot_down_after_ms:
                instance.flags |= MASTER_REBOOT
                instance.reboot_since_ms = self.watched.now_ms
        instance.run_id = run_id

    def _has_replica(self, master: Master, line: str) -> None:
        found = (_NEW_REPLICA if "ip=" in line else _OLD_REPLICA).match(line)
        if found is None or len(master.replicas) >= REPLICAS_MAX:
            return
        host, port = found[1], c_integer(found[2])
        try:
            if self.watched.find_replica(master, host, port) is not None:
                return
        except AddressError:
            pass  # as long as its name does not resolve it is not found
        try:
            replica = self.watched.add_replica(master, host, port)
        except AddressError:
            return
        self.notices.about("*", "+slave", replica)
        self.file.flush()

    # --- acting -------------------------------------------------------------------------------------------------

    def _looks_sane(self, master: Master) -> bool:
        """Tell whether a master is one, by its own words of late, and reached."""
        return (
            master.role_reported == Master.kind
            and not master.flags & (S_DOWN | O_DOWN)
            and self.watched.now_ms - master.info_refresh_ms < self.settings.periods.info_period * 2
        )

    def _is_master(self, replica: Replica) -> None:
        """A replica says that it is a master: promoted, or an old one that came back."""
        master = replica.master
        if replica.flags & PROMOTED:
            if master.flags & FAILOVER_IN_PROGRESS and master.failover_state == WAIT_PROMOTION:
                self.failover.promoted(master, replica)
            return
        wait_ms = self.settings.periods.publish_period * 4  # another Sentinel may know a newer configuration
        if (
            self._looks_sane(master)
            and replica.not_down_for(wait_ms, self.watched.now_ms)
            and self.watched.now_ms - replica.role_reported_ms > wait_ms
            and self.links.send_replicaof(replica, master.address)
        ):
            self.notices.about("*", "+convert-to-slave", replica)

    def _is_replica(self, replica: Replica) -> None:
        """A replica reports its master: reconfigure it if that is not ours."""
        master, addresses = replica.master, self.watched.addresses
        host, port = replica.slave_master_host, replica.slave_master_port
        if (
            (port != master.address.port or not addresses.is_host(master.address, host))
            and self._looks_sane(master)
            and replica.not_down_for(master.failover_timeout_ms, self.watched.now_ms)
            and self.watched.now_ms - replica.slave_conf_change_ms > master.failover_timeout_ms
            and self.links.send_replicaof(replica, master.address)
        ):
            self.notices.about("*", "+fix-slave-config", replica)
        promoted = master.promoted
        if (
            replica.flags & RECONF_SENT
            and promoted is not None
            and host
            and addresses.is_host(promoted.address, host)
            and port == promoted.address.port
        ):
            replica.flags = replica.flags & ~RECONF_SENT | RECONF_INPROG
            self.notices.about("*", "+slave-reconf-inprog", replica)
        if replica.flags & RECONF_INPROG and replica.slave_master_link_up:
            replica.flags = replica.flags & ~RECONF_INPROG | RECONF_DONE
            self.notices.about("*", "+slave-reconf-done", replica)
