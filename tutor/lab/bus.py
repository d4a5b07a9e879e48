"""Every byte of a message on the cluster bus, with its meaning.

`summary_of` is a message in a few words, as the list of messages shows it; `spans_of` covers all of its bytes. The
layout: `engine.cluster.messages`.
"""

from collections.abc import Iterator

from engine.cluster import messages as ms
from engine.cluster import state as st
from engine.cluster.messages import BadMessageError
from engine.cluster.reasons import slots_text
from tutor.explain.rdb import Span, show

_HEADER = (
    ("signature", 4, "a message of the cluster bus"),
    ("length", 4, "of the whole message, in bytes"),
    ("version", 2, "of the bus protocol"),
    ("port", 2, "of the sender, for clients"),
    ("type", 2, ""),
    ("count", 2, "entries of gossip that follow the header"),
    ("current epoch", 8, "the latest epoch that the sender knows"),
    ("config epoch", 8, "of the sender, or of its master: the greater one wins a slot"),
    ("offset", 8, "of the sender in its replication history"),
    ("sender", 40, "its ID"),
    ("slots", ms.SLOTS_BYTES, "a bit for each slot that the sender, or its master, serves"),
    ("master", 40, "the master's ID if the sender is a replica, otherwise zeros"),
    ("address", 46, "of the sender; empty: the one that the message comes from"),
    ("extensions", 2, "that follow the gossip"),
    ("unused", 30, ""),
    ("other port", 2, "for clients, with TLS if the first is without, or the reverse"),
    ("bus port", 2, "of the sender"),
    ("flags", 2, "of the sender"),
    ("state", 1, "of the cluster, as the sender sees it"),
    ("message flags", 3, ""),
)
_GOSSIP = (
    ("node", 40, "that the sender tells of"),
    ("ping sent", 4, "when the sender began to wait for a PONG; 0: it does not wait"),
    ("pong received", 4, "the last, in seconds since 1970"),
    ("address", 46, ""),
    ("port", 2, "for clients"),
    ("bus port", 2, ""),
    ("flags", 2, "what the sender believes about it"),
    ("other port", 2, ""),
    ("unused", 2, ""),
)
_UPDATE = (
    ("epoch", 8, "the configuration epoch of the node that serves the slots"),
    ("node", 40, "that serves the slots"),
    ("slots", ms.SLOTS_BYTES, "a bit for each slot that it serves"),
)
_MODULE = (("module", 8, "its ID"), ("length", 4, "of what follows"), ("type", 1, "the module's own"))
_LENGTHS = (("length", 4, "of the channel"), ("length", 4, "of the message"))
_EXTENSIONS = {
    ms.HOSTNAME: "host name",
    ms.HUMAN_NODENAME: "name",
    ms.FORGOTTEN_NODE: "forgotten node",
    ms.SHARD_ID: "shard ID",
}
_TYPES = {
    ms.PING: "tells who the sender is, and asks for a PONG",
    ms.PONG: "the reply to PING or MEET, or news for everyone",
    ms.MEET: "a PING that asks to be admitted to the receiver's cluster",
    ms.FAIL: "the majority of masters considers a node down",
    ms.PUBLISH: "a published message, for the subscribers of other nodes",
    ms.PUBLISHSHARD: "a message of a shard channel, for the nodes of the shard",
    ms.AUTH_REQUEST: "a replica asks for a vote, to replace its failed master",
    ms.AUTH_ACK: "a master's vote",
    ms.UPDATE: "the receiver's slots are outdated: another node serves them",
    ms.MFSTART: "a replica asks its master for a manual failover",
    ms.MODULE: "a message between modules",
}
_MESSAGE_FLAGS = (
    (ms.PAUSED, "paused: the master waits for a manual failover"),
    (ms.FORCE_ACK, "vote although the master is up"),
    (ms.HAS_EXTENSIONS, "extensions follow"),
)
_PADDED = ("address", "sender", "master", "node")
_FLAG_WORDS = {"slave": "replica", "fail?": "PFAIL", "fail": "FAIL"}


def flag_words(flags: int) -> str:
    """Return the flags of a node in words."""
    return ", ".join(_FLAG_WORDS.get(name, name) for name in st.flag_names(flags).split(","))


def summary_of(data: bytes) -> str:
    """Return a message in a few words; nodes are named by their IDs."""
    try:
        message = ms.decode(data)
    except BadMessageError as error:
        return str(error)
    name = ms.type_name(message.kind).upper()
    if message.kind in (ms.PING, ms.PONG, ms.MEET):
        told = f"epoch {message.current_epoch}"
        if message.master:
            told += f", replica of {message.master}"
        elif st.from_bytes(message.slots):
            told += f", {slots_text(st.from_bytes(message.slots))} at {message.config_epoch}"
        failing = [f"{seen.name} {flag_words(seen.flags & (st.PFAIL | st.FAIL))}" for seen in message.gossip
                   if seen.flags & (st.PFAIL | st.FAIL)]  # fmt: skip
        return ", ".join([f"{name} {told}", *failing])
    if message.kind == ms.FAIL:
        return f"FAIL {message.about}"
    if message.kind == ms.UPDATE:
        slots = slots_text(st.from_bytes(message.about_slots))
        return f"UPDATE: {message.about} serves {slots} at {message.about_epoch}"
    if message.kind in (ms.PUBLISH, ms.PUBLISHSHARD):
        return f"{name} {show(message.channel[:20])}: {show(message.payload[:40])}"
    if message.kind == ms.AUTH_REQUEST:
        return f"vote for me in epoch {message.current_epoch}?"
    if message.kind == ms.AUTH_ACK:
        return f"you have my vote in epoch {message.current_epoch}"
    return "start a manual failover" if message.kind == ms.MFSTART else name


def kind_of(data: bytes) -> int:
    """Return the type of a message."""
    return int.from_bytes(data[12:14], "big")


def sender_of(data: bytes) -> str:
    """Return the ID of a message's sender."""
    return data[40:80].decode("latin-1")


def spans_of(data: bytes, base: int) -> Iterator[Span]:
    """Yield what covers a message that begins at an offset."""
    end = 0
    for span in _spans(data, base):
        end = span.offset - base + len(span.data)
        yield span
    if end < len(data):
        yield Span(base + end, data[end:], "unknown", "", show(data[end : end + 32]))


def _spans(data: bytes, base: int) -> Iterator[Span]:
    yield from _fields(_HEADER, data, 0, base)
    at = ms.HEADER_BYTES
    try:
        message = ms.decode(data)
    except BadMessageError as error:
        yield Span(base + at, data[at:], "not readable", str(error), show(data[at : at + 32]))
        return
    kind = message.kind
    if kind in (ms.PING, ms.PONG, ms.MEET):
        for _ in message.gossip:
            yield from _fields(_GOSSIP, data, at, base)
            at += ms.GOSSIP_BYTES
        for extension in message.extensions:
            size = len(extension.data)
            yield Span(base + at, data[at : at + 4], "length", "of this extension, in bytes", str(size + 8))
            name = _EXTENSIONS.get(extension.kind, "unknown")
            yield Span(base + at + 4, data[at + 4 : at + 6], "extension", "", name)
            yield Span(base + at + 6, data[at + 6 : at + 8], "unused", "", "")
            yield from _extension(extension, base + at + 8, name)
            at += size + 8
    elif kind == ms.FAIL:
        yield Span(base + at, data[at:], "node", "that the majority of masters considers down", message.about)
    elif kind == ms.UPDATE:
        yield from _fields(_UPDATE, data, at, base)
    elif kind in (ms.PUBLISH, ms.PUBLISHSHARD):
        yield from _fields(_LENGTHS, data, at, base)
        at += 8
        end = at + len(message.channel)
        if message.channel:
            yield Span(base + at, data[at:end], "channel", "", show(message.channel[:64]))
        if message.payload:
            yield Span(base + end, data[end:], "message", "", show(message.payload[:64]))
    elif kind == ms.MODULE:
        yield from _fields(_MODULE, data, at, base)
        if message.payload:
            yield Span(base + at + 13, data[at + 13 :], "payload", "", show(message.payload[:64]))


def _extension(extension: ms.Extension, at: int, name: str) -> Iterator[Span]:
    data = extension.data
    if extension.kind == ms.FORGOTTEN_NODE and len(data) >= 48:
        yield Span(at, data[:40], "node", "that the sender has forgotten, by CLUSTER FORGET", extension.name)
        yield Span(at + 40, data[40:48], "seconds", "for which it stays forgotten", str(extension.ttl_s))
        data, at = data[48:], at + 48
    elif data:
        value = extension.name if extension.kind == ms.SHARD_ID else extension.text
        yield Span(at, data, name, "padded to a multiple of 8 bytes", value)
        return
    if data:
        yield Span(at, data, "unused", "", "")


def _fields(fields: tuple[tuple[str, int, str], ...], data: bytes, at: int, base: int) -> Iterator[Span]:
    for name, size, meaning in fields:
        piece = data[at : at + size]
        value, told = _value(name, piece)
        yield Span(base + at, piece, name, told or meaning, value)
        at += size


def _value(name: str, piece: bytes) -> tuple[str, str]:
    """Return a field's value, and what it means if that depends on the value."""
    if name == "unused":
        return "", ""
    if name == "signature":
        return show(piece), ""
    if name in _PADDED:
        return piece.partition(b"\0")[0].decode("latin-1"), ""
    if name == "slots":
        slots = st.from_bytes(piece)
        return f"{slots.bit_count()}: {slots_text(slots)}" if slots else "none", ""
    number = int.from_bytes(piece, "big")
    if name == "type" and len(piece) == 2:
        return ms.type_name(number).upper(), _TYPES.get(number, "")
    if name == "flags":
        return flag_words(number), ""
    if name == "state":
        return ("fail" if number else "ok"), ""
    if name == "message flags":
        told = "; ".join(text for flag, text in _MESSAGE_FLAGS if piece[0] & flag)
        return piece.hex(), told
    return str(number), ""
