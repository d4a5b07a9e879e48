"""What is drawn after a command: the key that it touched, or the part of the server that it is about."""

from collections.abc import Sequence

from tutor.pictures.sets import operands

KEY = "key"
SETS = "sets"
SUBSCRIPTIONS = "pub/sub"
TRANSACTION = "transaction"
SCRIPT = "script"
PERSISTENCE = "persistence"
MEMORY = "memory"
REPLICATION = "replication"
CLIENTS = "clients"
SLOTS = "slots"

# What can be drawn whatever was typed.
SUBJECTS = (SUBSCRIPTIONS, TRANSACTION, PERSISTENCE, MEMORY, REPLICATION, CLIENTS)

# What commands of a group are about, where the command itself does not say more.
GROUPS = {
    **dict.fromkeys(
        ("string", "bitmap", "hyperloglog", "list", "hash", "set", "sorted_set", "geo", "stream", "generic"), KEY
    ),
    "pubsub": SUBSCRIPTIONS,
    "transactions": TRANSACTION,
    "scripting": SCRIPT,
    "connection": CLIENTS,
    "cluster": SLOTS,
    "server": MEMORY,
    "sentinel": REPLICATION,
}

_COMMANDS = {
    **dict.fromkeys((b"save", b"bgsave", b"bgrewriteaof", b"lastsave", b"waitaof"), PERSISTENCE),
    **dict.fromkeys(
        (b"replicaof", b"slaveof", b"role", b"wait", b"psync", b"sync", b"replconf", b"failover"), REPLICATION
    ),
    b"acl": CLIENTS,
    b"monitor": CLIENTS,
}
_WORDS = (
    (("appendonly", "appendfsync", "save", "persistence", "dir", "aof"), PERSISTENCE),
    (("replica", "repl", "slave", "replication"), REPLICATION),
    (("clients", "client", "timeout", "maxclients"), CLIENTS),
    (("cluster",), SLOTS),
)


def subject_of(argv: Sequence[bytes], group: str = "") -> str:
    """Return what to draw after a command of a group (as COMMAND DOCS names it); nothing for an unknown one."""
    word = argv[0].lower() if argv else b""
    if operands(argv):
        return SETS
    if word in _COMMANDS:
        return _COMMANDS[word]
    if word in (b"config", b"info") and len(argv) > 1:
        named = " ".join(each.decode(errors="replace").lower() for each in argv[1:4])
        for words, subject in _WORDS:
            if any(each in named for each in words):
                return subject
    return GROUPS.get(group, "")
