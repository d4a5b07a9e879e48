"""Two clocks: timeouts go by the one that nobody can set, dates by the one that the machine shows."""

import pytest

from tests.inprocess import InProcess

SECOND = 1_000_000
DAYS = 30 * 24 * 3600 * SECOND


class Server(InProcess):
    """A node whose wall clock can be set, and whose time passes when the test says so."""

    def set_clock(self, offset_us: int) -> None:
        self.node.clock_set(offset_us, self.now_us)

    def wait(self, us: int) -> None:
        """Let time pass, as a loop does: the node is woken at every deadline."""
        until = self.now_us + us
        while self.node.deadline() <= until:
            self.now_us = max(self.now_us, self.node.deadline())
            self.node.wake(self.now_us)
            self.settle()
        self.now_us = until
        self.node.wake(until)
        self.settle()

    def fields(self, section: bytes) -> dict[str, str]:
        lines = self.run(1, b"INFO", section)[0].decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)


@pytest.mark.parametrize("jump", [-DAYS, DAYS], ids=["back", "forward"])
class TestJump:
    def test_waits_end_when_they_would_have(self, jump: int) -> None:
        server = Server()
        blocked = {
            2: (b"BLPOP", b"k", b"2"),
            3: (b"WAIT", b"1", b"2000"),
            4: (b"XREAD", b"BLOCK", b"2000", b"STREAMS", b"s", b"$"),
        }
        for link, argv in blocked.items():
            assert server.run(link, *argv) == []
        server.wait(SECOND)
        server.set_clock(jump)
        server.wait(SECOND - 1)
        assert [server.take(link) for link in blocked] == [[], [], []]
        server.wait(1)
        assert [server.take(link) for link in blocked] == [[b"*-1"], [b":0"], [b"*-1"]]

    def test_a_pause_of_clients_ends_when_it_would_have(self, jump: int) -> None:
        server = Server()
        assert server.run(1, b"CLIENT", b"PAUSE", b"2000", b"WRITE") == [b"+OK"]
        server.set_clock(jump)
        assert server.run(1, b"SET", b"a", b"1") == []
        server.wait(2 * SECOND - 1)
        assert server.take(1) == []
        server.wait(1)
        assert server.take(1) == [b"+OK"]

    def test_idle_clients_are_hung_up_on_when_they_would_have_been(self, jump: int) -> None:
        server = Server(timeout=10)
        server.run(1, b"PING")
        server.set_clock(jump)
        server.wait(9 * SECOND)
        assert server.take(1) == []
        server.wait(3 * SECOND)
        assert server.take(1) == [b"-HUNGUP"]

    def test_the_cron_goes_on(self, jump: int) -> None:
        server = Server()
        server.wait(SECOND)
        server.set_clock(jump)
        before = server.node.cron.loops
        server.wait(SECOND)
        assert server.node.cron.loops - before == 10

    def test_dates_follow_the_wall_clock_and_spans_do_not(self, jump: int) -> None:
        server = Server()
        server.run(1, b"SET", b"a", b"1")
        server.wait(5 * SECOND)
        server.set_clock(jump)
        now_s = (server.now_us + jump) // SECOND
        assert server.run(1, b"TIME") == [[b"*", b"$%d" % now_s, b"$%d" % ((server.now_us + jump) % SECOND)]]
        assert server.run(1, b"OBJECT", b"IDLETIME", b"a") == [b":5"]
        assert server.run(1, b"SAVE") == [b"+OK"]
        assert server.run(1, b"LASTSAVE") == [b":%d" % now_s]
        assert b" age=5 idle=0 " in server.run(1, b"CLIENT", b"INFO")[0]
        stream_id = server.run(1, b"XADD", b"s", b"*", b"f", b"v")[0]
        assert int(stream_id[1:].split(b"-")[0]) == (server.now_us + jump) // 1000

    def test_keys_expire_by_the_wall_clock(self, jump: int) -> None:
        server = Server()
        server.run(1, b"SET", b"a", b"1", b"EX", b"100")
        server.set_clock(jump)
        server.wait(SECOND)
        assert server.run(1, b"EXISTS", b"a") == [b":%d" % (jump < 0)]
        if jump < 0:
            server.wait(200 * SECOND)
            assert server.run(1, b"EXISTS", b"a") == [b":1"]

    def test_save_points_are_reached_when_they_would_have_been(self, jump: int) -> None:
        server = Server()
        server.run(1, b"CONFIG", b"SET", b"save", b"10 1")
        server.run(1, b"SET", b"a", b"1")
        server.set_clock(jump)
        server.wait(9 * SECOND)
        assert server.fields(b"persistence")["rdb_bgsave_in_progress"] == "0"
        server.wait(4 * SECOND)
        assert server.fields(b"persistence")["rdb_bgsave_in_progress"] == "1"


@pytest.mark.parametrize(
    ("argv", "reply"),
    [
        ((b"BLPOP", b"k", b"0.1"), b"*-1"),
        ((b"BRPOPLPUSH", b"k", b"l", b"0.1"), b"*-1"),
        ((b"BZPOPMIN", b"k", b"0.1"), b"*-1"),
        ((b"BLMPOP", b"0.1", b"1", b"k", b"LEFT"), b"*-1"),
        ((b"WAIT", b"1", b"100"), b":0"),
        ((b"WAITAOF", b"0", b"1", b"100"), [b"*", b":0", b":0"]),
        ((b"XREAD", b"BLOCK", b"100", b"STREAMS", b"k", b"$"), b"*-1"),
    ],
    ids=lambda value: value[0].decode() if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("part_us", [0, 1, 499, 500, 999])
def test_no_wait_ends_early_wherever_in_a_millisecond_it_began(
    argv: tuple[bytes, ...], reply: object, part_us: int
) -> None:
    server = Server()
    server.now_us += part_us - server.now_us % 1000
    assert server.run(1, *argv) == []
    server.wait(100_000 - 1)
    assert server.take(1) == []
    server.wait(1)
    assert server.take(1) == [reply]


def test_while_a_script_suspends_the_node_its_clock_goes_on_and_no_wait_ends() -> None:
    server = Server()
    assert server.run(2, b"BLPOP", b"k", b"0.1") == []
    loops = server.node.cron.loops
    server.node.suspension.depth += 1
    server.now_us += SECOND
    server.node.wake(server.now_us)
    server.node.suspension.depth -= 1
    server.settle()
    assert server.take(2) == []
    assert server.node.cron.loops > loops
    server.wait(0)
    assert server.take(2) == [b"*-1"]


def test_waits_that_ended_long_before_their_time_leave_nothing_behind() -> None:
    server = Server()
    timers = len(server.node.timers)
    for _ in range(100):
        server.run(1, b"BLPOP", b"jobs", b"3600")
        server.run(2, b"RPUSH", b"jobs", b"job")
        server.take(1)
    assert len(server.node.timers) == timers
