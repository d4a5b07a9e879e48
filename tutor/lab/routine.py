"""What Sentinels and applications say again and again, which would hide everything else in the list of messages.

A message on one of their connections is shown when it differs from the one before of its kind: a PING once, the next
PONG not, but an error in its place; INFO when the role, the master or the replicas in it have changed; a hello
message when the epochs or the address in it have; a write of an application once, until it is refused.
"""

import re
from collections import deque
from collections.abc import Sequence

from engine.simulation.trace import Sent
from tutor.lab.explain import Part, words_of

_TOLD_BY_INFO = re.compile(rb"^(?:role|master_host|master_port|master_link_status|slave\d+):[^\r]*", re.M)
_PROGRESS = re.compile(rb"(?:offset|lag)=\d+")
_ANSWER = re.compile(rb"\*3\r\n:([01])\r\n\$\d+\r\n([0-9a-f]{40}|\*)\r\n:(\d+)\r\n")
HELLO_PARTS = 8
WRITES = ("RPUSH", "LPUSH", "LREM", "SET", "INCR", "EVAL")  # of programs, with a new value every time
WITH_SUBCOMMANDS = ("SENTINEL", "CLIENT", "CONFIG")
INTRODUCTIONS = ("AUTH", "CLIENT SETNAME", "CLIENT SETINFO")  # of a connection
TRANSACTION = ("MULTI", "SLAVEOF", "CONFIG REWRITE", "CLIENT KILL", "EXEC")
TAKES = ("LINDEX", "LMOVE")  # whose replies are values
_HELLO = b"__sentinel__:hello"


def said_by_sentinel(data: bytes) -> str:
    """Return what Sentinels say to each other in words; nothing for other messages."""
    if data.startswith(b"*3\r\n:"):
        found = _ANSWER.fullmatch(data)
        if found is None:
            return ""
        down = "it is down" if found[1] == b"1" else "it is not down"
        vote = f", and I vote for {found[2].decode()} in epoch {int(found[3])}" if found[2] != b"*" else ""
        return down + vote
    if not data.startswith((b"*6\r\n$8\r\nSENTINEL\r\n$22\r\nis-master-down-by-addr", b"*3\r\n$7\r\nPUBLISH")):
        return ""
    words = [word.decode("utf-8", "replace") for word in words_of(data)]
    if len(words) == 3:
        parts = words[2].split(",")
        if len(parts) != HELLO_PARTS:
            return ""
        ip, port, _, epoch, name, host, at, config = parts
        return f"hello: {ip}:{port} epoch {epoch}, {name} is {host}:{at} in configuration {config}"
    ask = f"is {words[2]}:{words[3]} down?"
    return ask if words[5] == "*" else f"{ask} Your vote in epoch {words[4]}, for me?"


class Routine:
    """The connections of Sentinels and applications, and what was last said on them."""

    def __init__(self) -> None:
        self.busy: dict[str, None] = {}  # Sentinels and applications
        self.keys: dict[str, None] = {}  # that applications write
        self.links: dict[int, str] = {}  # of them, and who opened them
        self.asked: dict[int, deque[str]] = {}  # commands that have no reply yet
        self.last: dict[tuple[object, ...], object] = {}

    def dialled(self, link: int, source: str, target: str) -> None:
        """A connection was requested."""
        if source in self.busy:
            self.links[link] = source
            self.asked[link] = deque()

    def is_news(self, source: str, target: str, what: str) -> bool:
        """Tell whether the same did not come of the attempt before to connect two machines."""
        if source not in self.busy:
            return True
        return self._differs(("connect", source, target), what)

    def hides(self, sent: Sent, parts: Sequence[Part]) -> bool:
        """Tell whether a message says nothing new. All of it is taken into log, also when it is shown."""
        if sent.link not in self.links:
            again = [self._is_streamed_again(sent, part) for part in parts]
            return bool(again) and all(again)
        asks = self.links[sent.link] == sent.source
        # Not lazily: each part has its place in the order of commands and replies.
        news = [self._asks(sent, part) if asks else self._replies(sent, part) for part in parts]
        return not any(news)

    def _is_streamed_again(self, sent: Sent, part: Part) -> bool:
        """Tell whether a part of the replication stream is one more write of an application, or a hello message."""
        if part.kind != "stream":
            return False
        words = words_of(part.data)
        if words[:1] == [b"PUBLISH"]:
            return True  # a hello message, which replicas pass on
        name = words[1].decode("utf-8", "replace") if len(words) > 1 else ""
        return name in self.keys and not self._differs(("stream", sent.source, sent.target, words[0]), name)

    def _asks(self, sent: Sent, part: Part) -> bool:
        words = [word.decode("utf-8", "replace") for word in words_of(part.data)]
        name = words[0].upper() if words else ""
        if name in WITH_SUBCOMMANDS:
            name = " ".join(words[:2]).upper()
        self.asked[sent.link].append(name)
        if name in INTRODUCTIONS:
            return False
        if name in TRANSACTION:  # with which a Sentinel changes a server's role: it says each of them seldom
            return True
        what = tuple(words[1:])
        if name in WRITES:
            what = ()
        return self._differs((sent.source, sent.target, name), what)

    def _replies(self, sent: Sent, part: Part) -> bool:
        waiting = self.asked[sent.link]
        data = part.data
        if data.startswith(b"*") and (_HELLO in data or b"subscribe\r\n" in data):
            return False  # what a Sentinel hears is what another one has published
        name = waiting.popleft() if waiting else ""
        what: object = data
        if name == "INFO":
            what = _PROGRESS.sub(b"", b"\n".join(_TOLD_BY_INFO.findall(data)))
        elif data.startswith(b":"):
            what = b":"
        elif name in TAKES:
            what = data[:1] if data[:2] != b"$-" else data
        if (name in INTRODUCTIONS or (data == b"+OK\r\n" and name in TRANSACTION)) and not data.startswith(b"-"):
            return False
        if data == b"+QUEUED\r\n":
            return False
        if name == "ROLE":
            what = data[:16]
        return self._differs((sent.source, sent.target, name, "reply"), what)

    def _differs(self, place: tuple[object, ...], what: object) -> bool:
        if self.last.get(place) == what:
            return False
        self.last[place] = what
        return True
