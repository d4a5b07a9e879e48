"""What stands where among replies, pushes and what others are shown."""

import pytest

from engine.commands import debug
from tests.inprocess import InProcess, Parsed

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
    def kill_itself(link: int) -> list[Parsed]:
        return node.run(link, b"CLIENT", b"KILL", b"ID", b"%d" % node.node.links[link].id, b"SKIPME", b"no")

    assert node.run(1, b"MULTI") == [b"+OK"]
    assert kill_itself(1) == [b"+QUEUED"]
    assert node.run(1, b"EXEC") == [[b"*", b":1"], b"-HUNGUP"]
    node.run(2, b"PING")
    assert kill_itself(2) == [b":1", b"-HUNGUP"]


def test_what_debug_help_names_is_there() -> None:
    lines = debug.HELP.split("\n")
    names = {line.split()[0].lower().encode() for line in lines if not line.startswith(" ")}
    assert len(names) > 30
    assert names <= set(debug._SUBCOMMANDS)


def test_a_push_of_debug_protocol_follows_the_reply(node: InProcess) -> None:
    node.run(1, b"HELLO", b"3")
    push = [b">", b"$server-cpu-usage", b":42"]
    assert node.run(1, b"DEBUG", b"PROTOCOL", b"push") == [b"$Some real reply following the push reply", push]


def test_invalidations_of_own_changes_follow_all_other_pushes(node: InProcess) -> None:
    node.run(1, b"CONFIG", b"SET", b"notify-keyspace-events", b"KA")
    node.run(1, b"HELLO", b"3")
    node.run(1, b"SUBSCRIBE", b"__keyspace@0__:k", b"c")
    node.run(1, b"CLIENT", b"TRACKING", b"ON")
    events = {event: [b">", b"$message", b"$__keyspace@0__:k", b"$" + event] for event in (b"set", b"append")}
    message = [b">", b"$message", b"$c", b"$m"]
    invalidation = [b">", b"$invalidate", [b"*", b"$k"]]
    node.run(1, b"GET", b"k")
    assert node.run(1, b"SET", b"k", b"v") == [b"+OK", events[b"set"], invalidation]
    node.run(1, b"GET", b"k")
    script = b"redis.call('append', 'k', 'x') redis.call('publish', 'c', 'm') return 5"
    assert node.run(1, b"EVAL", script, b"0") == [b":5", events[b"append"], message, invalidation]
    node.run(1, b"GET", b"k")
    node.run(1, b"MULTI")
    for request in ([b"APPEND", b"k", b"x"], [b"CLIENT", b"TRACKING", b"OFF"], [b"PUBLISH", b"c", b"m"]):
        node.run(1, *request)
    reply = [b"*", b":3", b"+OK", b":1"]
    assert node.run(1, b"EXEC") == [reply, events[b"append"], message, invalidation]


def test_invalidations_of_own_changes_reach_whom_they_are_redirected_to_last(node: InProcess) -> None:
    node.run(1, b"CONFIG", b"SET", b"notify-keyspace-events", b"KA")
    node.run(2, b"HELLO", b"3")
    node.run(2, b"SUBSCRIBE", b"__keyspace@0__:k")
    node.run(1, b"CLIENT", b"TRACKING", b"ON", b"REDIRECT", b"%d" % node.node.links[2].id)
    node.run(1, b"GET", b"k")
    node.run(1, b"SET", b"k", b"v")
    event = [b">", b"$message", b"$__keyspace@0__:k", b"$set"]
    assert node.take(2) == [event, [b">", b"$invalidate", [b"*", b"$k"]]]


def test_events_of_served_clients_follow_those_of_the_command_that_served_them(node: InProcess) -> None:
    node.run(1, b"CONFIG", b"SET", b"notify-keyspace-events", b"El")
    node.run(1, b"HELLO", b"3")
    node.run(1, b"SUBSCRIBE", b"__keyevent@0__:rpush", b"__keyevent@0__:lpop")
    node.run(2, b"BLPOP", b"q", b"0")
    reply, *pushes = node.run(1, b"RPUSH", b"q", b"1")
    assert reply == b":1"
    assert [push[2] for push in pushes] == [b"$__keyevent@0__:rpush", b"$__keyevent@0__:lpop"]


def test_prefixes_that_overlap_each_other_are_refused_only_with_the_first(node: InProcess) -> None:
    tracking = [b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX"]
    text = b"-ERR Prefix '%b' overlaps with %b prefix '%b'. Prefixes for a single client must not overlap."
    assert node.run(1, *tracking, b"y", b"PREFIX", b"x", b"PREFIX", b"yy") == [
        text % (b"y", b"another provided", b"yy")
    ]
    assert node.run(1, b"CLIENT", b"GETREDIR") == [b":-1"]
    assert node.run(1, *tracking, b"x", b"PREFIX", b"y", b"PREFIX", b"y") == [
        text % (b"y", b"another provided", b"y"),
        b"+OK",
    ]
    assert b"errorstat_ERR:count=2" in node.run(1, b"INFO", b"errorstats")[0]
    assert b"failed_calls=2" in node.run(1, b"INFO", b"commandstats")[0].partition(b"client|tracking")[2]
    assert node.run(1, *tracking, b"a", b"PREFIX", b"xx") == [text % (b"xx", b"an existing", b"x")]
    assert node.run(1, b"CLIENT", b"TRACKINGINFO")[0][-1] == [b"*", b"$x", b"$y"]


def test_a_monitor_that_wants_no_replies_is_shown_nothing(node: InProcess) -> None:
    node.run(1, b"MONITOR")
    assert node.run(1, b"CLIENT", b"REPLY", b"OFF") == []
    node.run(2, b"PING")
    assert node.take(1) == []


def test_ids_of_clients_count_on_from_those_of_the_server_itself(node: InProcess) -> None:
    assert node.run(1, b"CLIENT", b"ID") == [b":3"]
    assert node.run(2, b"CLIENT", b"ID") == [b":4"]


def test_debug_populate_makes_no_value_that_is_longer_than_any_string(node: InProcess) -> None:
    too_long = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    assert node.run(1, b"DEBUG", b"POPULATE", b"3", b"k", b"9223372036854775807") == [too_long]
    assert node.run(1, b"DEBUG", b"POPULATE", b"3", b"k", b"10") == [b"+OK"]
    assert node.run(1, b"GET", b"k:2") == [b"$value:2\x00\x00\x00"]


@pytest.mark.parametrize(
    ("request_line", "error"),
    [
        (b"SLOWLOG GET 1 2", b"ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."),
        (b"slowlog get x y", b"ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP."),
        (
            b"PUBSUB CHANNELS a b",
            b"ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
        ),
        (b"acl cat a b", b"ERR unknown subcommand or wrong number of arguments for 'cat'. Try ACL HELP."),
        (
            b"FUNCTION FLUSH a b",
            b"ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.",
        ),
        (b"ACL LOG RESET x", b"ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP."),
        (b"LATENCY GRAPH a\x00b", b"ERR No samples available for event 'a'"),
        (b"XPENDING k\x00k g\x00g", b"NOGROUP No such key 'k' or consumer group 'g'"),
        (b"CLIENT SETINFO o\x00p v", b"ERR Unrecognized option 'o'"),
        (b"CLIENT a\x00b", b"ERR unknown subcommand 'a'. Try CLIENT HELP."),
        (b"DEBUG OBJECT", b"ERR unknown subcommand or wrong number of arguments for 'OBJECT'. Try DEBUG HELP."),
        (
            b"ACL SETUSER u ~a +@x\x00y",
            b"ERR Error in ACL SETUSER modifier '+@x': Unknown command or category name in ACL",
        ),
    ],
)
def test_arguments_that_do_not_fit_a_subcommand(node: InProcess, request_line: bytes, error: bytes) -> None:
    assert node.run(1, *request_line.split(b" ")) == [b"-" + error]


REFUSED = [
    *(b"NOSUCH", b"GET", b"CONFIG", b"CONFIG NOSUCH", b"CONFIG GET", b"CLIENT NOSUCH x", b"CLIENT REPLY NOSUCH"),
    *(b"EXEC", b"DISCARD", b"XADD k", b"EVAL x", b"GET list", b"SUBSCRIBE", b"*0", b""),
]


@pytest.mark.parametrize("request_", [b"PING", b"ECHO x", b"RESET", b"MULTI", b"BLPOP list 0", *REFUSED])
def test_client_reply_skip_silences_the_next_request_whatever_comes_of_it(node: InProcess, request_: bytes) -> None:
    node.run(2, b"RPUSH", b"list", b"a", b"b")
    node.send(1, b"CLIENT REPLY SKIP\r\n%b\r\nECHO after\r\n" % request_)
    assert node.take(1) == [b"+QUEUED" if request_ == b"MULTI" else b"$after"]


def test_client_reply_skip_silences_queued_commands_and_refused_transactions(node: InProcess) -> None:
    node.send(1, b"MULTI\r\nCLIENT REPLY SKIP\r\nPING\r\nEXEC\r\nPING\r\nECHO after\r\n")
    assert node.take(1)[-1] == [b"*", b"+PONG", b"$after"]  # the skipping command has no reply in the array
    node.send(1, b"MULTI\r\nNOSUCH\r\nCLIENT REPLY SKIP\r\nEXEC\r\nPING\r\n")
    replies = node.take(1)
    assert [reply[:10] for reply in replies] == [b"+OK", b"-ERR unkno", b"+QUEUED", b"-EXECABORT", b"+PONG"]


def test_client_reply_skip_silences_refusals_for_lack_of_permission(node: InProcess) -> None:
    node.run(2, b"ACL", b"SETUSER", b"default", b"-get")
    node.send(1, b"CLIENT REPLY SKIP\r\nGET a\r\nPING\r\n")
    assert node.take(1) == [b"+PONG"]
    node.run(2, b"ACL", b"SETUSER", b"default", b">secret")
    node.send(3, b"CLIENT REPLY SKIP\r\nPING\r\nPING\r\n")  # refused, so that nothing is skipped
    assert [reply[:7] for reply in node.take(3)] == [b"-NOAUTH"] * 3


def test_client_reply_skip_lasts_until_a_blocked_command_ends(node: InProcess) -> None:
    def blocked(link: int, request_: bytes) -> bytes:
        node.send(link, b"CLIENT REPLY SKIP\r\n%b\r\n" % request_)
        assert node.take(link) == []
        return b"%d" % node.node.links[link].id

    blocked(1, b"BLPOP z 0.1")
    node.now_us += 200_000
    node.node.wake(node.now_us)
    node.settle()
    assert node.take(1) == []
    assert node.run(1, b"PING") == [b"+PONG"]

    blocked(2, b"BLPOP z 0")
    node.run(3, b"RPUSH", b"z", b"a")
    assert node.run(2, b"PING") == [b"+PONG"]

    for link, word in ((4, b"TIMEOUT"), (5, b"ERROR")):
        assert node.run(3, b"CLIENT", b"UNBLOCK", blocked(link, b"BLPOP z 0"), word) == [b":1"]
        assert node.run(link, b"PING") == [b"+PONG"]

    assert node.run(3, b"CLIENT", b"UNBLOCK", blocked(6, b"WAIT 5 0")) == [b":1"]
    assert node.run(6, b"PING") == [b"+PONG"]

    node.run(3, b"CLIENT", b"PAUSE", b"100000", b"WRITE")
    blocked(7, b"SET a 1")
    node.run(3, b"CLIENT", b"UNPAUSE")
    assert node.run(7, b"PING") == [b"+PONG"]


@pytest.mark.parametrize("seconds", [b"-1", b"-0.5", b"inf", b"-inf", b"nan", b"1e300", b"x", b"0", b""])
def test_debug_sleep_does_not_sleep_for_times_that_make_no_sense(node: InProcess, seconds: bytes) -> None:
    assert node.run(1, b"DEBUG", b"SLEEP", seconds) == [b"+OK"]
    assert node.node.waiting.stalled_until_us == 0


SYNTAX = b"-ERR unknown subcommand or wrong number of arguments for '%b'. Try %b HELP."
NO_CLUSTER = b"-ERR Debug option only available for cluster mode enabled setup!"


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (b"CLIENT PAUSE 0 WRITE x", SYNTAX % (b"PAUSE", b"CLIENT")),
        (b"CLIENT PAUSE -1 WRITE x", SYNTAX % (b"PAUSE", b"CLIENT")),
        (b"CLIENT PAUSE -1 x", b"-ERR CLIENT PAUSE mode must be WRITE or ALL"),
        (b"DEBUG AOF-FLUSH-SLEEP x", b"+OK"),
        (b"DEBUG AOF-FLUSH-SLEEP -5", b"+OK"),
        (b"DEBUG CLIENT-EVICTION", b"-ERR maxmemory-clients is disabled."),
        (b"DEBUG DROP-CLUSTER-PACKET-FILTER x", b"-ERR value is not an integer or out of range"),
        (b"DEBUG DROP-CLUSTER-PACKET-FILTER 1", b"+OK"),
        (b"DEBUG CLUSTERLINK KILL a b", NO_CLUSTER),
        (b"DEBUG CLUSTERLINK x a b", SYNTAX % (b"CLUSTERLINK", b"DEBUG")),
        (b"DEBUG CLUSTERLINK KILL a", SYNTAX % (b"CLUSTERLINK", b"DEBUG")),
    ],
)
def test_commands_for_tests_answer_odd_arguments(node: InProcess, request_: bytes, reply: bytes) -> None:
    assert node.run(1, *request_.split()) == [reply]


def test_debug_client_eviction_counts_clients_by_their_size(node: InProcess) -> None:
    node.run(1, b"CONFIG", b"SET", b"maxmemory-clients", b"1gb")
    node.run(2, b"CLIENT", b"NO-EVICT", b"on")
    lines = node.run(1, b"DEBUG", b"CLIENT-EVICTION")[0][1:].split(b"\n")
    assert lines[1].startswith(b"bucket      32768 -      65535: tot-mem: ")
    assert lines[-2] == b"bucket 4294967296+            : tot-mem:          0, clients: 0"
    assert sum(int(line.rsplit(b" ", 1)[1]) for line in lines if line) == 1


def test_debug_object_counts_references_as_object_refcount_does(node: InProcess) -> None:
    for value, count in ((b"9999", 2**31 - 1), (b"10000", 1), (b"x", 1)):
        node.run(1, b"SET", b"k", value)
        assert node.run(1, b"OBJECT", b"REFCOUNT", b"k") == [b":%d" % count]
        assert b" refcount:%d " % count in node.run(1, b"DEBUG", b"OBJECT", b"k")[0]
