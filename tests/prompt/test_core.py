"""The prompt's core without a screen: replies, formats, words, completion, colors, history, state."""

import contextlib
import itertools
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocol.errors import ReplyError
from engine.protocol.resp import (
    NULL_ARRAY,
    Attribute,
    BigNumber,
    MapReply,
    Push,
    SetReply,
    Status,
    Verbatim,
    encode2,
    encode3,
    encode_command,
)
from tutor.client import Connection, LinkError
from tutor.prompt import (
    CommandDocs,
    CompletionContext,
    Double,
    LineHistory,
    OutputMode,
    PromptState,
    ReplyParser,
    complete,
    format_reply,
    help_text,
    highlight,
    is_sensitive,
    plain,
    prints_raw,
    quote,
    reply_spans,
    split_args,
    to_bytes,
    to_text,
    tokenize,
    unquote,
)
from tutor.prompt.replies import INCOMPLETE, NotRespError
from tutor.prompt.words import spell


@pytest.fixture(scope="module")
def table() -> CommandDocs:
    return CommandDocs.load()


def test_no_screen_in_the_mind_and_nothing_heavy_at_the_start() -> None:
    code = "import sys, tutor.prompt, tutor.cli, tutor.cli.repl; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"prompt_toolkit", "textual", "rich", "click", "ssl", "asyncio", "engine.node", "lupa"}
    assert heavy.isdisjoint(modules)


# --- replies ------------------------------------------------------------------------------------------------------

scalars = st.one_of(
    st.binary(max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
    st.booleans(),
    st.sampled_from([b"OK", b"QUEUED"]).map(Status),
    st.binary(max_size=8).map(lambda text: Verbatim(text)),
    st.integers().map(lambda number: BigNumber(b"%d" % number)),
    st.floats(allow_nan=False),
)
replies = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(SetReply),
        st.lists(inner, max_size=4).map(Push),
        st.lists(st.tuples(inner, inner), max_size=3).map(lambda pairs: MapReply(x for pair in pairs for x in pair)),
    ),
    max_leaves=12,
)


def read_all(data: bytes, sizes: list[int]) -> list[Any]:
    reader = ReplyParser()
    found: list[Any] = []
    at = 0
    while at < len(data):
        size = sizes.pop() if sizes else len(data)
        reader.feed(data[at : at + size])
        at += size
        while (reply := reader.next()) is not INCOMPLETE:
            found.append(reply)
    return found


@given(st.lists(replies, min_size=1, max_size=3), st.lists(st.integers(1, 7), max_size=60))
def test_replies_in_any_fragments(values: list[Any], sizes: list[int]) -> None:
    data = b"".join([encode3(value) for value in values])
    found = read_all(data, sizes)
    assert len(found) == len(values)
    assert b"".join([encode3(_plain(value)) for value in found]) == data


def _plain(value: Any) -> Any:
    if isinstance(value, Double):
        return float(value)
    if isinstance(value, list):
        return type(value)(_plain(item) for item in value)
    return value


@given(replies, st.lists(st.integers(1, 7), max_size=60))
def test_resp2_in_any_fragments(value: Any, sizes: list[int]) -> None:
    data = encode2(value)
    (found,) = read_all(data, sizes)
    assert encode2(found) == data


def test_attributes_belong_to_the_next_value() -> None:
    data = encode3([1, Attribute({b"ttl": 3}, b"x")]) + b":7\r\n"
    first, second = read_all(data, [1] * 100)
    assert first[0] == 1
    assert isinstance(first[1], Attribute)
    assert first[1].attributes == {b"ttl": 3}
    assert first[1].reply == b"x"
    assert second == 7


@pytest.mark.parametrize("data", [b"HTTP/1.1 400\r\n", b"H", b":x\r\n", b"$x\r\n", b"#x\r\n", b",x\r\n", b"*x\r\n"])
def test_what_is_not_resp(data: bytes) -> None:
    reader = ReplyParser()
    reader.feed(data)
    with pytest.raises(NotRespError):
        reader.next()


def test_nulls_and_errors() -> None:
    nil, null_array, error, blob = read_all(b"$-1\r\n*-1\r\n-ERR no\r\n!6\r\nERR no\r\n", [])
    assert nil is None
    assert null_array is NULL_ARRAY
    assert error.text == blob.text == b"ERR no"


# --- formats ------------------------------------------------------------------------------------------------------


@given(replies)
def test_spans_are_the_text(value: Any) -> None:
    joined = to_bytes("".join([text for _, text in reply_spans(value)]))
    assert joined == format_reply(value)


def test_nested_numbers_line_up() -> None:
    reply = [*range(9), [b"a", [b"b", b"c"]]]
    assert format_reply(reply).splitlines()[-3:] == [
        b'10) 1) "a"',
        b'    2) 1) "b"',
        b'       2) "c"',
    ]


def test_maps_line_up() -> None:
    reply = {b"one": [1, 2], b"two": {b"x": []}}
    assert format_reply(reply) == (
        b'1# "one" => \n   1) (integer) 1\n   2) (integer) 2\n2# "two" => 1# "x" => (empty array)\n'
    )


def test_which_replies_are_text() -> None:
    assert prints_raw([b"INFO"])
    assert prints_raw([b"client", b"LIST", b"x"])
    assert prints_raw([b"cluster", b"nodes"])
    assert not prints_raw([b"cluster", b"nodes", b"x"])
    assert not prints_raw([b"config", b"get", b"x"])
    assert format_reply(Verbatim(b"a\n"), verbatim=True) == b"a\n"


def test_errors_inside_replies() -> None:
    reply = [ReplyError(b"ERR one"), b"x"]
    assert format_reply(reply, OutputMode.RAW) == b"ERR one\n\nx\n"
    assert format_reply(reply, OutputMode.CSV) == b'ERROR,"ERR one","x"\n'
    assert format_reply(reply, OutputMode.JSON) == b'[error:"ERR one","x"]\n'


# --- words --------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=10), max_size=5))
def test_what_quote_writes_split_reads(args: list[bytes]) -> None:
    assert split_args(b" ".join(map(quote, args))) == args
    assert split_args(" ".join(map(spell, args))) == args


@given(st.text(alphabet="ab \"'\\\t"))
def test_words_cover_the_line(text: str) -> None:
    words = tokenize(text)
    args = split_args(text)
    if args is not None:
        assert [word.value for word in words] == args
    for one, next_one in itertools.pairwise(words):
        assert one.end <= next_one.start


def test_open_quotes() -> None:
    _, word = tokenize('echo "a b')
    assert (word.value, word.closed) == (b"a b", False)
    assert unquote('"a"') == b"a"
    assert unquote('"a" "b"') is None
    assert unquote('"a') is None


def test_bytes_survive() -> None:
    assert to_bytes(to_text(b"\xff\x00\xc3\xa9")) == b"\xff\x00\xc3\xa9"


# --- completion ---------------------------------------------------------------------------------------------------


def offers(text: str, table: CommandDocs, **more: Any) -> list[str]:
    return [one.text for one in complete(text, None, CompletionContext(commands=table, **more))]


def test_commands(table: CommandDocs) -> None:
    assert offers("hg", table) == ["hget", "hgetall"]
    assert offers("HG", table) == ["HGET", "HGETALL"]
    assert offers("config re", table) == ["resetstat", "rewrite"]
    assert offers("3 hg", table) == ["hget", "hgetall"]
    assert offers("nonsense ", table) == []


def test_keywords_follow_the_grammar(table: CommandDocs) -> None:
    assert offers("SET k v ", table)[:4] == ["NX", "XX", "GET", "EX"]
    assert offers("set k v nx ", table)[:2] == ["GET", "EX"]
    assert offers("set k v ex ", table) == []
    assert offers("set k v e", table) == ["ex", "exat"]
    assert offers("lmove a b ", table) == ["LEFT", "RIGHT"]
    assert offers("zadd k 1 m ", table) == []
    assert offers("zadd k ", table)[:2] == ["NX", "XX"]


def test_keys_where_the_grammar_has_keys(table: CommandDocs) -> None:
    def keys(prefix: bytes, limit: int) -> list[bytes]:
        return [key for key in (b"user:1", b"user 2", b"caf\xc3\xa9", b"\xff") if key.startswith(prefix)]

    assert offers("get ", table, keys=keys) == ["user:1", '"user 2"', "café", '"\\xff"']
    assert offers("get user:", table, keys=keys) == ["user:1"]
    assert offers('get "user ', table, keys=keys) == ['"user 2"']
    assert offers("mget a ", table, keys=keys)[0] == "user:1"
    assert offers("set k ", table, keys=keys) == []
    assert offers("get user:", table) == []


def test_help_topics_and_client_commands(table: CommandDocs) -> None:
    assert "@hash" in offers("help @", table)
    assert offers("HELP CONFIG RE", table) == ["CONFIG RESETSTAT", "CONFIG REWRITE"]
    assert offers(":s", table, client_commands={":set hints": "", ":why": ""}) == [":set hints"]
    assert offers(":set h", table, client_commands={":set hints": ""}) == [":set hints"]


def test_completion_replaces_the_word_at_the_cursor(table: CommandDocs) -> None:
    (one,) = complete("lpop key; rest", 3, CompletionContext(commands=table))[:1]
    assert (one.start, one.text) == (0, "lpop")


@pytest.mark.long
@given(st.text(max_size=30))
def test_completion_takes_anything(text: str) -> None:
    table = CommandDocs.from_docs([b"get", [b"arguments", [[b"name", b"key", b"type", b"key"]]]])
    for cursor in range(len(text) + 1):
        complete(text, cursor, CompletionContext(commands=table))
    assert "".join([part for _, part in highlight(text, table)]) == text


# --- colors ------------------------------------------------------------------------------------------------------


def test_colors(table: CommandDocs) -> None:
    def styles(text: str) -> list[tuple[str, str]]:
        return [(style, part) for style, part in highlight(text, table) if style]

    assert styles("set k 1 ex 10") == [
        ("command", "set"),
        ("key", "k"),
        ("number", "1"),
        ("token", "ex"),
        ("number", "10"),
    ]
    assert styles("config get x") == [("command", "config"), ("command", "get"), ("argument", "x")]
    assert styles("nonsense x") == [("unknown", "nonsense"), ("argument", "x")]
    assert styles('get "x') == [("command", "get"), ("error", '"x')]
    assert styles("3 ping") == [("repeat", "3"), ("command", "ping")]
    assert styles("help set")[0] == ("client", "help")


# --- help ---------------------------------------------------------------------------------------------------------


def test_help(table: CommandDocs) -> None:
    assert "GET key\n" in plain(help_text([b"get"], table))
    assert "\x1b" not in plain(help_text([b"@hash"], table))
    assert plain(help_text([b"nonsense"], table)) == "\n"


# --- history ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("auth x", True),
        ("AUTH u x", True),
        ("acl setuser bob >x", True),
        ("acl list", False),
        ("config set requirepass x", True),
        ("config set maxmemory 1 masterauth x", True),
        ("config set maxmemory 1", False),
        ("config get requirepass", False),
        ("hello 3 auth u p", True),
        ("hello 3 setname n auth u p", True),
        ("hello 3 setname auth", False),
        ("migrate h 1 k 0 10 auth p", True),
        ("migrate h 1 k 0 10 copy auth2 u p", True),
        ("migrate h 1 k 0 10 keys auth p", False),
        ("get auth", False),
    ],
)
def test_secrets(line: str, secret: bool) -> None:
    args = split_args(line)
    assert args is not None
    assert is_sensitive(args) is secret
    assert LineHistory().add(line) is not secret


def test_history_file(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"one\ntwo\n\xff\n")
    first, second = LineHistory(path), LineHistory(path)
    assert first.add("three")
    assert not first.add("three")
    assert second.add("four")
    assert path.read_bytes() == b"one\ntwo\n\xff\nthree\nfour\n"
    assert LineHistory(path).lines[:2] == ["one", "two"]
    assert first.search("t") == 3
    assert first.search("t", 3) == 1
    assert first.starting_with("th") == "three"
    assert first.starting_with("three") is None


def test_history_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join([f"{i}\n" for i in range(100)]))
    assert LineHistory(path, size=10).lines == [str(i) for i in range(90, 100)]
    assert path.read_text().count("\n") == 10


def test_history_that_cannot_be_written(tmp_path: Path) -> None:
    history = LineHistory(tmp_path / "no" / "folder")
    assert history.add("ping")
    assert history.lines == ["ping"]


# --- state --------------------------------------------------------------------------------------------------------


def test_prompt() -> None:
    state = PromptState(port=7000)
    assert state.prompt() == "not connected> "
    state.connected = True
    assert state.prompt() == "127.0.0.1:7000> "
    state.after([b"SELECT", b"2"], Status(b"OK"))
    assert state.prompt() == "127.0.0.1:7000[2]> "
    state.after([b"MULTI"], Status(b"OK"))
    assert state.prompt() == "127.0.0.1:7000[2](TX)> "
    state.after([b"SELECT", b"5"], Status(b"QUEUED"))
    state.after([b"EXEC"], None)
    assert state.prompt() == "127.0.0.1:7000[2]> "
    state.after([b"SUBSCRIBE", b"a"], [b"subscribe", b"a", 1])
    assert state.prompt() == "127.0.0.1:7000[2](subscribed mode)> "
    state.after([b"RESET"], Status(b"RESET"))
    assert state.prompt() == "127.0.0.1:7000> "
    assert PromptState(host="::1", connected=True).prompt() == "[::1]:6379> "
    assert PromptState(socket="/tmp/s", connected=True).prompt() == "redis /tmp/s> "


def test_lost_connection_keeps_the_wanted_database() -> None:
    state = PromptState(connected=True)
    state.after([b"SELECT", b"2"], Status(b"OK"))
    state.connection_lost()
    assert (state.db, state.wanted_db, state.connected) == (0, 2, False)


def test_commands_go_out_as_arrays() -> None:
    assert encode_command([b"GET", b"k"]) == b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"


def test_what_a_server_said_before_it_hung_up_is_the_reply():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"-ERR max number of clients reached\r\n")
    theirs.close()
    with contextlib.closing(Connection(ours)) as connection:
        connection.send([b"PING"])
        assert connection.read().text == b"ERR max number of clients reached"
        with pytest.raises(LinkError, match="Broken pipe"):
            connection.send([b"PING"])
