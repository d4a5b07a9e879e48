"""A node's view of its cluster as text: CLUSTER NODES, and `nodes.conf`, which the node writes and reads back.

    <name> <ip>:<port>@<bus port>[,<host name>] <flags> <master> <ping> <pong> <epoch> <link> [<slots> …]
    vars currentEpoch <epoch> lastVoteEpoch <epoch>

In the file, what CLUSTER NODES does not show follows the host name: `,tls-port=0,nodename=web-1,shard-id=…`.

https://redis.io/docs/latest/commands/cluster-nodes/
"""

from engine.cluster import state as st
from engine.cluster.state import ClusterNode, ClusterState, is_name, ranges
from engine.keyspace.slots import SLOTS
from engine.protocol.resp import split_args

_FLAGS = {name: flag for flag, name in st.FLAG_NAMES} | {"noflags": 0}


class NodesConfError(Exception):
    """The file cannot be used: which line, and why."""

    def __init__(self, number: int, line: str, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.line = line


def describe(state: ClusterState, peer: ClusterNode, tls: bool = False, for_file: bool = False) -> str:
    """Return the line of a node, with the port that clients of a kind of connection use."""
    address = f"{peer.ip}:{peer.client_port(tls)}@{peer.bus_port}"
    if peer.hostname or for_file:
        address += f",{peer.hostname}"
    if for_file:
        address += f",tcp-port={peer.port}" if tls else f",tls-port={peer.tls_port}"
        if peer.nodename:
            address += f",nodename={peer.nodename}"
        address += f",shard-id={peer.shard_id}"
    followed = peer.master if peer.is_replica else None
    words = [
        peer.name,
        address,
        peer.flag_names(),
        peer.master.name if peer.master is not None else "-",
        str(peer.ping_sent_ms),
        str(peer.pong_ms),
        str((followed or peer).config_epoch),
        "connected" if peer.link is not None or peer is state.myself else "disconnected",
        *(str(first) if first == last else f"{first}-{last}" for first, last in ranges(peer.slots)),
    ]
    if peer is state.myself:
        moving = [(slot, f"[{slot}->-{other.name}]") for slot, other in state.migrating.items()]
        moving += [
            (slot, f"[{slot}-<-{other.name}]")
            for slot, other in state.importing.items()
            if slot not in state.migrating
        ]
        words += [text for _, text in sorted(moving)]
    return " ".join(words)


def describe_all(state: ClusterState, tls: bool = False) -> str:
    """Return what CLUSTER NODES shows."""
    return "".join(describe(state, peer, tls) + "\n" for peer in state.nodes.values())


def write(state: ClusterState) -> bytes:
    """Return the contents of nodes.conf. Nodes in a handshake are left out."""
    lines = [describe(state, peer, for_file=True) for peer in state.nodes.values() if not peer.in_handshake]
    lines.append(f"vars currentEpoch {state.current_epoch} lastVoteEpoch {state.last_vote_epoch}")
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


class NodesConfReader:
    """Reads nodes.conf into a state that knows no node yet."""

    def __init__(self, state: ClusterState, now_ms: int, tls: bool) -> None:
        self.state = state
        self.now_ms = now_ms
        self.tls = tls  # whether the bus uses TLS: which port is meant where only one is given
        self.unknown: list[str] = []  # variables that are not known
        self._with_shard: set[str] = set()  # names of nodes whose shard ID is in the file

    def read(self, data: bytes) -> None:
        """Read the whole file. Raises NodesConfError, and leaves the state useless then."""
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                self._line(line)
            except ValueError as error:
                raise NodesConfError(number, line, str(error)) from None
        if not hasattr(self.state, "myself"):
            raise NodesConfError(len(lines), "", "no node has the flag myself")
        for peer in self.state.nodes.values():
            master = peer.master
            if master is not None and master.name not in self._with_shard and peer.name in self._with_shard:
                master.shard_id = peer.shard_id
                self._with_shard.add(master.name)
        for peer in self.state.nodes.values():
            # A replica may have been told of its master before it was told of its shard.
            peer.shard_id = peer.top_master.shard_id
        for peer in self.state.nodes.values():
            self.state.join_shard(peer)
        self.state.current_epoch = self.state.max_epoch()

    def _line(self, line: str) -> None:
        state = self.state
        split = split_args(line.encode("utf-8", "surrogateescape"))
        if split is None:
            raise ValueError("unbalanced quotes")
        words = [word.decode("utf-8", "surrogateescape") for word in split]
        if not words:
            raise ValueError("a blank line with spaces")
        if words[0].lower() == "vars":
            self._variables(words)
            return
        if len(words) < 8:
            raise ValueError(f"{len(words)} fields instead of 8 or more")
        peer = self._peer(words[0])
        self._address(peer, words[1])
        self._flags(peer, words[2])
        if words[3] != "-":
            master = self._peer(words[3])
            if master is peer:
                raise ValueError("the node is its own master")
            peer.master = master
            state.add_replica(master, peer)
        if _number(words[4]):
            peer.ping_sent_ms = self.now_ms
        if _number(words[5]):
            peer.pong_ms = self.now_ms
        epoch = _number(words[6])
        peer.config_epoch = 0 if peer.is_replica and peer.master is not None else epoch
        for word in words[8:]:
            self._slots(peer, word)

    def _variables(self, words: list[str]) -> None:
        if len(words) % 2 == 0:
            raise ValueError("a variable has no value")
        for name, value in zip(words[1::2], words[2::2], strict=True):
            if name.lower() == "currentepoch":
                self.state.current_epoch = _number(value)
            elif name.lower() == "lastvoteepoch":
                self.state.last_vote_epoch = _number(value)
            else:
                self.unknown.append(name)

    def _peer(self, name: str) -> ClusterNode:
        """Return the node of a name, which is known from here on."""
        if not is_name(name):
            raise ValueError(f"{name!r} is no name of a node")
        peer = self.state.nodes.get(name)
        if peer is None:
            peer = self.state.new_peer(name, 0, self.now_ms)
            self.state.add(peer)
        return peer

    def _address(self, peer: ClusterNode, text: str) -> None:
        address, *more = text.split(",")
        peer.hostname = more[0] if more else ""
        told = set()
        for pair in more[1:]:
            key, equals, value = pair.partition("=")
            if not equals or "=" in value or not st.NOT_IN_NAMES.isdisjoint(key + value):
                raise ValueError(f"{pair!r} is no name with a value")
            told.add(key)
            if key == "shard-id":
                if not is_name(value):
                    raise ValueError(f"{value!r} is no ID of a shard")
                peer.shard_id = value
                self._with_shard.add(peer.name)
            elif key == "nodename":
                peer.nodename = value
            elif key == "tcp-port":
                peer.port = _port(value)
            elif key == "tls-port":
                peer.tls_port = _port(value)
            else:
                raise ValueError(f"unknown field {key!r}")
        ip, colon, ports = address.rpartition(":")
        if not colon:
            raise ValueError(f"{address!r} has no port")
        peer.ip = ip
        client_port, at, bus_port = ports.partition("@")
        port = _port(client_port)
        if told.isdisjoint(("tcp-port", "tls-port")):
            if self.tls:
                peer.tls_port = port
            else:
                peer.port = port
        elif "tcp-port" not in told:
            peer.port = port
        elif "tls-port" not in told:
            peer.tls_port = port
        peer.bus_port = _port(bus_port) if at else peer.client_port(self.tls) + st.BUS_PORT_OFFSET

    def _flags(self, peer: ClusterNode, text: str) -> None:
        for name in text.split(","):
            flag = _FLAGS.get(name.lower())
            if flag is None:
                raise ValueError(f"unknown flag {name!r}")
            peer.flags |= flag
            if flag == st.FAIL:
                peer.failed_ms = self.now_ms
            elif flag == st.MYSELF:
                if hasattr(self.state, "myself"):
                    raise ValueError("a second node has the flag myself")
                self.state.myself = peer

    def _slots(self, peer: ClusterNode, word: str) -> None:
        if word[0] == "[":
            slot_text, arrow, rest = word[1:].partition("-")
            if not arrow or rest[:2] not in (">-", "<-") or rest[-1] != "]":
                raise ValueError(f"{word!r} is no slot that moves")
            moving = self.state.migrating if rest[0] == ">" else self.state.importing
            moving[_slot(slot_text)] = self._peer(rest[2:-1])
            return
        first, dash, last = word.partition("-")
        for slot in range(_slot(first), _slot(last if dash else first) + 1):
            self.state.assign(slot, peer)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is no number")
    return int(text) & 0xFFFFFFFFFFFFFFFF


def _port(text: str) -> int:
    port = _number(text)
    if port > 65535:
        raise ValueError(f"{text} is no port")
    return port


def _slot(text: str) -> int:
    slot = _number(text)
    if slot >= SLOTS:
        raise ValueError(f"{text} is no slot")
    return slot
