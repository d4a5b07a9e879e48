"""Replies in a few words, for pictures that show what commands were answered."""

from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Status
from tutor.pictures.canvas import count, cut, shown


def reply_text(reply: Any, width: int = 40) -> str:
    """Write a reply in one line."""
    if reply is None:
        return "nil"
    if isinstance(reply, ReplyError):
        return cut(reply.text.decode(errors="replace"), width)
    if isinstance(reply, Status):
        return cut(reply.decode(errors="replace"), width)
    if isinstance(reply, bytes | bytearray):
        return (
            f'"{shown(bytes(reply), width - 2)}"' if not shown(bytes(reply)).startswith('"') else shown(bytes(reply))
        )
    if isinstance(reply, list | tuple):
        return (
            f"[{count(len(reply), 'element')}]"
            if len(reply) > 3
            else cut("[" + ", ".join(reply_text(each, 12) for each in reply) + "]", width)
        )
    if isinstance(reply, dict | set | frozenset):
        return f"[{count(len(reply), 'element')}]"
    return cut(
        str(getattr(reply, "text", reply))
        if not isinstance(getattr(reply, "text", ""), bytes)
        else reply.text.decode(errors="replace"),
        width,
    )
