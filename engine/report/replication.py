"""The replication state of a node: ROLE and INFO replication.

https://redis.io/docs/latest/commands/role/
"""

from typing import Any

from engine.clients.client import Client
from engine.clients.replica_link import ONLINE, ReplicaLink
from engine.replication.replica import REPL_STATE_CONNECTED, REPL_STATE_TRANSFER
from engine.server import Server


def role(node: Server) -> list[Any]:
    """Return the reply of ROLE."""
    master = node.config.replicaof
    if master is None:
        replicas = [
            [_ip(client, link).encode(), b"%d" % link.listening_port, b"%d" % link.ack_offset]
            for client, link in _online(node)
        ]
        return [b"master", node.replication.offset, replicas]
    offset = node.replication.offset if node.replica.state == REPL_STATE_CONNECTED else -1
    return [b"slave", master.host.encode(), master.port, node.replica.link_state.encode(), offset]


def _online(node: Server) -> list[tuple[Client, ReplicaLink]]:
    return [(client, link) for client, link in node.replication.links() if link.state == ONLINE]


def _ip(client: Client, link: ReplicaLink) -> str:
    return link.announced_ip or client.peer.rsplit(":", 1)[0].strip("[]")


def info(node: Server) -> list[tuple[str, Any]]:
    """Return the lines of INFO replication."""
    config = node.config
    lines: list[tuple[str, Any]] = [("role", "slave" if node.config.is_replica else "master")]
    if node.config.is_replica:
        lines += _replica_info(node)
    if config.min_replicas_to_write and config.min_replicas_max_lag:
        replicas = [("min_slaves_good_slaves", node.master.good_replicas())]
    else:
        replicas = []
    lines += [("connected_slaves", len(node.master.replicas)), *replicas]
    now_s = node.clock.monotonic_us // 1_000_000
    for i, client in enumerate(node.master.replicas.values()):
        link = client.replica
        assert link is not None
        lag = now_s - link.ack_time_s if link.state == ONLINE else 0
        lines.append(
            (
                f"slave{i}",
                f"ip={_ip(client, link)},port={link.listening_port},state={link.state},"
                f"offset={link.ack_offset},lag={lag}",
            )
        )
    backlog = node.replication.backlog
    return [
        *lines,
        ("master_failover_state", node.failover.state),
        ("master_replid", node.replication.replid.decode()),
        ("master_replid2", node.replication.replid2.decode()),
        ("master_repl_offset", node.replication.offset),
        ("second_repl_offset", node.replication.second_replid_offset),
        ("repl_backlog_active", int(backlog is not None)),
        ("repl_backlog_size", config.repl_backlog_size),
        ("repl_backlog_first_byte_offset", backlog.first_offset if backlog is not None else 0),
        ("repl_backlog_histlen", node.replication.backlog_bytes),
    ]


def _replica_info(node: Server) -> list[tuple[str, Any]]:
    replica, config = node.replica, node.config
    master = config.replicaof
    assert master is not None
    up = replica.state == REPL_STATE_CONNECTED
    idle_s = (node.clock.monotonic_us - replica.last_io_us) // 1_000_000
    lines: list[tuple[str, Any]] = [
        ("master_host", master.host),
        ("master_port", master.port),
        ("master_link_status", "up" if up else "down"),
        ("master_last_io_seconds_ago", idle_s if up else -1),
        ("master_sync_in_progress", int(replica.state == REPL_STATE_TRANSFER)),
        ("slave_read_repl_offset", node.replication.offset + (replica.stream.read_bytes if replica.stream else 0)),
        ("slave_repl_offset", node.replication.offset),
    ]
    if replica.transfer is not None:
        total, read = replica.transfer.size_bytes, replica.transfer.read_bytes
        percent = f"{read * 100 / total:.2f}" if total > 0 else "0.00"
        lines += [
            ("master_sync_total_bytes", total),
            ("master_sync_read_bytes", read),
            ("master_sync_left_bytes", total - read),
            ("master_sync_perc", percent),
            ("master_sync_last_io_seconds_ago", idle_s),
        ]
    if not up:
        lines.append(
            ("master_link_down_since_seconds", (node.clock.monotonic_us - replica.down_since_us) // 1_000_000)
        )
    return [
        *lines,
        ("slave_priority", config.replica_priority),
        ("slave_read_only", int(config.replica_read_only)),
        ("replica_announced", int(config.replica_announced)),
    ]
