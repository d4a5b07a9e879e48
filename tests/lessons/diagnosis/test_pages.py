"""Every error reply that a learner can meet has a page, filled with the learner's own words."""

import re

import pytest

from tests.lessons.diagnosis import error_texts
from tutor.lesson.diagnosis import explain_error, pages, short_explanation
from tutor.lesson.server import EngineServer

# What only a fault in the server, or its own tests, can cause.
INTERNAL = ("ERR The Lua interpreter", "ERR internal error", "ERR unknown error", "ERR CONFIG-REWRITE-FORCE-ALL")
AS_GIVEN = "ERR word"  # the text is a client's or a script's own
SCRIPT = "ERR user_script:1: {} script: 0123456789abcdef0123456789abcdef01234567, on @user_script:1."


def without_a_page(texts):
    return [each for each in texts if pages.find(each) is None and not each.startswith(INTERNAL) and each != AS_GIVEN]


@pytest.mark.long
def test_every_error_of_the_server_has_a_page():
    found = error_texts.of_python()
    assert len(found) > 450
    for put_together in (
        "ERR CONFIG SET failed (possibly related to argument 'word') - word",
        "ERR Error in ACL SETUSER modifier 'word': Syntax error",
        "ERR unknown command 'word', with args beginning with:",
        "ERR Script attempted to access a non local key in a cluster node",
    ):
        assert put_together in found
    assert {each: found[each] for each in without_a_page(found)} == {}


def test_every_error_of_the_lua_sources_has_a_page():
    found = error_texts.of_lua()
    assert len(found) > 25
    codes = [each for each in found if each.startswith("ERR ")]
    assert len(codes) > 5
    assert without_a_page(codes) == []
    assert without_a_page([SCRIPT.format(each) for each in found if each not in codes]) == []


@pytest.mark.long
def test_pages_are_filled():
    for error in error_texts.of_python():
        page = explain_error([b"GET", b"book:1"], error.encode())
        assert not re.search(r"(?<!\{)\{(name|key|\d)\}", page), error
        assert 20 < len(page) < 800, error
        assert not re.search(r"[!…]$|\(\)|`` |  \S", page.split("Syntax:")[0].replace("()", "")), error


@pytest.mark.parametrize(
    "script, said",
    [
        (b"x = 1", "Write `local` before"),
        (b"local t = nil; return t.a", "a missing value is nil"),
        (b"return cjson.decode('{')", "in line 1: Expected object key"),
        (b"return string.rep('x')", "argument 2 of the function `rep`"),
        (b"error('no seat')", "in line 1: no seat"),
        (b"error({err='SOLD seat 12'})", "seat 12"),
        (b"return redis.error_reply('SOLD seat 12')", "The script itself returned this error: seat 12"),
        (b"redis.log(1)", "`redis.log` takes a level and a text"),
        (b"return redis.sha1hex()", "with wrong arguments"),
        (b"redis.setresp(9)", "must be 2 or 3"),
        (b"return KEYS[1", "near line 1"),
    ],
)
def test_a_script_that_fails(script, said, server):
    argv = [b"EVAL", script, b"0"]
    (error,) = server.execute("redis", argv)
    assert said in explain_error(argv, error.text)


@pytest.fixture(scope="module")
def server():
    server = EngineServer(("redis",))
    yield server
    server.close()


class Server:
    """A server with one list."""

    def __call__(self, argv, db):
        return {b"TYPE": "list", b"LLEN": 3, b"DBSIZE": 1, b"KEYS": [b"book:1"], b"GET": b"abc"}.get(argv[0], 0)


@pytest.mark.parametrize(
    "argv, error, said",
    [
        ("GET book:1", "WRONGTYPE Operation against a key holding the wrong kind of value", "`book:1` holds a list"),
        ("LSET book:1 9 x", "ERR index out of range", "has 3 elements"),
        ("LSET bok:1 9 x", "ERR no such key", "There is a key `book:1`"),
        ("INCR book:1", "ERR value is not an integer or out of range", '"abc"'),
        (
            "CONFIG SET max-memory 1",
            "ERR Unknown option or number of arguments for CONFIG SET - 'max-memory'",
            "`maxmemory`",
        ),
        ("DELETE book:1", "ERR unknown command 'DELETE', with args beginning with:", "Did you mean `DEL`?"),
        ("XYZ", "ERR something new", "something new"),
    ],
)
def test_the_state_is_told(argv, error, said):
    assert said in explain_error(argv.encode().split(), error.encode(), Server())
    assert short_explanation(argv.encode().split(), f"(error) {error}\n", Server())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("SENTINEL MASTERS", "`SENTINEL` is a command of Sentinels, and this is a server of another kind."),
        ("SET a 1", "Redis has `SET`, but this server does not: it is a Sentinel, or the command was renamed."),
        ("GET-MASTER-ADDR-BY-NAME m", "`GET-MASTER-ADDR-BY-NAME` is a subcommand: it comes after `SENTINEL`."),
        ("NUMSUB a", "`NUMSUB` is a subcommand: it comes after `PUBSUB`."),
        ("STE a 1", "Redis has no command `STE`. Did you mean `SET`?\n"),
    ],
)
def test_why_a_command_is_unknown(argv, said):
    words = argv.encode().split()
    assert explain_error(words, b"ERR unknown command '%s'" % words[0]).startswith(said)


def test_the_clients_database_is_looked_at():
    def inspect(argv, db):
        return "hash" if db == 3 else "none"

    error = b"WRONGTYPE Operation against a key holding the wrong kind of value"
    assert "`book:1` holds a hash" in explain_error([b"GET", b"book:1"], error, inspect, 3)
    assert "holds a" not in explain_error([b"GET", b"book:1"], error, inspect, 0)


def test_what_is_no_error_is_not_explained():
    assert short_explanation([b"GET", b"a"], '"value"\n') == ""
