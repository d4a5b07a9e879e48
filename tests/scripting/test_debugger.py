"""Debugging sessions in a world whose client has said everything beforehand."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clients.client import LUA_DEBUG
from engine.effects import Converse, Debug, DebugStarted, EndDebug, KillDebuggers
from engine.protocol.errors import ReplyError
from engine.protocol.resp import encode_command
from engine.scripting.debugger import LEAST_MAXLEN, c_integer, for_people, parse
from tests.commands.drive import Drive, StillWorld


class TalkingWorld(StillWorld):
    """A world that can debug: what the client will say, and what it was told. Each look at the clock takes 1 ms."""

    def __init__(self, *said):
        self.said = [line if isinstance(line, bytes) else encode_command(line.encode().split()) for line in said]
        self.told = []
        self.begins = DebugStarted()
        self.now = 0

    def facts(self):
        return super().facts() | {"debugger": True}

    def stopwatch(self):
        self.now += 1000
        return self.now

    def run_now(self, node, effect):
        match effect:
            case Debug():
                return self.begins
            case Converse(_, data):
                self.told.append(data)
                return self.said.pop(0) if self.said else b""
            case EndDebug(_, data):
                self.told.append(data)
        return None


def debugged(script, *said, mode=b"SYNC", busy_reply_threshold=5000):
    drive = Drive(busy_reply_threshold=busy_reply_threshold)
    world = drive.world = TalkingWorld(*said)
    drive.node.attach(world)
    assert drive([b"SCRIPT", b"DEBUG", mode]) == b"+OK\r\n"
    drive.reply = drive([b"EVAL", script, b"1", b"key", b"arg"])
    return drive


WORDS = b"s n c l w p b t e r m a h help step next list whole print break trace eval redis maxlen abort".split()
WORDS += [b"a", b"i", b"0", b"-1", b"1", b"5", b"KEYS", b"set", b"x", b"error()", b"return", b"a.b", b"(", b"nil..1"]


def lines(data):
    return [line[1:] for line in data.split(b"\r\n")[1:-1]]


def test_a_session_stops_shows_and_goes_on():
    drive = debugged(b"local a = 1\nreturn a", "s", "print", "c")
    told = [lines(data) for data in drive.world.told]
    assert told == [
        [b"* Stopped at 1, stop reason = step over", b"-> 1   local a = 1"],
        [b"* Stopped at 2, stop reason = step over", b"-> 2   return a"],
        [b"<value> a = 1"],
        [b"<endsession>"],
    ]
    assert drive.reply == b":1\r\n"
    assert not drive.node.links.get(1), "the client is hung up on"


def test_what_a_synchronous_session_changes_is_propagated():
    drive = debugged(b"return redis.call('set', KEYS[1], ARGV[1])", "c")
    assert drive.changes() == [b"set key arg"]


def test_the_parent_of_a_forked_session_only_forgets_the_client():
    drive = Drive()
    drive.world = TalkingWorld()
    drive.world.begins = DebugStarted(4711, 100)
    drive.node.attach(drive.world)
    drive(b"SCRIPT DEBUG YES")
    assert drive([b"EVAL", b"return redis.call('set', KEYS[1], ARGV[1])", b"1", b"key", b"arg"]) == b""
    assert 1 not in drive.node.links
    assert drive.changes() == []
    assert drive(b"EXISTS key", link=2) == b":0\r\n"
    drive(b"SHUTDOWN NOSAVE", link=3)
    assert drive.node.exiting


def test_children_are_killed_at_the_end_if_there_ever_were_any():
    drive = Drive()
    drive.node.scripting.has_forked = True
    drive.node.shutdown.begin({b"nosave": None})
    assert KillDebuggers() in drive.node.output.effects


def test_no_fork_no_session():
    drive = Drive()
    drive.node.attach(world := TalkingWorld())
    world.begins = OSError(12, "Cannot allocate memory")
    drive(b"SCRIPT DEBUG YES")
    reply = drive([b"EVAL", b"return 1", b"0"])
    assert reply == b"-ERR Fork() failed: can't run EVAL in debugging mode: Cannot allocate memory\r\n"
    assert drive([b"EVAL", b"return 1", b"0"]) == b":1\r\n"


def test_a_world_that_cannot_debug_says_so_at_once():
    drive = Drive()
    assert drive(b"SCRIPT DEBUG YES").startswith(b"-ERR Scripts cannot be debugged here")
    assert drive(b"SCRIPT DEBUG NO") == b"+OK\r\n"
    assert drive(b"SCRIPT DEBUG PERHAPS") == b"-ERR Use SCRIPT DEBUG YES/SYNC/NO\r\n"
    assert drive([b"EVAL", b"return redis.breakpoint()", b"0"]) == b"$-1\r\n"


def test_where_debugging_is_refused():
    drive = Drive()
    drive.node.attach(TalkingWorld())
    drive.node.opened(5, "127.0.0.1:5", "tcp", drive.now)
    drive.node.received(5, encode_command([b"PING"]) + encode_command([b"SCRIPT", b"DEBUG", b"YES"]), drive.now)
    drive.inbox[5] = b""
    drive.settle()
    assert drive.take(5) == b"+PONG\r\n-ERR SCRIPT DEBUG must be called outside a pipeline\r\n"
    drive(b"SCRIPT DEBUG SYNC")
    digest = drive(b"SCRIPT LOAD return/**/1") and b"0" * 40
    reply = drive([b"EVALSHA", digest, b"0"])
    assert reply == b"-ERR Please use EVAL instead of EVALSHA for debugging\r\n"
    assert drive(b"EVALSHA x 0").startswith(b"-NOSCRIPT")


def test_a_client_that_leaves_lets_the_script_run_on():
    drive = debugged(b"redis.call('set', 'a', 1)\nredis.breakpoint()\nredis.call('set', 'b', 2)\nreturn 3", "b 3")
    assert drive(b"MGET a b", link=2) == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"


def test_an_endless_loop_stops_or_ends():
    drive = debugged(b"while true do end", "c", "c", "p", "abort", busy_reply_threshold=3)
    told = [lines(data) for data in drive.world.told]
    assert told[1][0] == b"* Stopped at 1, stop reason = timeout reached, infinite loop?"
    assert drive.reply.startswith(b"-ERR script aborted for user request")
    drive = debugged(b"while true do end", "c", busy_reply_threshold=3)
    assert drive.reply.startswith(b"-ERR timeout during Lua debugging with client closing connection")


def test_too_much_that_is_no_command():
    piece = b"*1\r\n$1000\r\n" + b"x" * 500
    drive = debugged(b"return 1", piece, b"", mode=b"SYNC")
    assert drive.reply == b":1\r\n"
    drive = debugged(b"return 1", b"*1" + b"0" * (1 << 20))
    assert drive.reply.startswith(b"-ERR max client buffer reached")


def test_nothing_of_ours_is_shown():
    script = b"local function f(x)\n return x\nend\nlocal ok, v = pcall(f, 1)\nreturn v"
    drive = debugged(script, "b 2", "c", "trace", "print f", "print args", "print keys", "print wanted", "c")
    told = [lines(data) for data in drive.world.told]
    assert told[3][0] == b"In top level:"
    assert told[3][2] == b"From top level:"
    assert told[4][0].startswith(b'<value> "function@0x')  # the script's own
    assert told[5:8] == [[b"No such variable."]] * 3


@pytest.mark.parametrize(
    "code",
    [
        "debug.getinfo(1)",
        "redis.nothing()",
        "python",
        "getmetatable(redis).__index",
        "rawset(_G,'x',1)",
        "setfenv(0,{})",
        "setfenv(2,{})",
        "load(string.dump(print))",
    ],
)
def test_eval_is_in_the_sandbox(code):
    drive = debugged(b"local a = 1\nreturn a", "e " + code, "c")
    assert lines(drive.world.told[1])[0].startswith(b"<error> "), drive.world.told[1]
    assert drive.reply == b":1\r\n"


def test_eval_sees_no_environment_but_the_scripts():
    code = "for i=0,9 do local ok, e = pcall(getfenv, i) if ok and e ~= _G then return i end end return 'held'"
    drive = debugged(b"local a = 1\nreturn a", "e " + code, "c")
    assert lines(drive.world.told[1]) == [b'<retval> "held"']
    drive = debugged(b"local a = 1\nreturn a", encode_command([b"eval", b"\x1bLua"]), "c")
    assert lines(drive.world.told[1])[0].startswith(b"<error> ")


def test_a_session_leaves_nothing_behind():
    drive = debugged(b"return 1", "c")
    assert drive([b"EVAL", b"return {redis.breakpoint(), 2}", b"0"], link=2) == b"*2\r\n$-1\r\n:2\r\n"
    pickle.dumps(drive.node)


def test_a_client_keeps_its_mode_in_a_copy_of_the_node():
    drive = Drive()
    drive.node.attach(TalkingWorld())
    drive(b"SCRIPT DEBUG YES")
    assert pickle.loads(pickle.dumps(drive.node)).clients[drive.node.links[1].id].flags & LUA_DEBUG


def test_most_breakpoints():
    script = b"KEYS[1] = 1\n" * 70 + b"return 1"
    drive = debugged(script, "b " + " ".join(map(str, range(1, 67))), "b", "c", "b 0", "c")
    assert lines(drive.world.told[1])[-2:] == [b"Too many breakpoints set."] * 2
    assert lines(drive.world.told[2])[0] == b"64 breakpoints set:"
    assert lines(drive.world.told[3])[0] == b"* Stopped at 2, stop reason = break point"


def test_maxlen_trims_once_with_a_hint():
    drive = debugged(b"local a = string.rep('x', 400)\nreturn 1", "s", "p a", "p a", "m 1", "p a", "m 0", "p a", "c")
    told = [lines(data) for data in drive.world.told]
    assert told[2] == [
        b'<value> "' + b"x" * 247 + b" ...",
        b"<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.",
    ]
    assert len(told[3]) == 1
    assert told[4] == [b"<value> replies are truncated at %d bytes." % LEAST_MAXLEN]
    assert len(told[5][0]) == LEAST_MAXLEN + 4
    assert told[6] == [b"<value> replies are unlimited."]
    assert told[7] == [b'<value> "' + b"x" * 400 + b'"']


@pytest.mark.parametrize("data", [b"", b"*", b"*1", b"*1\r\n", b"*1\r\n$3", b"*1\r\n$3\r\nab", b"*1\r\n$3\r\nabc\r"])
def test_what_is_not_whole_is_waited_for(data):
    if data:
        assert parse(data) is None


@pytest.mark.parametrize("data", [b"step\r\n", b"\0*1\r\n", b"*0\r\n", b"*-1\r\n", b"*x\r\n", b"*1\r\n:1\r\n"])
def test_what_can_be_no_command_is_an_error(data):
    with pytest.raises(ReplyError):
        parse(data)


PIECES = st.sampled_from([b"*", b"$", b"1", b"3", b"\r\n", b"\0", b"-", b"step", b"\x1b", b" ", b":", b"2000"])


@given(st.lists(PIECES | st.binary(max_size=4), max_size=20).map(b"".join).filter(bool))
def test_whatever_is_sent_is_a_command_or_not(data):
    try:
        argv = parse(data)
    except ReplyError:
        return
    if argv is not None:
        assert parse(data + b"more") == argv
        assert all(argv)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5))
def test_a_command_is_whole_with_its_last_byte(argv):
    data = encode_command(argv)
    assert parse(data) == argv
    assert parse(b"junk" + data) == argv
    assert parse(data[:-1]) is None


@given(st.lists(st.sampled_from(WORDS) | st.binary(min_size=1, max_size=8), min_size=1, max_size=4))
def test_no_command_breaks_a_session(argv):
    drive = debugged(b"local a = {1, {2}}\nfor i = 1, 2 do a[i] = i end\nreturn a", encode_command(argv), "p", "c")
    assert drive.world.told[-1].endswith(b"+<endsession>\r\n")
    assert drive(b"PING", link=2) == b"+PONG\r\n"


def test_integers_are_read_as_c_does():
    assert [c_integer(text) for text in (b"12", b" -3x", b"+4", b"", b"x1", b"1 2")] == [12, -3, 4, 0, 0, 1]


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (b":1\r\n", b"1"),
        (b"$-1\r\n", b"NULL"),
        (b"*-1\r\n", b"NULL"),
        (b"*0\r\n", b"[]"),
        (b"*2\r\n$1\r\na\r\n+OK\r\n", b'["a","+OK"]'),
        (b"%1\r\n+k\r\n~2\r\n_\r\n#t\r\n", b'{"+k" => ~((null),#true)}'),
        (b",1.5\r\n", b"(double) 1.5"),
        (b"=5\r\ntxt:a\r\n", b""),
    ],
)
def test_replies_for_people(reply, shown):
    assert for_people(reply) == shown
