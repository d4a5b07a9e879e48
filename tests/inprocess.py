"""A node in the test's own process: as many clients as a test wants, replies parsed without losing their types.

The quick way to drive the server: no socket, no thread, and time that stands still unless the test moves it.

    node = InProcess()
    node.run(1, b"SET", b"a", b"1")     # client 1; returns what it was sent: [b"+OK"]
"""

import time
from typing import Any

from engine.config import Config
from engine.effects import Hangup, Log, Send
from engine.keyspace.databases import Keyspace
from engine.node import Node
from engine.protocol.resp import encode_command

Parsed = Any


class StillWorld:
    """A world in which nothing happens by itself."""

    def stopwatch(self) -> int:
        return 0

    def service(self, node: Node) -> None:
        pass

    def run_now(self, node: Node, effect: Any) -> Any:
        return None

    def facts(self) -> dict[str, Any]:
        return {"pid": 1, "rss": 0}


def parse(data: bytes, at: int) -> tuple[Parsed, int] | None:
    """Return the reply that starts at `at`, and where it ends; None when it is not complete.

    Lines and bulk strings are bytes with their type's mark before them (`:1`, `$text`, `-ERR …`, `_`), aggregates
    are lists that start with the mark: what differs in nothing but its type is different here too.
    """
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    line = data[at:end]
    mark = line[:1]
    at = end + 2
    if mark in b"$=!":
        size = int(line[1:])
        if size < 0:
            return line, at
        if len(data) < at + size + 2:
            return None
        return mark + data[at : at + size], at + size + 2
    if mark in b"*~>%|":
        size = int(line[1:])
        if size < 0:
            return line, at
        items: list[Parsed] = [mark]
        for _ in range(size * 2 if mark in b"%|" else size):
            found = parse(data, at)
            if found is None:
                return None
            items.append(found[0])
            at = found[1]
        return items, at
    return line, at


def parse_all(data: bytes) -> tuple[list[Parsed], int]:
    """Return the complete replies in `data`, and how many bytes they took."""
    replies = []
    at = 0
    while at < len(data):
        found = parse(data, at)
        if found is None:
            break
        reply, at = found
        replies.append(reply)
    return replies, at


def check_space(space: Keyspace) -> None:
    """Check what values and databases promise of themselves; raises AssertionError."""
    for db in space.databases:
        db.check()
        for _, value in db.items():
            if hasattr(value, "check"):
                value.check()


class InProcess:
    """A node and its clients, which are made when they are first named (any number but 0)."""

    def __init__(self, **configuration: Any) -> None:
        self.logged: list[str] = []
        config = Config()
        config.enable_debug_command = "yes"
        for name, value in configuration.items():
            setattr(config, name, value)
        self.now_us = time.time_ns() // 1000
        self.node = Node(config, 1, self.now_us)
        self.node.attach(StillWorld())
        self.inbox: dict[int, bytes] = {}

    def send(self, link: int, data: bytes) -> None:
        """Give the node bytes from a client."""
        if link not in self.inbox:
            self.inbox[link] = b""
            self.node.opened(link, f"127.0.0.1:{link}", "tcp", self.now_us)
        self.node.received(link, data, self.now_us)
        self.settle()

    def settle(self) -> None:
        for effect in self.node.end_round(self.now_us):
            if isinstance(effect, Log):
                self.logged.append(effect.text)
            elif isinstance(effect, Send):
                self.inbox[effect.link] += effect.data
            elif isinstance(effect, Hangup):
                self.inbox[effect.link] += b"-HUNGUP\r\n"

    def take(self, link: int) -> list[Parsed]:
        """Return what a client has been sent since it was last asked."""
        data = self.inbox.get(link, b"")
        replies, used = parse_all(data)
        assert used == len(data), f"an incomplete reply: {data[used:]!r}"
        self.inbox[link] = b""
        return replies

    def run(self, link: int, *argv: bytes) -> list[Parsed]:
        """Give a command; return what its client was sent."""
        self.send(link, encode_command(list(argv)))
        return self.take(link)

    def hang_up(self, link: int) -> None:
        """Close a client's connection."""
        if self.inbox.pop(link, None) is not None:
            self.node.closed(link, self.now_us)
            self.settle()

    def check(self) -> None:
        """Check what the values and the databases promise of themselves."""
        check_space(self.node.space)
