"""What the nodes of a cluster say all the time, which would hide everything else in the list of messages.

PINGs and PONGs are shown as what a node has learned from them. Apart from that, the first of each node is shown, and
every other message on the bus; what a node sends to all others at once is shown once.
"""

import re
from collections.abc import Iterator, Sequence

from engine.cluster import messages as ms
from engine.observe.events import ClusterDecided, ClusterLearned
from engine.simulation import actions
from engine.simulation.trace import Sent
from tutor.lab import bus
from tutor.lab.explain import Part

_ENABLED = re.compile(r"^\s*cluster-enabled\s+yes\b", re.M | re.I)
_PLACE = re.compile(r"\b[0-9a-f]{40}\b|\b\d+\.\d+\.\d+\.\d+:\d+\b")
_ALL_THE_TIME = (ms.PING, ms.PONG)
_BODY = slice(ms.HEADER_BYTES, None)
_EPOCH = slice(16, 24)


class BusTalk:
    """The nodes of clusters, and what they said last."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names  # by address, and by ID as soon as it is known
        self.nodes: dict[str, None] = {}
        self.links: dict[int, None] = {}  # connections of the bus
        self.last: dict[tuple[object, ...], object] = {}

    def acted(self, action: object) -> None:
        """Take note of a node that belongs to a cluster."""
        match action:
            case actions.AddHost(name=name, directives=lines) | actions.Directives(host=name, directives=lines):
                if _ENABLED.search("\n".join(lines)):
                    self.nodes[name] = None
            case actions.WriteFile(host=name, data=data) if _ENABLED.search(data.decode("utf-8", "replace")):
                self.nodes[name] = None

    def is_news(self, source: str, target: str, what: str) -> bool:
        """Tell whether something else came of the attempt before of two nodes of a cluster to connect."""
        if source not in self.nodes or target not in self.nodes:
            return True
        return self._differs(("connect", source, target), what)

    def hides(self, sent: Sent, parts: Sequence[Part]) -> bool:
        """Tell whether bytes belong to the bus and say nothing new. All of it is noted, also when it is shown."""
        if sent.link not in self.links and not any(part.kind == "bus" for part in parts):
            return False
        self.links[sent.link] = None
        self.nodes[sent.source] = None
        news = [self._shows(sent, part) for part in parts if part.kind == "bus"]
        return not any(news)

    def _shows(self, sent: Sent, part: Part) -> bool:
        kind, data = bus.kind_of(part.data), part.data
        self.names[bus.sender_of(data)] = sent.source
        if kind in _ALL_THE_TIME:
            return self._differs((sent.source, kind), True)
        if kind == ms.UPDATE:
            return self._differs((sent.source, sent.target, kind), data[_BODY])
        if kind in (ms.MEET, ms.AUTH_ACK, ms.MFSTART):
            return True
        return self._differs((sent.source, kind), (sent.at_us, data[_EPOCH], data[_BODY]))

    def told(self, host: str, event: ClusterDecided | ClusterLearned, routine: bool) -> Iterator[str]:
        """Yield what a node has decided or learned; the same of a program that writes all the time only once."""
        if isinstance(event, ClusterLearned):
            yield f"learns from {self.named(event.sender)} ({event.kind}): {self.named('; '.join(event.changes))}"
            return
        if routine and not self._differs((host, "decided"), (event.conditions, event.answer)):
            return
        yield self.named(event.question)
        for condition in event.conditions:
            yield f"  {'✓' if condition.holds else '✗'} {self.named(condition.text)}"
        yield f"  → {self.named(event.answer)}"

    def named(self, text: str) -> str:
        """Return a text with the names of machines in place of their IDs and addresses."""
        return _PLACE.sub(lambda found: self.names.get(found[0]) or _short(found[0]), text)

    def _differs(self, place: tuple[object, ...], what: object) -> bool:
        if self.last.get(place) == what:
            return False
        self.last[place] = what
        return True


def _short(place: str) -> str:
    return place if ":" in place else f"{place[:8]}…"
