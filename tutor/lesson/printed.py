"""What a terminal prints: the output of a program, or a reply as redis-cli shows it to people."""

from collections.abc import Sequence

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Reply
from tutor.prompt import format_invalidate, format_reply, is_invalidate, prints_raw, to_text


class Said(str):
    """What a program printed, or the prompt itself: shown as it is."""


def printed(argv: Sequence[bytes], reply: Reply) -> str:
    """Return a reply as redis-cli prints it for people, line end included."""
    if isinstance(reply, Said):
        return str(reply)
    verbatim = prints_raw(list(argv)) and not isinstance(reply, ReplyError)
    text = to_text(format_reply(reply, verbatim=verbatim)).replace("\r\n", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def pushed(reply: Reply) -> str:
    """Return what came unasked as redis-cli prints it."""
    return to_text(format_invalidate(reply)).rstrip("\n") + "\n" if is_invalidate(reply) else printed((b"",), reply)
