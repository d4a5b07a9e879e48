"""`:peek KEY` at the prompt: what a key is and the beginning of what it holds, whatever its type.

A person looking around would otherwise type TYPE, then OBJECT ENCODING, TTL, and the command to read that type. These
are ordinary reads by an ordinary client: they count in statistics and renew the key's access time.
"""

from typing import Any

from engine.protocol.errors import ReplyError
from tutor.cli.session import CliSession
from tutor.client import LinkError
from tutor.prompt import quote, to_text

SHOWN = 10  # elements
SHOWN_BYTES = 300

_READ: dict[bytes, tuple[str, list[str], str]] = {
    # type: size in elements, how to read the first of them (KEY stands for the key), the word for them
    b"string": ("STRLEN", ["GETRANGE", "KEY", "0", str(SHOWN_BYTES - 1)], "bytes"),
    b"list": ("LLEN", ["LRANGE", "KEY", "0", str(SHOWN - 1)], "elements"),
    b"set": ("SCARD", ["SSCAN", "KEY", "0", "COUNT", str(SHOWN)], "members"),
    b"hash": ("HLEN", ["HSCAN", "KEY", "0", "COUNT", str(SHOWN)], "fields"),
    b"zset": ("ZCARD", ["ZRANGE", "KEY", "0", str(SHOWN - 1), "WITHSCORES"], "members"),
    b"stream": ("XLEN", ["XRANGE", "KEY", "-", "+", "COUNT", str(SHOWN)], "entries"),
}


def peek(session: CliSession, key: bytes) -> None:
    """Print what a key is and holds."""
    if session.state.in_multi or session.state.subscribed:
        session.say("Peek when the transaction or subscription is over.")
        return
    if session.connection is None and not session.connect():
        return
    assert session.connection is not None
    call = session.connection.call
    try:
        kind = call("TYPE", key)
        if isinstance(kind, ReplyError):
            session.show(kind)
            return
        if kind == b"none":
            session.say("(no such key)")
            return
        encoding, ttl_ms, memory = call("OBJECT", "ENCODING", key), call("PTTL", key), call("MEMORY", "USAGE", key)
        facts = [to_text(kind)]
        if isinstance(encoding, bytes):
            facts.append(to_text(encoding))
        if kind in _READ:
            facts.append(f"{call(_READ[kind][0], key)} {_READ[kind][2]}")
        if isinstance(memory, int):
            facts.append(f"{memory} B of memory")
        facts.append(
            f"expires in {ttl_ms / 1000:.1f} s" if isinstance(ttl_ms, int) and ttl_ms >= 0 else "never expires"
        )
        session.say(f"{to_text(quote(key))}  {', '.join(facts)}")
        if kind in _READ:
            words = [key if word == "KEY" else word for word in _READ[kind][1]]
            session.show(_first(kind, call(*words)))
    except LinkError as error:
        session.say(f"Error: {error}")
        session.close()


def _first(kind: bytes, reply: Any) -> Any:
    """Take what SCAN commands wrap around their elements away; they may also return more than asked for."""
    if kind in (b"set", b"hash") and isinstance(reply, list) and len(reply) == 2:
        return reply[1][: SHOWN if kind == b"set" else 2 * SHOWN]
    return reply
