"""One RESP conversation of a prompt: which replies belong to a command, and what comes unasked. Without I/O.

    conversation.begin(argv)        a command is sent
    conversation.takes(reply)       whether what has come answers it; the rest is unsolicited output
    conversation.complete           whether all its replies have come

A SUBSCRIBE or UNSUBSCRIBE is answered once for every channel. Messages, invalidations and other pushes come between
replies. The prompt's state follows.
"""

from collections.abc import Sequence

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Push, Reply
from tutor.prompt.state import SUBSCRIBE, UNSUBSCRIBE, PromptState

BLOCKING = frozenset(
    b"blpop brpop brpoplpush blmove blmpop bzpopmin bzpopmax bzmpop wait waitaof xread xreadgroup".split()
)
LONGEST_PATIENCE_SECONDS = 3
LONGEST_SKIPPED_SECONDS = 60  # of a WAIT that the learner types
PATIENCE_SECONDS = 0.15  # how long a blocking command is given before it counts as waiting


def longest_wait(words: Sequence[bytes]) -> float:
    """Return the longest time, in seconds, that a command waits; 0 if it does not wait, or waits forever."""
    name = words[0].lower()
    try:
        if name in (b"wait", b"waitaof"):
            return max(0, int(words[3 if name == b"waitaof" else 2])) / 1000
        if name in (b"xread", b"xreadgroup"):
            at = [word.lower() for word in words].index(b"block")
            return max(0, int(words[at + 1])) / 1000
        if name == b"debug" and words[1].lower() == b"sleep":
            return max(0.0, float(words[2]))
        if name in BLOCKING:
            return max(0.0, float(words[1 if name in (b"blmpop", b"bzmpop") else -1]))
    except (IndexError, ValueError):
        pass  # the server says what is wrong
    return 0.0


def patience(words: Sequence[bytes]) -> float:
    """Return how long a blocking command is given before it counts as waiting: WAIT's time, if it is short."""
    if words[0].lower() == b"wait" and 0 < (seconds := longest_wait(words)) <= LONGEST_PATIENCE_SECONDS:
        return seconds + 1
    return PATIENCE_SECONDS


def skipped(argv: Sequence[bytes], quiet: bool, answered: bool) -> float:
    """Return for how many seconds at most time jumps to the reply of a command on a machine.

    What the learner types waits as it would anywhere, except WAIT and WAITAOF: nothing is to be done meanwhile. What
    the course types takes no time, unless another terminal is to end the wait.
    """
    seconds, name = longest_wait(argv), argv[0].lower()
    if quiet and not answered and name in BLOCKING:
        return patience(argv)
    if not quiet and not answered and (name not in (b"wait", b"waitaof") or seconds > LONGEST_SKIPPED_SECONDS):
        return 0.0
    return seconds + 1 if seconds else 0.0


class ReplyTracker:
    """The commands and replies of one connection."""

    def __init__(self, state: PromptState) -> None:
        self.state = state
        self._argv: list[bytes] = []
        self._name = b""
        self._missing = 0  # replies
        self._subscribed: dict[bytes, set[bytes]] = {}  # channels by kind of subscription

    def begin(self, argv: list[bytes]) -> None:
        """Note that a command is sent."""
        self._argv, self._name = argv, argv[0].lower()
        self._missing = 1
        if not self.state.in_multi and self._name in SUBSCRIBE:
            self._missing = max(1, len(argv) - 1)
        elif not self.state.in_multi and self._name in UNSUBSCRIBE:
            channels = self._subscribed.get(self._name.replace(b"un", b"", 1), ())
            self._missing = max(1, len(argv) - 1 or len(channels))

    @property
    def complete(self) -> bool:
        """Whether all replies to the command have come; an error is the last."""
        return self._missing == 0

    @property
    def blocks(self) -> bool:
        """Whether the command may wait for something to happen."""
        return self._name in BLOCKING and not self.state.in_multi

    def takes(self, reply: Reply) -> bool:
        """Take what has come; returns whether it answers the command."""
        if self.is_unasked(reply):
            return False
        self.state.after(self._argv, reply)
        self._note_subscription(reply)
        self._missing = 0 if isinstance(reply, ReplyError) else self._missing - 1
        return True

    def is_unasked(self, reply: Reply) -> bool:
        """Tell whether something is unsolicited output."""
        if (self._name in SUBSCRIBE or self._name in UNSUBSCRIBE) and not isinstance(reply, ReplyError):
            return self.state.is_pubsub(reply) and not reply[0].endswith(b"subscribe")
        return isinstance(reply, Push) or (self.state.subscribed and self.state.is_pubsub(reply))

    def _note_subscription(self, reply: Reply) -> None:
        if (self._name not in SUBSCRIBE and self._name not in UNSUBSCRIBE) or not self.state.is_pubsub(reply):
            return
        kind, channel, left = bytes(reply[0]), reply[1], reply[2]
        if kind in SUBSCRIBE:
            self._subscribed.setdefault(kind, set()).add(channel)
        else:
            self._subscribed.get(kind.replace(b"un", b"", 1), set()).discard(channel)
            if left == 0:
                self.state.subscribed = False

    def lost(self) -> None:
        """Forget what belonged to a connection that has ended."""
        self._subscribed.clear()
        self._missing = 0
        self.state.connection_lost()
