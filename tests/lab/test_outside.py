"""Real connections on a history: what came from outside is recorded, and repeats itself without the outside."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import redis
from redis.sentinel import Sentinel

from engine.simulation import actions
from engine.simulation.gateway import WAITING_BYTES_MAX
from engine.simulation.history import History
from engine.simulation.state import belief_views, data_of, node_views
from engine.simulation.trace import Acted, Sent
from tests.real import find_servers, missing
from tests.replication.servers import Server
from tests.waiting import PATIENCE_S
from tutor.lab.building import build, wanted_of
from tutor.lab.expose import Exposition, recorded
from tutor.lab.loader import find, read_scenario
from tutor.lab.play import retold
from tutor.lab.recipe import read_recipe
from tutor.lab.session import LabSession

TURNS_MAX = 20_000


class Live:
    """A session whose nodes are on real ports."""

    def __init__(self, *words, port=0):
        self.session = LabSession(*build(wanted_of(words, first_port=port)))
        self.exposition = Exposition(self.session.history, port, print)

    def until(self, condition):
        for _ in range(TURNS_MAX):
            self.exposition.turn(0.001)
            if found := condition():
                return found
        raise AssertionError("it never came")

    def connect(self, name):
        sock = socket.create_connection(("127.0.0.1", self.exposition.ports[name]), timeout=PATIENCE_S)
        sock.setblocking(False)
        return sock

    def ask(self, sock, line, ends=b"\r\n"):
        sock.sendall(line + b"\r\n")
        return self.read(sock, ends)

    def read(self, sock, ends):
        heard = b""

        def more():
            nonlocal heard
            try:
                heard += sock.recv(1 << 16)
            except BlockingIOError:
                return False
            return heard.endswith(ends)

        self.until(more)
        return heard

    def end(self):
        self.session.history.do(actions.LeaveOutside())
        self.exposition.close()


@pytest.fixture
def live():
    shown = Live("2")
    yield shown
    shown.exposition.close()


def same(session):
    """Save it, and replay it without the outside."""
    digest = session.history.digest()
    again = History.decode(session.encode())
    again.end()
    assert (again.warning, again.digest()) == ("", digest)
    assert again.world.gateway is None or again.world.gateway.sockets is None
    _, history = read_recipe(session.recipe())
    history.end()
    assert (history.warning, history.digest()) == ("", digest)


def did(session, kind):
    return [
        event.action for event in session.history.trace if isinstance(event, Acted) and isinstance(event.action, kind)
    ]


def test_what_comes_from_outside_is_in_the_history_as_bytes(live):
    with closing(live.connect("A")) as sock:
        assert live.ask(sock, b"SET k v") == b"+OK\r\n"
        live.until(lambda: data_of(live.session.world, "B").get(b"k") == b"v")
    live.until(lambda: did(live.session, actions.OutsideEnds))
    assert [
        event.data for event in live.session.history.trace if isinstance(event, Sent) and event.source == "outside"
    ] == [b"SET k v\r\n"]
    text = "\n".join(retold(live.session))
    assert 'outside ──▶ A    inline "SET k v"  9 B' in text
    assert "A is on port " in text
    live.end()
    same(live.session)


def test_it_goes_back_and_on_without_the_outside(live):
    session = live.session
    with closing(live.connect("A")) as sock:
        for number in range(20):
            assert live.ask(sock, b"INCR n") == b":%d\r\n" % (number + 1)
        live.end()
        digest, end = session.history.digest(), session.history.place
        for place in (end // 2, end // 3, end - 1, 0):
            session.history.goto(place)
        session.history.end()
        assert session.history.digest() == digest
        assert b"20" in str(data_of(session.world, "A")[b"n"]).encode()
        session.history.goto(end // 2)
        assert session.world.gateway.connections  # it was connected then
        session.execute("app> PING")
        assert session.history.branch_name == "branch 2"
        assert not session.world.gateway.connections  # but it is not there any more
    same(session)


def test_a_node_reaches_a_port_that_nobody_listens_on(live):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    with closing(live.connect("B")) as sock:
        live.ask(sock, b"REPLICAOF 127.0.0.1 %d" % port)
        live.until(lambda: did(live.session, actions.OutsideAnswers))
        assert did(live.session, actions.OutsideAnswers)[0].link == 0
        live.ask(sock, b"REPLICAOF 127.0.0.1 %d" % live.exposition.ports["A"])
        live.until(lambda: node_views(live.session.world)["B"].link == "up")  # the port means A
        assert node_views(live.session.world)["B"].master == live.session.world.hosts["A"].address
        live.session.execute("A> SET k v")
        live.session.execute("cut A B silent")
        live.session.execute("A> SET k2 v")
        live.session.execute("B> REPLICAOF NO ONE")
        live.session.execute("remove A")
        (loss,) = live.session.losses  # the ledger knows that B followed A
        assert (len(loss.writes), loss.total) == (1, 2)
    live.end()
    same(live.session)


def test_a_client_that_does_not_read_is_waited_for(live):
    size = 8 * WAITING_BYTES_MAX
    with closing(live.connect("A")) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        value = b"x" * 65536
        sent = 0
        while sent < size:
            assert live.ask(sock, b"*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$65536\r\n" + value).startswith(b":")
            sent += len(value)
        sock.sendall(b"GET k\r\nGET k\r\n")
        live.until(lambda: did(live.session, actions.OutsideReads))
        assert did(live.session, actions.OutsideReads)[0].reads is False
        heard = live.read(sock, b"x\r\n")
        while len(heard) < 2 * size:
            heard += live.read(sock, b"x\r\n")
        assert did(live.session, actions.OutsideReads)[-1].reads is True
    live.end()
    same(live.session)


def test_a_node_is_removed_under_its_clients(live):
    with closing(live.connect("B")) as sock:
        live.ask(sock, b"PING")
        live.session.execute("remove B")
        sock.sendall(b"PING\r\n")
        live.until(lambda: "B" not in live.exposition.listeners)
        live.session.execute("add D 172.16.6.80:6379")
        live.session.execute("start D")
        live.until(lambda: "D" in live.exposition.listeners)
    with closing(live.connect("D")) as sock:
        assert live.ask(sock, b"PING") == b"+PONG\r\n"
    live.end()
    same(live.session)


def test_clocks_go_as_the_wall_clock():
    spec, history = recorded(read_scenario(find("partial-resync")), 1)
    session = LabSession(spec, history)
    shown = Live.__new__(Live)
    shown.session, shown.exposition = session, Exposition(history, 0, print)
    with closing(shown.connect("A")) as sock:
        told = int(shown.ask(sock, b"TIME", b"\r\n").split(b"\r\n")[2])
    assert abs(told - time.time()) < 60
    assert session.done_at(history.place) == 1
    shown.end()
    same(session)


def test_a_port_that_is_taken(live):
    taken = live.exposition.ports["A"]
    session = LabSession(*build(wanted_of(["1"])))
    with pytest.raises(OSError, match=f"port {taken}, for A: Address already in use"):
        Exposition(session.history, taken, print)


def reached(*words):
    """Return a laboratory on the first consecutive ports that are free, which its machines know."""
    for port in range(21000, 31000, 20):
        with contextlib.suppress(OSError):  # one of them is taken
            return Live(*words, port=port), port
    raise AssertionError("there are no free ports")


def test_a_real_client_finds_the_master_through_sentinels():
    live, port = reached("2", "--sentinels", "3")

    def work():
        sentinel = Sentinel([("127.0.0.1", port + 2)], socket_timeout=PATIENCE_S)
        found = sentinel.discover_master("mymaster")
        master = sentinel.master_for("mymaster")
        return found, master.incr("n")

    def asked():
        result = pool.submit(work)
        live.until(result.done)
        return result.result()

    session = live.session
    with closing(live.exposition), ThreadPoolExecutor(1) as pool:
        assert asked() == (("localhost", port), 1)
        assert {belief.address for belief in belief_views(session.world)} == {session.world.hosts["A"].address}
        session.execute("crash A")
        session.execute("wait 10")
        live.exposition.synchronize()
        assert node_views(session.world)["B"].role == "master"
        assert asked() == (("localhost", port + 1), 2)
        session.execute("start A")
        session.execute("wait 20")
        live.exposition.synchronize()
        assert node_views(session.world)["A"].master == session.world.hosts["B"].address
        live.end()
    same(session)


def test_a_real_cluster_client_follows_redirections():
    live, port = reached("6", "--cluster")

    def work():
        with redis.RedisCluster(host="127.0.0.1", port=port, socket_timeout=PATIENCE_S) as client:
            for number in range(20):
                client.set(f"k{number}", number)
            return [int(client.get(f"k{number}")) for number in range(20)]

    with closing(live.exposition), ThreadPoolExecutor(1) as pool:
        result = pool.submit(work)
        live.until(result.done)
        assert result.result() == list(range(20))
        live.session.execute("run writer W A 20")  # a simulated client is sent to the same ports
        live.until(lambda: len(live.session.world.applications["W"].acknowledged) > 5)
        live.end()
    assert {len(data_of(live.session.world, name)) > 0 for name in "ABC"} == {True}
    same(live.session)


@pytest.mark.long
def test_a_real_replica_and_a_real_master_are_recorded(live):
    found = [
        program for program in find_servers() if program.version >= ((8,) if program.kind == "valkey" else (7, 2))
    ]
    if not found:
        missing("a real server that reads version 11 of RDB")
    real = Server(found[0])
    try:
        with closing(live.connect("A")) as sock:
            live.ask(sock, b"SET k v")
            with closing(socket.create_connection(("127.0.0.1", real.port))) as control:
                control.sendall(b"REPLICAOF 127.0.0.1 %d\r\n" % live.exposition.ports["A"])
                control.recv(100)
                live.until(lambda: len(node_views(live.session.world)["A"].replicas) == 2)
                live.ask(sock, b"SET k w")
                assert live.ask(sock, b"WAIT 2 0") == b":2\r\n"
                control.sendall(b"GET k\r\n")
                assert control.recv(100) == b"$1\r\nw\r\n"
                control.sendall(b"REPLICAOF NO ONE\r\n")
                control.recv(100)
                live.ask(sock, b"REPLICAOF 127.0.0.1 %d" % real.port)
                live.until(lambda: node_views(live.session.world)["A"].link == "up")
                control.sendall(b"SET theirs 1\r\n")
                control.recv(100)
                live.until(lambda: b"theirs" in data_of(live.session.world, "B"))
    finally:
        real.close()
    live.end()
    text = "\n".join(retold(live.session))
    assert "why full, for 127.0.0.1:" in text
    same(live.session)


@pytest.mark.long
def test_a_replica_of_a_real_master_has_none_of_the_acknowledged_writes():
    found = find_servers()
    if not found:
        missing("a real server")
    live, real = Live("3"), Server(found[0])
    try:
        session = live.session
        for number in range(5):
            session.execute(f"A> SET k{number} v")
        real.client.set("theirs", "1")
        session.execute(f"C> REPLICAOF 127.0.0.1 {real.port}")
        live.until(lambda: b"theirs" in data_of(session.world, "C"))
        place = session.history.place
        assert list(data_of(session.world, "C")) == [b"theirs"]
        costs = session.ledger.promotion_costs(place)
        assert {cost.host: cost.lacks for cost in costs} == {"B": 0, "C": 5}
        assert session.losses == []
        live.end()
    finally:
        live.exposition.close()
        real.close()
