"""The commands typed at a node (or as a client) and its replies, as redis-cli shows them.

Everything is derived from the history, so it rewinds and branches with the rest. Unsolicited output (published
messages, invalidations, the lines of MONITOR, a replication stream) is shown when it arrives.
"""

import re

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Push, Reply
from engine.simulation.actions import PROMPT, SendCommand
from engine.simulation.history import History
from engine.simulation.trace import Acted, Delivered, Hungup
from tutor.lab.drawing import Text
from tutor.prompt.formatting import format_invalidate, format_reply, is_invalidate, prints_raw
from tutor.prompt.replies import INCOMPLETE, NotRespError, ReplyParser
from tutor.prompt.state import SUBSCRIBE, UNSUBSCRIBE, PromptState
from tutor.prompt.words import LINE, shorten

LINES_MAX = 200
RAW_MAX = 400  # bytes of a stream that are shown for each delivery
_MONITORED = re.compile(rb"\d+\.\d{6} \[\d+ ")


def transcript(history: History, name: str, shown_as: str) -> list[Text]:
    """Return what was said at the prompt of a node, or by a client, up to the present place."""
    client = PROMPT + name if name in history.world.hosts else name
    said = _Conversation()
    rows: list[Text] = []
    for event in history.trace[: history.place]:
        match event:
            case Acted(action=SendCommand(client=who, argv=argv)) if who == client:
                said.asked.append(list(argv))
                typed = b" ".join(argv).decode("utf-8", "replace")
                rows.append([(f"{shown_as}> ", "accent"), (shorten(typed, LINE), "strong")])
            case Delivered(target=target, data=data) if target == client:
                rows += said.hear(data)
            case Hungup(target=target) if target == client:
                said = _Conversation()
                rows.append([("the connection has ended", "bad")])
    return rows[-LINES_MAX:]


def last_reply(history: History, name: str) -> list[str]:
    """Return the lines of what came after the last command at a node or of a client; none if nothing did."""
    rows = transcript(history, name, name)
    asked = max((at for at, row in enumerate(rows) if row[0] == (f"{name}> ", "accent")), default=-1)
    return ["".join(text for text, _ in row) for row in rows[asked + 1 :]]


class _Conversation:
    """One connection: which reply belongs to which command, and which output is unsolicited."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self._reader = ReplyParser()
        self._state = PromptState()
        self._confirmed = 0  # channels of the first command in `asked`
        self._monitoring = False
        self._streaming = False  # a replication stream follows instead of replies

    def hear(self, data: bytes) -> list[Text]:
        """Return what bytes from the node look like."""
        if self._streaming or (self.asked and self.asked[0][0].lower() == b"sync"):
            self._streaming = True
            return [_raw(data)]
        self._reader.feed(data)
        rows: list[Text] = []
        while True:
            try:
                reply = self._reader.next()
            except NotRespError as error:
                self._streaming = True
                return [*rows, [(str(error), "bad")]]
            if reply is INCOMPLETE:
                return rows
            rows += [[(line, "")] for line in self._shown(reply).split("\n")]
            if self._streaming and (rest := self._reader.pending()):
                return [*rows, _raw(rest)]

    def _shown(self, reply: Reply) -> str:
        argv = None if self._is_unasked(reply) else self._answered(reply)
        if is_invalidate(reply):
            text = format_invalidate(reply)
        else:
            text = format_reply(reply, verbatim=argv is not None and prints_raw(argv))
        return text.decode("utf-8", "replace").replace("\r", "").rstrip("\n")

    def _is_unasked(self, reply: Reply) -> bool:
        if not self.asked:
            return True
        subscribing = self.asked[0][0].lower() in SUBSCRIBE | UNSUBSCRIBE
        if self._state.is_pubsub(reply) and (self._state.subscribed or subscribing):
            return not reply[0].endswith(b"subscribe")
        if isinstance(reply, Push):
            return True
        return self._monitoring and isinstance(reply, bytes) and _MONITORED.match(reply) is not None

    def _answered(self, reply: Reply) -> list[bytes]:
        """Return the command that a reply belongs to. One that (un)subscribes has a reply for every channel."""
        argv = self.asked[0]
        name = argv[0].lower()
        self._state.after(argv, reply)
        self._confirmed += 1
        several = name in SUBSCRIBE | UNSUBSCRIBE and self._state.is_pubsub(reply)
        if not several or self._confirmed >= len(argv) - 1:
            self.asked.pop(0)
            self._confirmed = 0
        failed = isinstance(reply, ReplyError)
        self._monitoring = self._monitoring or (name == b"monitor" and not failed)
        self._streaming = name == b"psync" and not failed
        return argv


def _raw(data: bytes) -> Text:
    cut = f" … {len(data)} bytes" if len(data) > RAW_MAX else ""
    return [(data[:RAW_MAX].decode("latin-1").encode("unicode_escape").decode("ascii") + cut, "dim")]
