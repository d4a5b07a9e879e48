"""Where a command must run: here, or at another node, or nowhere now.

All keys of a command, and of a transaction, must be in one slot. A slot that is moving has some of its keys at each
end: a client that finds none of its keys here is sent to the other end by ASK, and says so there by ASKING.

    MOVED        another node serves the slot
    ASK          we serve it, but the key has moved already
    TRYAGAIN     some of the keys have moved
    CROSSSLOT    the keys are in several slots
    CLUSTERDOWN  the cluster is down, or no node serves the slot

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding
"""

from collections.abc import Iterable

from engine.clients import client as flags
from engine.clients.client import BLOCKED_LIST, BLOCKED_STREAM, BLOCKED_ZSET, Client
from engine.cluster.reasons import Reasons
from engine.cluster.state import ClusterNode, ClusterState
from engine.config import Config
from engine.keyspace.databases import Database, Keyspace
from engine.keyspace.slots import key_slot
from engine.protocol.errors import ReplyError, redirection
from engine.protocol.resp import Argv
from engine.table.declarations import ASKING, MOVABLEKEYS, WRITE, Command, keys_of

CROSSSLOT = b"CROSSSLOT Keys in request don't hash to the same slot"
TRYAGAIN = b"TRYAGAIN Multiple keys request during rehashing of slot"
DOWN = b"CLUSTERDOWN The cluster is down"
DOWN_READS_ONLY = b"CLUSTERDOWN The cluster is down and only accepts read commands"
NOT_SERVED = b"CLUSTERDOWN Hash slot not served"

_SHARD_COMMANDS = frozenset((b"ssubscribe", b"sunsubscribe", b"spublish"))
_BLOCKED_ON_KEYS = (BLOCKED_LIST, BLOCKED_ZSET, BLOCKED_STREAM)


class Routing:
    """Decides where commands run."""

    def __init__(self, config: Config, space: Keyspace, state: ClusterState, reasons: Reasons) -> None:
        self.config = config
        self.space = space
        self.state = state
        self.reasons = reasons

    def serves(self, command: Command, argv: Argv) -> bool:
        """Tell whether it is certain at a glance that a command with keys may run here; `check` decides if not."""
        at, state = command.only_key, self.state
        if not at or not state.ok or state.migrating or state.importing or at >= len(argv):
            return False
        return state.owners[key_slot(argv[at])] is state.myself

    def check(self, ctx: Client, command: Command, argv: Argv, command_flags: int) -> None:
        """Raise an error unless a command may run here; its flags are those of its script, if it runs one."""
        if command.name == b"exec":
            if ctx.queue is None:
                return
            requests: Iterable[tuple[Command, Argv]] = ctx.queue
            writes = any(queued.flags & WRITE for queued, _ in ctx.queue)
        elif command.key_specs or command.flags & MOVABLEKEYS:
            requests = ((command, argv),)
            writes = False
        else:
            return
        try:
            ctx.slot = self.slot_of(ctx, command, requests, command_flags, bool(command_flags & WRITE) or writes)
        except ReplyError as error:
            if self.reasons.observed:
                self._explain(ctx, requests, command_flags, argv, error)
            raise

    def _explain(
        self,
        ctx: Client,
        requests: Iterable[tuple[Command, Argv]],
        command_flags: int,
        argv: Argv,
        error: ReplyError,
    ) -> None:
        """Tell observers why a command does not run here."""
        keys = [words[ref] for each, words in requests for ref in self._keys(each, words)]
        existing = sum(_exists(self.space.databases[0], key) for key in keys)
        asking = bool(ctx.flags & flags.ASKING or command_flags & ASKING)
        self.reasons.redirected(argv, keys, existing, asking, error.text)

    def slot_of(
        self,
        ctx: Client,
        command: Command,
        requests: Iterable[tuple[Command, Argv]],
        command_flags: int,
        writes: bool,
    ) -> int:
        """Return the slot of the keys of commands that may run here, or -1 without keys. Raises ReplyError."""
        state = self.state
        shard = command.name in _SHARD_COMMANDS
        slot = -1
        owner: ClusterNode | None = None
        first = b""
        moving = importing = several = False
        missing = existing = 0
        database = self.space.databases[0]
        for each, words in requests:
            for ref in self._keys(each, words):
                key = words[ref]
                if slot < 0:
                    slot, first = key_slot(key), key
                    owner = state.owners[slot]
                    if owner is None:
                        raise redirection(NOT_SERVED)
                    moving = owner is state.myself and slot in state.migrating
                    importing = not moving and slot in state.importing
                elif key_slot(key) != slot:
                    raise redirection(CROSSSLOT)
                elif importing and key != first:
                    several = True
                if (moving or importing) and not shard:
                    if _exists(database, key):
                        existing += 1
                    else:
                        missing += 1
        if slot < 0 or owner is None:
            return slot
        if not state.ok:
            self._check_down(shard, command_flags)
        if (moving or importing) and command.name == b"migrate":
            return slot
        if moving and missing:
            if existing:
                raise redirection(TRYAGAIN)
            raise self._redirect(b"ASK", ctx, slot, state.migrating[slot])
        if importing and (ctx.flags & flags.ASKING or command_flags & ASKING):
            if several and missing:
                raise redirection(TRYAGAIN)
            return slot
        if owner is state.myself:
            return slot
        myself = state.myself
        if (ctx.flags & flags.READONLY or shard) and not writes and myself.is_replica and myself.master is owner:
            return slot
        raise self._redirect(b"MOVED", ctx, slot, owner)

    def check_script(self, ctx: Client, caller: Client, command: Command, argv: Argv, allow_cross_slot: bool) -> None:
        """Raise an error unless a command of a caller's script may run here."""
        both = flags.READONLY | flags.ASKING
        ctx.flags = ctx.flags & ~both | caller.flags & both
        try:
            slot = self.slot_of(ctx, command, ((command, argv),), command.flags, bool(command.flags & WRITE))
        except ReplyError as error:
            if error.text == DOWN_READS_ONLY:
                why = b"execute a write command while the cluster is down and readonly"
            elif error.text == DOWN:
                why = b"execute a command while the cluster is down"
            else:
                why = b"access a non local key in a cluster node"
            raise ReplyError(b"ERR Script attempted to " + why) from None
        if slot < 0 or allow_cross_slot:
            return
        if caller.slot < 0:
            caller.slot = slot
        elif caller.slot != slot:
            raise ReplyError(b"ERR Script attempted to access keys that do not hash to the same slot")

    @staticmethod
    def _keys(command: Command, argv: Argv) -> list[int]:
        try:
            return [ref.position for ref in keys_of(command, argv, include_not_keys=True)]
        except ReplyError:
            return []  # the command itself says what is wrong

    def _check_down(self, shard: bool, command_flags: int) -> None:
        if shard:
            if not self.config.cluster_allow_pubsubshard_when_down:
                raise redirection(DOWN)
        elif not self.config.cluster_allow_reads_when_down:
            raise redirection(DOWN)
        elif command_flags & WRITE:
            raise redirection(DOWN_READS_ONLY)

    def _redirect(self, kind: bytes, ctx: Client, slot: int, peer: ClusterNode) -> ReplyError:
        port = peer.client_port(self.is_tls(ctx))
        return redirection(b"%b %d %b:%d" % (kind, slot, self.endpoint(peer).encode("latin-1", "replace"), port))

    def is_tls(self, ctx: Client) -> bool:
        """Return whether a client gets the TLS ports."""
        return ctx.kind == "tls" if ctx.link else self.config.tls_cluster

    def endpoint(self, peer: ClusterNode) -> str:
        """Return the endpoint that clients get (`cluster-preferred-endpoint-type`)."""
        preferred = self.config.cluster_preferred_endpoint_type
        if preferred == "hostname":
            return peer.hostname or "?"
        return peer.ip if preferred == "ip" else ""

    def blocked_error(self, client: Client) -> ReplyError | None:
        """Return what a blocked client gets whose keys are not served here any more; None if it may wait on."""
        state, blocking = self.state, client.blocking
        if blocking is None or blocking.kind not in _BLOCKED_ON_KEYS:
            return None
        if not state.ok:
            return ReplyError(DOWN)
        if not blocking.keys:
            return None
        slot = key_slot(blocking.keys[0])
        owner = state.owners[slot]
        myself = state.myself
        reads = blocking.command is not None and not blocking.command.flags & WRITE
        if client.flags & flags.READONLY and reads and myself.is_replica and myself.master is owner:
            return None
        if owner is myself or slot in state.importing:
            return None
        return ReplyError(NOT_SERVED) if owner is None else self._redirect(b"MOVED", client, slot, owner)


def _exists(database: Database, key: bytes) -> bool:
    """Tell whether a key is there and has not expired, without any effect."""
    return key in database.positions and not database.passed(key)
