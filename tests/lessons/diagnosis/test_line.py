"""What is no Redis command is recognized by its text, and a line that is one is left alone."""

import pytest

from tutor.lesson.diagnosis import line
from tutor.lesson.diagnosis.model import LONG, Place

REDIS = Place("redis", False, (("redis", False), ("shell", True)))
SHELL = Place("shell", True, (("redis", False), ("shell", True)))
ALONE = Place("redis", False, (("redis", False),))
KNOWN = frozenset(("book:1", "title", "Dune", "author", "Herbert", "shelf"))


@pytest.mark.parametrize(
    "typed, slot, words",
    [
        ("127.0.0.1:6379> GET book:1", "prompt", "127.0.0.1:6379>"),
        ("127.0.0.1:6379[3](TX)> GET book:1", "prompt", "the prompt"),
        ("redis 127.0.0.1:6379> GET book:1", "prompt", "the prompt"),
        ("redis> GET book:1", "prompt", "the prompt"),
        ("shell> ls", "prompt", "names a terminal"),
        ("$ GET book:1", "prompt", "`$`"),
        ("1) GET book:1", "prompt", "`1)`"),
        ("SET book:1 “Dune”", "quote", "typographic"),
        ("SET book:1 «Dune»", "quote", "typographic"),
        ("SET\u00a0book:1 Dune", "space", "U+00A0"),
        ("SET\u3000book:1 Dune", "space", "U+3000"),
        ("SET book:1\u200b Dune", "space", "invisible"),
        ("SЕT book:1 Dune", "letters", "Cyrillic"),
        ("SET boоk:1 Dune", "letters", "Cyrillic"),
        ("ＳＥＴ book:1 Dune", "letters", "Fullwidth"),
        ("ЫУЕ book:1 Dune", "layout", "Russian"),
        ("пуе book:1", "layout", "Russian"),
        ("ΓΕΤ book:1", "layout", "Greek"),
        ("WQDD shelf 1 Dune", "layout", "AZERTY"),
        ("YADD shelf 1 Dune", "layout", "QWERTZ"),
        ('SET book:1 "Dune', "quote", "never closed"),
        ("SET book:1 'Dune", "quote", "never closed"),
        ("SET book:1 Herbert's", "quote", "apostrophe"),
        ('SET book:1 "Dune"x', "quote", "space"),
        ('SET book:1 Dune"', "quote", "opening one"),
        ("`GET book:1`", "quote", "Backquotes"),
        ('"SET book:1 Dune"', "quote", "whole command"),
        ('SET "book:1 Dune"', "quote", "too much"),
        ("redis-cli GET book:1", "shell", "leave `redis-cli` out"),
        ("sudo redis-cli GET book:1", "shell", "leave `redis-cli` out"),
        ("systemctl start redis", "shell", "terminal `shell`"),
        ("ls -l", "shell", "terminal `shell`"),
        ("INSERT INTO book VALUES ('Dune')", "language", "SQL"),
        ("SELECT * FROM book", "language", "SQL"),
        ("UPDATE book SET title = 'Dune'", "language", "SQL"),
        ("delete from book", "language", "SQL"),
        ("r.set('book:1', 'Dune')", "language", "program"),
        ("print('hello')", "language", "program"),
        ('SET("book:1", "Dune")', "language", "program"),
        ("await client.get('book:1')", "language", "program"),
        ("redis.call('GET', 'book:1')", "language", "inside a script"),
        ('HSET book:1 {"title": "Dune"}', "pair", "JSON"),
        ("HSET book:1 title:Dune", "pair", "single word"),
        ("HSET book:1 title=Dune", "pair", "single word"),
        ("SET book:1 = Dune", "pair", "`=`"),
        ("SET book:1, Dune", "separator", "ends with a comma"),
        ("DEL book:1,shelf,title", "separator", "commas"),
        ("GET book:1;", "separator", "semicolon"),
        ("GET book:1 ; GET shelf", "separator", "one command per line"),
        ("GET book:1 && GET shelf", "separator", "one command per line"),
        ("GET book:1 | grep D", "separator", "pipe"),
        ("GET book:1 # the title", "separator", "comments"),
        ("hint", "tutor", ":hint"),
        ("undo", "tutor", ":undo"),
        ("exit", "tutor", ":quit"),
        ("GET <book:1>", "placeholder", "brackets"),
    ],
)
def test_a_rule(typed, slot, words):
    found = line.look(typed, REDIS, True, KNOWN)
    assert found is not None, typed
    assert (found.kind, found.slot) == ("line", slot), found
    assert words in found.text
    assert found.near


@pytest.mark.parametrize(
    "typed, known", [("GET book:1", True), ("SELECT 3", True), ("echo hi", False), ("cat redis.conf", False)]
)
def test_a_redis_command_in_a_shell(typed, known):
    found = line.look(typed, SHELL, True, KNOWN)
    assert (found is not None and "redis-cli" in found.text) is known


@pytest.mark.parametrize(
    "typed",
    [
        "SET note it’s-late",
        "SET user:1 Ада",
        "SET user:1 Ζωή",
        "HSET book:1 json '{\"a\":1}'",
        'SET page "<html>, <b>"',
        "SET k a,b",
        "ZADD board 1 ada, 2",
        "SET url http://x/?a=b",
        'EVAL "return {KEYS[1], ARGV[1]}" 1 a b',
        "ACL SETUSER bob on >secret ~* +@all",
        "XREADGROUP GROUP g c STREAMS s >",
        "SET a|b c",
        "SET tag #red",
        "SET time 12:30",
        "CONFIG SET save '3600 1; 300 10'",
        "KEYS user:*",
        "GETRANGE k 0 -1",
        "reset",
        "RESET",
        "quit",
        "",
        "   ",
        ":hint",
        "PUBLISH ch hello;",
    ],
)
def test_a_line_that_worked_is_left_alone(typed):
    assert line.look(typed, ALONE, False, KNOWN) is None


def test_a_very_long_line_is_not_looked_at():
    assert line.look("SET book:1 “" + "x" * LONG, REDIS, True, KNOWN) is None
    assert line.look("\x00\udcff“" * LONG, REDIS, True, KNOWN) is None


def test_a_word_is_shown_shortened():
    found = line.look("SET book:1 '" + "x" * 500, REDIS, True, KNOWN)
    assert found is not None and len(found.text) < 300
