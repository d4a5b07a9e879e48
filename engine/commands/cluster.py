"""Cluster commands, on a server that is no cluster's node: each says so.

https://redis.io/docs/latest/commands/?group=cluster
"""

from engine.client import Client
from engine.errors import ReplyError
from engine.resp import Argv, Reply
from engine.table import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE, command, container

DISABLED = b"ERR This instance has cluster support disabled"


def _disabled(ctx: Client, argv: Argv) -> Reply:
    raise ReplyError(DISABLED)


container("CLUSTER", since="3.0.0", group="cluster")
command("ASKING", FAST, acl=("connection",), since="3.0.0", complexity="O(1)")(_disabled)
command(
    "CLUSTER ADDSLOTS slot [slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="3.0.0",
    complexity="O(N) where N is the total number of hash slot arguments",
)(_disabled)
command(
    "CLUSTER ADDSLOTSRANGE start-slot end-slot [start-slot end-slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="7.0.0",
    complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
)(_disabled)
command(
    "CLUSTER BUMPEPOCH",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(1)",
)(_disabled)
command(
    "CLUSTER COUNT-FAILURE-REPORTS node-id",
    ADMIN,
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the number of failure reports",
)(_disabled)
command("CLUSTER COUNTKEYSINSLOT slot", STALE, since="3.0.0", complexity="O(1)")(_disabled)
command(
    "CLUSTER DELSLOTS slot [slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="3.0.0",
    complexity="O(N) where N is the total number of hash slot arguments",
)(_disabled)
command(
    "CLUSTER DELSLOTSRANGE start-slot end-slot [start-slot end-slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="7.0.0",
    complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
)(_disabled)
command("CLUSTER FAILOVER [FORCE | TAKEOVER]", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")(
    _disabled
)
command("CLUSTER FLUSHSLOTS", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")(_disabled)
command("CLUSTER FORGET node-id", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")(_disabled)
command(
    "CLUSTER GETKEYSINSLOT slot count",
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the number of requested keys",
)(_disabled)
command("CLUSTER HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")(_disabled)
command("CLUSTER INFO", STALE, tips=("nondeterministic_output",), since="3.0.0", complexity="O(1)")(_disabled)
command("CLUSTER KEYSLOT key", STALE, since="3.0.0", complexity="O(N) where N is the number of bytes in the key")(
    _disabled
)
command(
    "CLUSTER LINKS",
    STALE,
    tips=("nondeterministic_output",),
    since="7.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
)(_disabled)
command("CLUSTER MEET ip port [cluster-bus-port]", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")(
    _disabled
)
command("CLUSTER MYID", STALE, since="3.0.0", complexity="O(1)")(_disabled)
command("CLUSTER MYSHARDID", STALE, tips=("nondeterministic_output",), since="7.2.0", complexity="O(1)")(_disabled)
command(
    "CLUSTER NODES",
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
)(_disabled)
command(
    "CLUSTER REPLICAS node-id",
    ADMIN,
    STALE,
    tips=("nondeterministic_output",),
    since="5.0.0",
    complexity="O(N) where N is the number of replicas.",
)(_disabled)
command("CLUSTER REPLICATE node-id", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")(_disabled)
command(
    "CLUSTER RESET [HARD | SOFT]",
    ADMIN,
    STALE,
    NOSCRIPT,
    since="3.0.0",
    complexity="O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
)(_disabled)
command("CLUSTER SAVECONFIG", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")(_disabled)
command("CLUSTER SET-CONFIG-EPOCH config-epoch", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")(
    _disabled
)
command(
    "CLUSTER SETSLOT slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="3.0.0",
    complexity="O(1)",
)(_disabled)
command(
    "CLUSTER SHARDS",
    LOADING,
    STALE,
    tips=("nondeterministic_output",),
    since="7.0.0",
    complexity="O(N) where N is the total number of cluster nodes",
)(_disabled)
command(
    "CLUSTER SLAVES node-id",
    ADMIN,
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the number of replicas.",
)(_disabled)
command(
    "CLUSTER SLOTS",
    LOADING,
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
)(_disabled)
command("READONLY", FAST, LOADING, STALE, acl=("connection",), since="3.0.0", complexity="O(1)")(_disabled)
command("READWRITE", FAST, LOADING, STALE, acl=("connection",), since="3.0.0", complexity="O(1)")(_disabled)
