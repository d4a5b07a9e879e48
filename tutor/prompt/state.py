"""What the prompt shows: address, database, transaction, subscription. It follows the replies, as redis-cli does.

The state is what a client can know from its own commands and their replies, and no more: a connection that the
server cut shows as "not connected" with the next command.
"""

import re
from dataclasses import dataclass, fields
from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import MapReply, Push
from tutor.prompt.replies import is_nil

Reply = Any

SUBSCRIBE = {b"subscribe", b"psubscribe", b"ssubscribe"}
UNSUBSCRIBE = {b"unsubscribe", b"punsubscribe", b"sunsubscribe"}


_INT64_DIGITS = 19


def c_integer(text: bytes | str) -> int:
    """Read the integer at the head of `text`, 0 if there is none, as C's strtoll does: within 64 bits."""
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    found = re.match(r"\s*([+-]?)0*(\d*)", text, re.ASCII)
    assert found is not None
    sign, digits = found.groups()
    value = int(digits or "0") if len(digits) <= _INT64_DIGITS else 2**63
    return max(-value, -(2**63)) if sign == "-" else min(value, 2**63 - 1)


def c_int(text: bytes | str) -> int:
    """Read the integer at the head of `text` as C's atoi does: of 64 bits the lowest 32 are left."""
    return (c_integer(text) + 2**31) % 2**32 - 2**31


def format_address(host: str, port: int) -> str:
    """Return host and port as redis-cli writes them: `127.0.0.1:6379`, `[::1]:6379`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(slots=True)
class PromptState:
    """A connection's state as far as the prompt shows it.

    `wanted_db` is the database to select on every new connection: the one of -n, then of the last SELECT.
    """

    host: str = "127.0.0.1"
    port: int = 6379
    socket: str | None = None
    connected: bool = False
    db: int = 0
    wanted_db: int = 0
    in_multi: bool = False
    db_before_multi: int = 0
    subscribed: bool = False
    resp3: bool = False

    def prompt(self) -> str:
        """Return the prompt, such as `127.0.0.1:6379[1](TX)> `, with its space."""
        if not self.connected:
            return "not connected> "
        text = f"redis {self.socket}" if self.socket is not None else format_address(self.host, self.port)
        if self.db:
            text += f"[{self.db}]"
        if self.in_multi:
            text += "(TX)"
        if self.subscribed:
            text += "(subscribed mode)"
        return text + "> "

    def restore(self, earlier: Any) -> None:
        """Go back to an earlier state, except for whether there is a connection."""
        for each in fields(self):
            if each.name != "connected":
                setattr(self, each.name, getattr(earlier, each.name))

    def connection_lost(self) -> None:
        """Forget what belonged to the connection; the database wanted is kept for the next one."""
        self.connected = False
        self.db = 0
        self.in_multi = self.subscribed = self.resp3 = False

    def after(self, argv: list[bytes], reply: Reply) -> None:
        """Follow a command and its reply: SELECT, MULTI, EXEC, DISCARD, RESET, HELLO, (P|S)SUBSCRIBE.

        Subscriptions: a confirmation may arrive as several replies; call it with each.
        """
        command, count = argv[0].lower(), len(argv)
        failed = isinstance(reply, ReplyError)
        if command in SUBSCRIBE:
            if self.is_confirmation(command, reply):
                self.subscribed = True
        elif command == b"select" and count == 2 and not failed:
            self.db = self.wanted_db = c_int(argv[1])
        elif command == b"multi" and count == 1 and not failed:
            self.in_multi = True
            self.db_before_multi = self.db
        elif command == b"exec" and count == 1 and self.in_multi:
            self.in_multi = False
            if failed or is_nil(reply):
                self.db = self.wanted_db = self.db_before_multi
        elif command == b"discard" and count == 1 and not failed:
            self.in_multi = False
            self.db = self.wanted_db = self.db_before_multi
        elif command == b"reset" and count == 1 and not failed:
            self.in_multi = self.subscribed = self.resp3 = False
            self.db = self.wanted_db = 0
        elif command == b"hello":
            if isinstance(reply, (MapReply, dict)):
                self.resp3 = True
            elif isinstance(reply, list):
                self.resp3 = False

    def is_pubsub(self, reply: Reply) -> bool:
        """Tell whether a reply belongs to pub/sub: a message, or a (un)subscribe's confirmation."""
        return (
            (isinstance(reply, Push) if self.resp3 else type(reply) is list)
            and len(reply) >= 3
            and isinstance(reply[0], bytes)
            and reply[0].endswith((b"message", b"subscribe"))
        )

    def is_confirmation(self, command: bytes, reply: Reply) -> bool:
        """Tell whether a reply confirms this (un)subscribe command, for one channel."""
        return self.is_pubsub(reply) and reply[0].lower() == command.lower()
