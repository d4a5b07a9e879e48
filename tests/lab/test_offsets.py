"""Offsets are bytes: where a stream started plus what went over the wire is what each node says.

Checked after every step of every scenario, for each node that has a backlog:

- on each open connection of an online replica, the offset that `+FULLRESYNC` named or `PSYNC` asked for, plus the
  bytes of the stream since, plus what waits to be sent, is the master's offset;
- the same with the bytes that have arrived is the replica's offset, also when its link is down;
- where nobody follows (any more, or yet, after a promotion), the bytes that the backlog holds from the last one on
  that went over a wire are whole commands, and lead to the offset.
"""

import pytest

from engine.replication.master import ONLINE
from engine.simulation.trace import Delivered, Dialled, Exited, Sent
from tests.lab.share import share_of_scenarios
from tests.share import share
from tutor.lab.explain import LinkDecoder, words_of
from tutor.lab.loader import find, read_scenario
from tutor.lab.runner import ScenarioRunner

pytestmark = pytest.mark.long


class Wire:
    """A stream as one end sees it: bytes that were sent, or those that have arrived."""

    def __init__(self):
        self.conversation = LinkDecoder()
        self.asked = self.at = -1

    def feed(self, from_dialler, data):
        for part in self.conversation.feed(from_dialler, data):
            if part.kind == "psync":
                self.asked = int(words_of(part.data)[2])
            elif part.kind == "fullresync":
                self.at = int(part.data.split()[2])
            elif part.kind == "continue":
                self.at = self.asked - 1
            elif part.after >= 0:
                assert part.before == self.at
                self.at += len(part.data)


class Counter:
    """Counts the streams of a world, and compares."""

    def __init__(self, runner):
        self.world = runner.history.world
        self.diallers = {}
        self.sent, self.arrived = {}, {}
        self.place = {}  # node: how far its stream went over any wire, to it or from it
        self.checks = 0

    def take(self, trace):
        for event in trace:
            if isinstance(event, Dialled):
                self.diallers[event.link] = event.source
            elif isinstance(event, Exited):
                self.place.pop(event.host, None)
            elif isinstance(event, (Sent, Delivered)):
                is_sent = isinstance(event, Sent)
                from_dialler = event.source == self.diallers[event.link]
                wire = (self.sent if is_sent else self.arrived).setdefault(event.link, Wire())
                wire.feed(from_dialler, event.data)
                if not from_dialler and wire.at >= 0:
                    self.place[event.source if is_sent else event.target] = wire.at

    def compare(self):
        for name, host in self.world.hosts.items():
            node = host.node
            if node is None or node.replication.backlog is None:
                continue
            offset, backlog = node.replication.offset, node.replication.backlog
            assert backlog.end == offset + 1
            followed = self.followers_agree(name, node, offset)
            place = self.place.get(name)
            if node.config.is_replica and place is not None and node.replica.transfer is None:
                assert place == offset
                self.checks += 1
            elif not followed and place is not None and backlog.covers(place + 1):
                self.rest_is_whole(backlog, place, offset)

    def followers_agree(self, name, node, offset):
        followers = 0
        for number, connection in self.world.links.items():
            wire = self.sent.get(number)
            client = node.links.get(connection.target_link) if connection.target == name else None
            if wire is None or client is None or client.id not in node.master.replicas:
                continue
            if not connection.broken and client.replica.state == ONLINE:
                assert wire.at + connection.backward.unsent_bytes == offset
                followers += 1
        self.checks += followers
        return followers

    def rest_is_whole(self, backlog, place, offset):
        data = backlog.since(place + 1)
        conversation = LinkDecoder()
        parts = conversation.feed(True, data)
        assert conversation.rest(True) is None
        assert place + sum(len(part.data) for part in parts) == offset
        self.checks += 1


def replicates(name):
    text = find(name).read_text()
    return "replicaof" in text.lower() or "/A" in text


@pytest.mark.parametrize("name", share(filter(replicates, share_of_scenarios()), 3))
def test_offsets_are_the_bytes_on_the_wire(name):
    runner = ScenarioRunner(read_scenario(find(name)))
    counter = Counter(runner)
    shown = 0
    while runner.next_step is not None:
        runner.step()
        counter.take(runner.history.trace[shown : runner.history.place])
        shown = runner.history.place
        counter.compare()
    assert counter.checks
