"""What stands where among replies, pushes and what others are shown."""

import pytest

from engine.commands import debug
from tests.inprocess import InProcess

PUSH_ALL = [b">", b"$invalidate", b"_"]


@pytest.fixture
def node() -> InProcess:
    return InProcess()


def monitored(node: InProcess, link: int) -> list[bytes]:
    """What a client was sent, lines of MONITOR without time and address."""
    return [line.split(b"] ")[1] if line[:2] == b"+1" else line for line in node.take(link)]


def test_a_monitor_sees_its_own_command_after_the_reply(node: InProcess) -> None:
    node.run(1, b"MONITOR")
    node.send(1, b"PING\r\n")
    assert monitored(node, 1) == [b"+PONG", b'"PING"']


def test_monitors_see_scripts_and_transactions_that_fail(node: InProcess) -> None:
    node.run(1, b"MONITOR")
    node.run(2, b"EVAL", b"return (", b"0")
    node.run(2, b"EVALSHA", b"0" * 40, b"0")
    node.run(2, b"FCALL", b"nosuch", b"x")
    node.run(2, b"EXEC", b"1")
    assert [line.split()[0] for line in monitored(node, 1)] == [b'"EVAL"', b'"EVALSHA"', b'"FCALL"', b'"EXEC"']


def test_a_transaction_shows_its_length_while_it_runs(node: InProcess) -> None:
    node.run(1, b"MULTI")
    node.run(1, b"CLIENT", b"INFO")
    node.run(1, b"PING")
    assert b" multi=2 " in node.run(1, b"EXEC")[0][1]
    assert b" multi=-1 " in node.run(1, b"CLIENT", b"INFO")[0]


def test_each_reply_of_a_transaction_is_in_the_protocol_of_its_moment(node: InProcess) -> None:
    node.run(1, b"HSET", b"h", b"f", b"v")
    node.run(1, b"MULTI")
    for argv in ([b"HGETALL", b"h"], [b"HELLO", b"3"], [b"HGETALL", b"h"]):
        node.run(1, *argv)
    _, before, hello, after = node.run(1, b"EXEC")[0]
    assert (before[0], hello[0], after[0]) == (b"*", b"%", b"%")


def test_swapping_databases_invalidates_nothing(node: InProcess) -> None:
    node.run(1, b"HELLO", b"3")
    node.run(1, b"CLIENT", b"TRACKING", b"ON")
    node.run(1, b"GET", b"a")
    assert node.run(1, b"SWAPDB", b"0", b"1") == [b"+OK"]
    assert node.run(1, b"FLUSHALL") == [b"+OK", PUSH_ALL]


def test_all_is_spelled_in_the_protocol_of_who_tracks(node: InProcess) -> None:
    node.run(1, b"HELLO", b"3")
    node.run(2, b"CLIENT", b"TRACKING", b"ON", b"REDIRECT", node.run(1, b"CLIENT", b"ID")[0][1:])
    node.run(2, b"FLUSHALL")
    assert node.take(1) == [[b">", b"$invalidate", b"$-1"]]


def test_other_client_commands_do_not_use_up_caching(node: InProcess) -> None:
    node.run(1, b"HELLO", b"3")
    node.run(1, b"CLIENT", b"TRACKING", b"ON", b"OPTIN")
    node.run(1, b"CLIENT", b"CACHING", b"YES")
    node.run(1, b"CLIENT", b"ID")
    node.run(1, b"GET", b"a")
    node.run(2, b"SET", b"a", b"1")
    assert node.take(1) == [[b">", b"$invalidate", [b"*", b"$a"]]]


def test_a_refused_command_uses_up_caching(node: InProcess) -> None:
    node.run(1, b"HELLO", b"3")
    node.run(1, b"CLIENT", b"TRACKING", b"ON", b"OPTIN")
    node.run(1, b"CLIENT", b"CACHING", b"YES")
    node.run(1, b"GET")
    node.run(1, b"GET", b"a")
    node.run(2, b"SET", b"a", b"1")
    assert node.take(1) == []


def test_who_wants_no_replies_hangs_up_itself(node: InProcess) -> None:
    node.run(1, b"CLIENT", b"REPLY", b"OFF")
    assert node.run(1, b"QUIT") == []
    assert node.run(2, b"QUIT") == [b"+OK", b"-HUNGUP"]


def test_a_number_that_is_none_is_no_number_out_of_range(node: InProcess) -> None:
    assert node.run(1, b"WAITAOF", b"x", b"0", b"0") == [b"-ERR value is not an integer or out of range"]
    assert node.run(1, b"WAITAOF", b"2", b"0", b"0") == [b"-ERR value is out of range, value must between 0 and 1"]


def test_names_are_looked_at_up_to_a_nul(node: InProcess) -> None:
    assert node.run(1, b"CLIENT", b"SETINFO", b"lib-name", b"a\0 b") == [b"+OK"]
    assert node.run(1, b"CLIENT", b"SETNAME", b"a b")[0].startswith(b"-ERR Client names cannot contain spaces")


def test_a_client_that_kills_itself_is_told_so_first(node: InProcess) -> None:
    node.run(1, b"PING")
    itself = [b"CLIENT", b"KILL", b"ID", b"1", b"SKIPME", b"no"]
    node.run(1, b"MULTI")
    node.run(1, *itself)
    assert node.run(1, b"EXEC") == [[b"*", b":1"], b"-HUNGUP"]
    node.run(2, b"PING")
    assert node.run(2, *[b"2" if arg == b"1" else arg for arg in itself]) == [b":1", b"-HUNGUP"]


def test_what_debug_help_names_is_there() -> None:
    lines = debug.HELP.split("\n")
    names = {line.split()[0].lower().encode() for line in lines if not line.startswith(" ")}
    assert len(names) > 30
    assert names <= set(debug._SUBCOMMANDS)
