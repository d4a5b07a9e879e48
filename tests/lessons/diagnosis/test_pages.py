"""Every error reply that a learner can meet has a page, filled with the learner's own words."""

import ast
import re
from pathlib import Path

import pytest

from tutor.lesson.diagnosis import explain_error, pages, short_explanation

ENGINE = Path(__file__).parents[3] / "engine"

# Texts that are put together from others, or that only programs of Redis itself can cause.
INTERNAL = (
    "ERR ", "ERR %b", "ERR Script attempted to ",
    "ERR The Lua interpreter", "ERR internal error", "ERR unknown error",
    "ERR CONFIG-REWRITE-FORCE-ALL", "ERR error saving the cluster", "ERR timeout during Lua debugging", "TESTFAILED",
    "ERR Please use SETSLOT only with masters", "ERR can only reset normal client", "ERR RESP version must be 2 or 3",
)  # fmt: skip


def texts():
    """Return the error replies in the engine's source."""
    found = set()
    for path in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes) and b"\n" not in node.value:
                text = node.value.decode(errors="replace")
                if re.match(r"(ERR|[A-Z]{4,}) [A-Za-z%'(]", text) and (
                    text.startswith("ERR") or text.split()[0] in CODES.split()
                ):
                    found.add(text)
    return sorted(found)


CODES = """
BUSY BUSYGROUP BUSYKEY CLUSTERDOWN CROSSSLOT DENIED EXECABORT INPROG INVALIDOBJ IOERR LOADING MASTERDOWN MISCONF
NOAUTH NOGOODSLAVE NOGROUP NOMASTERLINK NOPERM NOPROTO NOQUORUM NOREPLICAS NOSCRIPT NOTBUSY READONLY TRYAGAIN
UNBLOCKED UNKILLABLE WRONGPASS WRONGTYPE
"""


def as_sent(text):
    return text.replace("%b", "word").replace("%d", "7")


@pytest.mark.long
def test_every_error_of_the_server_has_a_page():
    assert len(texts()) > 300
    bare = [text for text in texts() if pages.find(as_sent(text)) is None]
    rest = [
        text
        for text in bare
        if text not in INTERNAL
        and not text.startswith(tuple(each for each in INTERNAL if each[4:] and each != "ERR %b"))
    ]
    assert rest == []


@pytest.mark.parametrize("text", texts())
def test_a_page_is_filled(text):
    error = as_sent(text).encode()
    page = explain_error([b"GET", b"book:1"], error)
    assert not re.search(r"(?<!\{)\{(name|key|\d)\}", page)
    assert 20 < len(page) < 800
    assert not re.search(r"[!…]$|\(\)|`` |  \S", page.split("It is used so")[0])


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
        ("DELETE book:1", "ERR unknown command 'DELETE', with args beginning with: ", "Did you mean `DEL`?"),
        ("XYZ", "ERR something nobody has seen", "something nobody has seen"),
    ],
)
def test_the_state_is_told(argv, error, said):
    assert said in explain_error(argv.encode().split(), error.encode(), Server())
    assert short_explanation(argv.encode().split(), f"(error) {error}\n", Server())


def test_the_clients_database_is_looked_at():
    def inspect(argv, db):
        return "hash" if db == 3 else "none"

    error = b"WRONGTYPE Operation against a key holding the wrong kind of value"
    assert "`book:1` holds a hash" in explain_error([b"GET", b"book:1"], error, inspect, 3)
    assert "holds a" not in explain_error([b"GET", b"book:1"], error, inspect, 0).replace("A key holds a", "")


def test_what_is_no_error_is_not_explained():
    assert short_explanation([b"GET", b"a"], '"value"\n') == ""
