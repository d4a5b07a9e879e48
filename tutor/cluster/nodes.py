"""The nodes of a cluster as redis-cli --cluster sees them: each is asked what it knows of itself."""

from collections.abc import Iterator
from typing import Any

from engine.keyspace.slots import SLOTS
from engine.protocol.errors import ReplyError
from tutor.client import Connection, LinkError, TLSError
from tutor.cluster.options import ClusterOptions
from tutor.cluster.surroundings import ClusterSurroundings
from tutor.prompt import to_text
from tutor.prompt.state import c_int, c_integer

BUS_PORT_OFFSET = 10000
BAD_HOST = (
    "[ERR] Invalid arguments: you need to pass either a valid address (ie. 120.0.0.1:7000) or space separated IP "
    "and port (ie. 120.0.0.1 7000)\n"
)
_COLORS = {"info": "29;1m", "warn": "33;1m", "err": "31;1m", "ok": "32;1m"}
NOT_EMPTY = (
    "is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or contains some key in "
    "database 0."
)


class Member:
    """A node, and what it says about itself."""

    def __init__(self, host: str, port: int, bus_port: int = 0) -> None:
        self.host = host
        self.port = port
        self.bus_port = bus_port or port + BUS_PORT_OFFSET
        self.connection: Connection | None = None
        self.name = ""
        self.epoch = 0
        self.flags: list[str] = []  # as it says itself
        self.marks: set[str] = set()  # flags that it or the first node that was asked gave it
        self.replicates: str | None = None  # the ID of its master
        self.dirty = False  # what was decided about it is not known to it yet
        self.slots = bytearray(SLOTS)
        self.slots_count = 0
        self.replicas_count = 0
        self.friends: list[Member] = []
        self.migrating: list[tuple[str, str]] = []  # slot, and the ID of the other end
        self.importing: list[tuple[str, str]] = []
        self.weight = 1.0
        self.balance = 0

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{self.host}:{self.port}"

    @property
    def is_replica(self) -> bool:
        """Whether it, or the first node that was asked, says that it is a replica."""
        return "slave" in self.marks

    @property
    def serves_nothing(self) -> bool:
        """Whether it is a replica, or is going to be one."""
        return self.is_replica or self.replicates is not None

    def call(self, *words: bytes | str | int) -> Any:
        """Give a command; returns its reply, None if the connection is lost."""
        if self.connection is None:
            return None
        try:
            return self.connection.call(*words)
        except LinkError:
            return None

    def reset_slots(self) -> None:
        """Forget its slots."""
        self.slots = bytearray(SLOTS)
        self.slots_count = 0

    def slots_text(self) -> str:
        """Return its slots as ranges in brackets."""
        return ranges_text(self.slots)

    def describe(self, indent: int = 0) -> str:
        """Return it as it is listed."""
        spaces = " " * indent
        if self.dirty and self.replicates is not None:
            text = f"{spaces}S: {self.name} {self.address}"
        else:
            flags = ",".join(flag for flag in self.flags if flag != "myself")
            role = "S" if self.is_replica else "M"
            text = f"{spaces}{role}: {self.name} {self.address}\n"
            text += f"{spaces}   slots:{self.slots_text()} ({self.slots_count} slots) {flags}"
        if self.replicates is not None:
            text += f"\n{spaces}   replicates {self.replicates}"
        elif self.replicas_count:
            text += f"\n{spaces}   {self.replicas_count} additional replica(s)"
        return text


def ranges_text(slots: bytearray) -> str:
    """Return slots as ranges in brackets: [0-5460],[6000]."""
    texts = []
    end = 0
    while (begin := slots.find(1, end)) >= 0:
        end = slots.find(0, begin)
        end = end if end >= 0 else len(slots)
        texts.append(f"[{begin}]" if end == begin + 1 else f"[{begin}-{end - 1}]")
    return ",".join(texts)


def parse_address(text: str) -> tuple[str, int, int] | None:
    """Return host, port and bus port (0: not given) of `host:port@bus`; None if it is no address."""
    address, at, bus = text.rpartition("@")
    host, colon, port = (address if at else text).rpartition(":")
    return (host, c_int(port), c_int(bus) if at else 0) if colon else None


def host_of(args: list[str]) -> tuple[str, int] | None:
    """Return host and port that `host:port`, or `host` and `port`, mean; None if nothing."""
    if len(args) == 1:
        found = parse_address(args[0])
        host, port = found[:2] if found else ("", 0)
    else:
        host, port = args[0], c_int(args[1])
    return (host, port) if host and port else None


def info_field(info: str, name: str) -> int:
    """Return a number of INFO or CLUSTER INFO; 0 if it is not there."""
    _, found, rest = info.partition(f"{name}:")
    return c_integer(rest.split("\r", 1)[0]) if found else 0


class Manager:
    """The nodes of the cluster that is worked on, and what went wrong."""

    def __init__(self, options: ClusterOptions, around: ClusterSurroundings) -> None:
        self.options = options
        self.around = around
        self.nodes: list[Member] = []
        self.errors: list[str] = []
        self.unreachable_masters = 0

    # --- output -------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a line."""
        self.around.out(text + "\n")

    def log(self, level: str, text: str) -> None:
        """Print text of a level: info, warn, err or ok."""
        self.around.out(f"\033[{_COLORS[level]}{text}\033[0m" if self.around.colors else text)

    def info(self, text: str) -> None:
        """Print a line that tells what comes next."""
        self.log("info", text + "\n")

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.log("warn", text + "\n")

    def error(self, text: str) -> None:
        """Print an error."""
        self.log("err", text + "\n")

    def ok(self, text: str) -> None:
        """Print that something is well."""
        self.log("ok", text + "\n")

    def fault(self, text: str) -> None:
        """Print an error, and keep it: it stops what needs a sound cluster."""
        self.errors.append(text)
        self.error(text)

    def confirm(self, question: str, *, even_so: bool = False) -> bool:
        """Ask a question; `--cluster-yes` answers it, unless it is to be asked even so."""
        if not even_so and self.options.yes:
            return True
        self.around.out(f"{question} (type 'yes' to accept): ")
        return self.around.read(4)[:3] == b"yes"

    def failed(self, node: Member, reply: Any, quiet: bool = False) -> bool:
        """Tell whether a reply is an error, or missing. An error is printed unless it is to be quiet."""
        if isinstance(reply, ReplyError):
            if not quiet:
                self.print_reply_error(node, to_text(reply.text))
            return True
        return reply is None

    def print_reply_error(self, node: Member, text: str) -> None:
        """Print what a node has replied."""
        self.error(f"Node {node.address} replied with error:\n{text}")

    # --- nodes --------------------------------------------------------------------------------------------------

    def masters(self) -> Iterator[Member]:
        """Yield the nodes that do not say that they are replicas."""
        return (node for node in self.nodes if not node.is_replica)

    def by_name(self, name: str) -> Member | None:
        """Return the node with an ID."""
        return next((node for node in self.nodes if node.name and node.name == name.lower()), None)

    def by_abbreviation(self, name: str) -> Member | None:
        """Return the node whose ID begins so."""
        return next((node for node in self.nodes if node.name and node.name.startswith(name.lower())), None)

    def connect(self, node: Member) -> bool:
        """Connect to a node, and authenticate."""
        try:
            node.connection = self.around.connect(node.host, node.port)
        except TLSError as error:
            self.around.err(f"TLS Error: {error}\n")
            return False
        except LinkError as error:
            self.around.err(f"Could not connect to Redis at {node.address}: {error}\n")
            return False
        options = self.options
        if options.password is None:
            return True
        words = [options.password] if options.user is None else [options.user, options.password]
        return not self.failed(node, node.call("AUTH", *words))

    def is_cluster(self, node: Member) -> bool:
        """Tell whether a node runs in cluster mode; says so if not."""
        reply = node.call("INFO")
        if isinstance(reply, ReplyError):
            self.not_a_node(node, to_text(reply.text))
            return False
        if reply is None or not info_field(text_of(reply), "cluster_enabled"):
            self.not_a_node(node)
            return False
        return True

    def not_a_node(self, node: Member, why: str = "is not configured as a cluster node.") -> None:
        """Print why a node cannot be used."""
        self.error(f"[ERR] Node {node.address} {why}")

    def is_empty(self, node: Member) -> bool:
        """Tell whether a node has no keys and knows no other node; says so if not."""
        why = NOT_EMPTY
        reply = node.call("INFO")
        if isinstance(reply, ReplyError):
            why = to_text(reply.text)
        elif reply is not None and "db0:" not in text_of(reply):
            reply = node.call("CLUSTER", "INFO")
            if isinstance(reply, ReplyError):
                why = to_text(reply.text)
            elif reply is not None and info_field(text_of(reply), "cluster_known_nodes") == 1:
                return True
        self.error(f"[ERR] Node {node.address} {why}")
        return False

    def load(self, node: Member, friends: bool = False) -> bool:
        """Ask a node for what it knows of itself, and perhaps of the others."""
        reply = node.call("CLUSTER", "NODES")
        if self.failed(node, reply):
            return False
        for line in text_of(reply).split("\n")[:-1]:
            words = line.split(" ")
            if len(words) < 3:
                return False
            address = parse_address(words[1])
            if address is None:
                self.around.err("Error: invalid CLUSTER NODES reply\n")
                return False
            myself = "myself" in words[2]
            if myself:
                current = node
                node.bus_port = address[2]
                _read_slots(node, words[8:])
                node.dirty = False
            elif not friends:
                continue
            else:
                current = Member(*address)
                node.friends.append(current)
            current.name = words[0]
            current.flags = words[2].split(",")
            current.marks.update(current.flags)
            if "slave" in current.flags:
                current.replicates = words[3]
            current.epoch = c_integer(words[6]) if len(words) > 6 else 0
            if myself and not friends:
                break
        return True

    def load_from(self, node: Member) -> bool:
        """Find all nodes of the cluster that a node belongs to."""
        if node.connection is None and not self.connect(node):
            return False
        if not self.is_cluster(node) or not self.load(node, friends=True):
            return False
        self.nodes = [node]
        friends, node.friends = node.friends, []
        for friend in friends:
            if not self._load_friend(friend):
                self.unreachable_masters += not friend.is_replica
        for each in self.nodes:
            if each.replicates is None:
                continue
            master = self.by_name(each.replicates)
            if master is None:
                self.warn(f"*** WARNING: {each.address} claims to be slave of unknown node ID {each.replicates}.")
            else:
                master.replicas_count += 1
        return True

    def _load_friend(self, friend: Member) -> bool:
        if not friend.host or not friend.port or not self.connect(friend):
            return False
        if not self.load(friend):
            self.error(f"[ERR] Unable to load info for node {friend.address}")
            return False
        if {"noaddr", "disconnected", "fail"} & friend.marks:
            return False
        self.nodes.append(friend)
        return True


def text_of(reply: Any) -> str:
    """Return a bulk reply, or a verbatim one, as text."""
    return to_text(reply if isinstance(reply, bytes) else reply.text)


def _read_slots(node: Member, words: list[str]) -> None:
    node.reset_slots()
    for word in words:
        if word.startswith("["):
            inside = word[1:].partition("]")[0]
            for sign, moving in (("->-", node.migrating), ("-<-", node.importing)):
                slot, between, other = inside.partition(sign)
                if between:
                    moving.append((slot, other))
                    break
        elif word:
            first, dash, last = word.partition("-")
            begin, end = c_int(first), c_int(last) if dash else c_int(first)
            node.slots_count += end - begin + 1
            node.slots[begin : end + 1] = b"\1" * (end - begin + 1)
