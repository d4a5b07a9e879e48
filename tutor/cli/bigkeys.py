"""--bigkeys, --memkeys and --hotkeys: walk the keyspace with SCAN and print the keys that stand out."""

import time
from dataclasses import dataclass
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.cli.modes import scan
from tutor.cli.options import complain, fail
from tutor.cli.session import CliSession
from tutor.client import Connection, LinkError
from tutor.prompt import quote, to_text

_HOT = 16  # hot keys shown


@dataclass(slots=True)
class _Type:
    """What was seen of the keys of one type. Without a size command (a module's type) only memory is known."""

    name: str
    command: str = ""
    unit: str = "?"
    biggest: int = 0
    biggest_key: str = ""
    count: int = 0
    total: int = 0


def _known_types() -> dict[str, _Type]:
    # in redis-cli's order, which its summary is known by
    known = [
        _Type("list", "LLEN", "items"),
        _Type("hash", "HLEN", "fields"),
        _Type("string", "STRLEN", "bytes"),
        _Type("stream", "XLEN", "entries"),
        _Type("set", "SCARD", "members"),
        _Type("zset", "ZCARD", "members"),
    ]
    return {kind.name: kind for kind in known}


def _pipeline(connection: Connection, commands: list[list[bytes]]) -> list[Any]:
    for command in commands:
        connection.send(command)
    return [connection.read() for _ in commands]


def _database_size(connection: Connection) -> int:
    reply = connection.call("DBSIZE")
    if isinstance(reply, ReplyError):
        raise fail(f"Couldn't determine DBSIZE: {to_text(reply.text)}")
    if not isinstance(reply, int):
        raise fail("Non INTEGER response from DBSIZE!")
    return reply


class _KeyspaceWalk:
    """A walk over the keyspace: how far it is, and when to rest."""

    def __init__(self, session: CliSession, title: str) -> None:
        assert session.connection is not None
        self.session = session
        self.connection = session.connection
        self.total = _database_size(self.connection)
        self.sampled = 0
        self.done = ""  # how far, at the last SCAN
        self.interrupted = False
        session.say(f"\n# Scanning the entire keyspace to find {title} keys as well as")
        session.say("# average sizes per key type.  You can use -i 0.1 to sleep 0.1 sec")
        session.say("# per 100 SCAN commands (not usually needed).\n")

    def __iter__(self) -> Any:
        loops = 0
        batches = scan(self.session)
        while True:
            self.done = f"[{_percent(self.sampled, self.total)}%]"
            try:
                keys = next(batches)
                yield keys
                loops += 1
                if self.session.options.interval_s and loops % 100 == 0:
                    time.sleep(self.session.options.interval_s)
            except StopIteration:
                return
            except KeyboardInterrupt:
                self.interrupted = True
                return

    def sample(self) -> None:
        """Count a key."""
        self.sampled += 1
        if self.sampled % 1_000_000 == 0:
            self.session.say(f"{self.done} Sampled {self.sampled} keys so far")

    def summary(self) -> None:
        """Say how many keys were looked at."""
        self.session.say("\n-------- summary -------\n")
        begin = f"{self.done} " if self.interrupted else ""
        self.session.say(f"{begin}Sampled {self.sampled} keys in the keyspace!")


def _percent(part: int, whole: int) -> str:
    """Return a percentage as C prints it with %05.2f, also that of nothing of nothing."""
    return f"{100 * part / whole:05.2f}" if whole else " -nan"


def find_big_keys(session: CliSession) -> int:
    """Print the biggest key of each type as it is found, and a summary: by elements, or by memory."""
    by_memory = session.options.mode == "memkeys"
    types = _known_types()
    walk = _KeyspaceWalk(session, "biggest")
    key_bytes = 0
    for keys in walk:
        kinds = [_kind(types, reply) for reply in _types(walk.connection, keys)]
        sizes = _sizes(session, walk.connection, keys, kinds, by_memory)
        for key, kind, size in zip(keys, kinds, sizes, strict=True):
            if kind is None:
                continue
            kind.total += size
            kind.count += 1
            key_bytes += len(key)
            if size > kind.biggest:
                kind.biggest = size
                kind.biggest_key = quote(key).decode()
                unit = "bytes" if by_memory else kind.unit
                session.say(
                    f"{walk.done} Biggest {kind.name:<6} found so far '{kind.biggest_key}' with {size} {unit}"
                )
            walk.sample()
    walk.summary()
    average = key_bytes / walk.sampled if walk.sampled else 0
    session.say(f"Total key length in bytes is {key_bytes} (avg len {average:.2f})\n")
    for kind in types.values():
        if kind.biggest_key:
            unit = "bytes" if by_memory else kind.unit
            session.say(f"Biggest {kind.name:>6} found '{kind.biggest_key}' has {kind.biggest} {unit}")
    session.say("")
    for kind in types.values():
        unit = "bytes" if by_memory else kind.unit
        share = _percent(kind.count, walk.sampled) if walk.sampled else "00.00"
        mean = kind.total / kind.count if kind.count else 0
        session.say(f"{kind.count} {kind.name}s with {kind.total} {unit} ({share}% of keys, avg size {mean:.2f})")
    return 0


def _types(connection: Connection, keys: list[bytes]) -> list[Any]:
    replies = _pipeline(connection, [[b"TYPE", key] for key in keys])
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise fail(f"TYPE returned an error: {to_text(reply.text)}")
    return replies


def _kind(types: dict[str, _Type], reply: bytes) -> _Type | None:
    name = to_text(reply)
    if name == "none":  # gone since SCAN saw it
        return None
    return types.setdefault(name, _Type(name))


def _sizes(
    session: CliSession, connection: Connection, keys: list[bytes], kinds: list[_Type | None], by_memory: bool
) -> list[int]:
    asked: list[int] = []
    commands: list[list[bytes]] = []
    for i, (key, kind) in enumerate(zip(keys, kinds, strict=True)):
        if kind is None or not (kind.command or by_memory):
            continue
        asked.append(i)
        if not by_memory:
            commands.append([kind.command.encode(), key])
        else:
            samples = session.options.samples
            commands.append([b"MEMORY", b"USAGE", key] + ([b"SAMPLES", b"%d" % samples] if samples else []))
    sizes = [0] * len(keys)
    try:
        replies = _pipeline(connection, commands)
    except LinkError as error:
        raise fail(f"Error getting sizes of keys: {error}") from None
    for i, command, reply in zip(asked, commands, replies, strict=True):
        if isinstance(reply, int):
            sizes[i] = reply
        else:
            name = "MEMORY USAGE" if by_memory else to_text(command[0])
            complain(f"Warning:  {name} on '{to_text(keys[i])}' failed (may have changed type)")
    return sizes


def find_hot_keys(session: CliSession) -> int:
    """Print the keys with the highest access counters; the server must keep them (maxmemory-policy *lfu)."""
    walk = _KeyspaceWalk(session, "hot")
    hottest: list[tuple[int, str]] = []  # the coolest first
    for keys in walk:
        replies = _pipeline(walk.connection, [[b"OBJECT", b"FREQ", key] for key in keys])
        for key, reply in zip(keys, replies, strict=True):
            if isinstance(reply, ReplyError):
                raise fail(f"Error: {to_text(reply.text)}")
            shown = quote(key).decode()
            if not isinstance(reply, int):
                complain(f"Warning: OBJECT freq on '{shown}' failed (may have been deleted)")
                reply = 0
            walk.sample()
            if reply and (len(hottest) < _HOT or reply > hottest[0][0]):
                at = sum(1 for count, _ in hottest if count < reply)
                hottest.insert(at, (reply, shown))
                del hottest[: max(0, len(hottest) - _HOT)]
                session.say(f"{walk.done} Hot key '{shown}' found so far with counter {reply}")
    walk.summary()
    for count, shown in reversed(hottest):
        session.say(f"hot key found with counter: {count}\tkeyname: {shown}")
    return 0
