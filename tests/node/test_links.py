"""Links and conversations: who is told of what, and which reply belongs to which request."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config
from engine.effects import Dial, Hangup, Send
from engine.node import Node
from engine.protocol.conversation import Conversation, take_line
from tests.world import QuietWorld

NOW = 1_700_000_000_000_000


class Recorder:
    """A handler that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def opened(self, peer: str, local: str) -> None:
        self.told.append(("opened", peer, local))

    def received(self, data: bytes) -> None:
        self.told.append(("received", data))

    def output_pending(self, size_bytes: int) -> None:
        self.told.append(("output_pending", size_bytes))

    def closed(self) -> None:
        self.told.append(("closed",))

    def refused(self, error: str) -> None:
        self.told.append(("refused", error))


def node_with(recorder: Recorder) -> Node:
    node = Node(Config(), 1, NOW)
    node.attach(QuietWorld())
    node.listeners["bus"] = lambda link, peer, kind: recorder if peer != "stranger" else None
    return node


def test_a_dialled_link_tells_its_handler_of_everything() -> None:
    recorder = Recorder()
    node = node_with(recorder)
    first = node.core.dialer.dial(recorder, "127.0.0.1", 7000)
    second = node.core.dialer.dial(recorder, "127.0.0.1", 7001, tls=True, source="127.0.0.2")
    dialled = [Dial(first, "127.0.0.1", 7000), Dial(second, "127.0.0.1", 7001, True, "127.0.0.2")]
    assert node.end_round(NOW) == dialled
    node.opened(first, "127.0.0.1:7000", "dialled", NOW, "127.0.0.1:50000")
    node.refused(second, "Connection refused", NOW)
    node.received(first, b"+PONG\r\n", NOW)
    node.output_pending(first, 5, NOW)
    node.closed(first, NOW)
    assert recorder.told == [
        ("opened", "127.0.0.1:7000", "127.0.0.1:50000"),
        ("refused", "Connection refused"),
        ("received", b"+PONG\r\n"),
        ("output_pending", 5),
        ("closed",),
    ]


def test_a_link_that_was_hung_up_on_tells_nobody_anything() -> None:
    recorder = Recorder()
    node = node_with(recorder)
    link = node.core.dialer.dial(recorder, "127.0.0.1", 7000)
    node.core.dialer.send(link, b"PING\r\n")
    node.core.dialer.hang_up(link)
    node.core.dialer.hang_up(link)
    assert node.end_round(NOW)[1:] == [Send(link, b"PING\r\n"), Hangup(link)]
    node.opened(link, "127.0.0.1:7000", "dialled", NOW)
    node.received(link, b"+PONG\r\n", NOW)
    node.closed(link, NOW)
    assert recorder.told == []
    assert not node.clients


def test_the_kind_of_a_listener_decides_who_handles_a_link() -> None:
    recorder = Recorder()
    node = node_with(recorder)
    node.opened(1, "127.0.0.1:1", "bus", NOW, "127.0.0.1:16379")
    node.opened(2, "127.0.0.1:2", "tcp", NOW)
    node.opened(3, "stranger", "bus", NOW)
    for link in (1, 2, 3):
        node.received(link, b"PING\r\n", NOW)
    assert node.end_round(NOW) == [Send(2, b"+PONG\r\n")]
    assert recorder.told == [("opened", "127.0.0.1:1", "127.0.0.1:16379"), ("received", b"PING\r\n")]
    assert node.client(1) is None and node.client(2) is not None and node.client(3) is None


@given(st.lists(st.integers(1, 9)))
def test_replies_belong_to_the_requests_in_order_however_they_are_cut(cuts: list[int]) -> None:
    conversation = Conversation(take_line)
    for name in ("auth", "select", "restore"):
        conversation.ask(name, name.upper().encode(), b"1", now_us=NOW)
    sent = conversation.take_outgoing()
    assert sent.count(b"*2\r\n") == 3 and conversation.take_outgoing() == b""
    data, answers = b"+OK\r\n-ERR no\r\n:1\nrest", []
    for cut in [*cuts, len(data)]:
        conversation = pickle.loads(pickle.dumps(conversation))
        assert conversation.is_complete(data) == (len(conversation) == 0 or data.count(b"\n") >= len(conversation))
        conversation.feed(data[:cut])
        data = data[cut:]
        while (line := conversation.next_reply()) is not None:
            answers.append((conversation.awaits, line))
            assert conversation.awaits_since_us == NOW
            conversation.answered()
    assert answers == [("auth", b"+OK"), ("select", b"-ERR no"), ("restore", b":1")]
    assert conversation.awaits == "" and conversation.awaits_since_us is None
    assert conversation.take_rest() + data == b"rest"
