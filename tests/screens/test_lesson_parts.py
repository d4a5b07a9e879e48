from engine.protocol.errors import ReplyError
from tutor.lesson.diagnosis import explain_error
from tutor.lesson.key_view import keys_of, read_keys
from tutor.lesson.terminal import MAX_ROWS, reply_rows
from tutor.lesson.wire_view import escape, explain
from tutor.prompt.rows import clean
from tutor.widgets.rows import wrap, wrap_words


def test_wire_explains_a_request() -> None:
    frames = explain(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", to_server=True)
    assert [(frame.bytes, frame.meaning, frame.depth) for frame in frames] == [
        ("*2\\r\\n", "a command of 2 words", 0),
        ("$3\\r\\nGET\\r\\n", '3 bytes: "GET"', 1),
        ("$1\\r\\na\\r\\n", '1 bytes: "a"', 1),
    ]


def test_wire_explains_replies_one_after_the_other() -> None:
    frames = explain(b"+OK\r\n-ERR no\r\n:3\r\n$-1\r\n*2\r\n*1\r\n:1\r\n_\r\n%1\r\n+a\r\n#t\r\n", to_server=False)
    assert [frame.meaning for frame in frames] == [
        "status: OK",
        "error ERR: no",
        "integer 3",
        "null: nothing there",
        "array of 2",
        "array of 1",
        "integer 1",
        "null",
        "map of 1 pairs",
        "status: a",
        "true",
    ]
    assert [frame.depth for frame in frames] == [0, 0, 0, 0, 0, 1, 2, 1, 0, 1, 1]


def test_wire_takes_pieces_and_anything() -> None:
    assert explain(b"$10\r\nabc", False, 16)[0].meaning == '10 bytes: "abc"'
    assert explain(b"PING\r\n", True)[0].meaning == "an inline command, as typed in telnet"
    assert explain(b"*1\r\n$4", True)[-1].meaning == "the rest comes later"
    assert len(explain(b":1\r\n" * 1000, False)) == 121
    assert escape(b"\x00\xff\r\n") == "\\x00\\xff\\r\\n"


def test_a_long_reply_is_cut() -> None:
    rows = reply_rows([b"x"] * (MAX_ROWS + 5))
    assert len(rows) == MAX_ROWS + 1
    assert rows[-1].text == "… and 5 more lines"
    assert [row.text for row in reply_rows([b"a", [b"b", None]])] == ['1) "a"', '2) 1) "b"', "   2) (nil)"]
    assert reply_rows(ReplyError(b"ERR no"))[0].spans[0][1] == "error"


def test_wrapping_is_a_terminals() -> None:
    assert ["".join(text for text, _ in line) for line in wrap([("abcdef", "x"), ("ghi", "y")], 4)] == [
        "abcd",
        "efgh",
        "i",
    ]
    assert wrap([("日本語", "x")], 4) == [[("日本", "x")], [("語", "x")]]
    words = wrap_words([("one two ", "x"), ("three", "y"), (" overlong", "x")], 8, 2)
    assert ["".join(text for text, _ in line).rstrip() for line in words] == [
        "one two",
        "  three",
        "  overlo",
        "  ng",
    ]
    exact = wrap_words([("one two ", "x"), ("three", "y")], 7)
    assert ["".join(text for text, _ in line) for line in exact] == ["one two", "three"], "no line for a space"
    assert clean("a\x1b[31m\tb") == "a␛[31m    b"


def test_keys_of_commands() -> None:
    import engine.node  # noqa: F401

    assert keys_of([b"HSET", b"h", b"f", b"v"]) == [b"h"]
    assert keys_of([b"LMOVE", b"a", b"b", b"LEFT", b"RIGHT"]) == [b"a", b"b"]
    assert keys_of([b"PING"]) == keys_of([b"nosuch", b"a"]) == keys_of([]) == []


class Keyspace:
    """Answers what the inspector asks, from a dict of lists."""

    def __init__(self, lists: dict[bytes, list[bytes]]) -> None:
        self.lists = lists

    def inspect_all(self, requests):  # type: ignore[no-untyped-def]
        return [self(argv, db) for argv, db in requests]

    def __call__(self, argv, db):  # type: ignore[no-untyped-def]
        name, key = argv[0], argv[1]
        if name == b"INFO":
            return b"# Keyspace\r\ndb0:keys=%d,expires=0\r\n" % len(self.lists) if self.lists else b""
        if name == b"SCAN":
            return [b"0", list(self.lists)]
        if name == b"EXISTS":
            return int(key in self.lists)
        if name == b"TYPE":
            return b"list" if key in self.lists else b"none"
        if name == b"OBJECT":
            return b"listpack"
        if name == b"PTTL":
            return 61_000
        if name == b"LLEN":
            return len(self.lists[key])
        assert name == b"LRANGE"
        return self.lists[key][:12]


def test_keys_are_read_with_marks() -> None:
    space = Keyspace({b"a": [b"x", b"y"], b"b": [b"1"] * 20})
    view, before = read_keys(space.inspect_all, 0, {(0, b"a"): "changed", (0, b"b"): "same"}, {}, "RPUSH a y")
    first, second = view.keys
    assert (first.name, first.mark, first.size, first.ttl, first.preview) == (
        "a",
        "changed",
        "2 items",
        "⧗ 61 s",
        '"x" "y"',
    )
    assert second.details[-1] == "… and 8 more"
    del space.lists[b"a"]
    view, _ = read_keys(space.inspect_all, 0, {(0, b"a"): "changed"}, {(0, b"a"): before[0, b"a"]}, "DEL a")
    assert [entry.name for entry in view.keys] == ["a", "b"]


def test_bytes_that_are_not_utf8_are_shown_as_redis_cli_shows_them() -> None:
    values = [b"\xff\xfe", "ü".encode() * 40, b"a" + "ü".encode() * 40, b"\xc3"]
    view, _ = read_keys(Keyspace({b"\xff\xfe": values}).inspect_all, 0, {}, {})
    (key,) = view.keys
    assert clean(key.name) == r"\xff\xfe"
    assert [clean(detail).split()[1] for detail in key.details] == [
        r'"\xff\xfe"',
        '"' + "ü" * 30 + '…"',
        '"a' + "ü" * 29 + '…"',
        r'"\xc3"',
    ]


def test_errors_are_explained_by_the_state() -> None:
    import engine.node  # noqa: F401

    space = Keyspace({b"a": [b"x"]})
    text = explain_error([b"HSET", b"a", b"f", b"v"], b"WRONGTYPE Operation against a key", space)
    assert "`a` holds a list." in text
    assert "PING" in explain_error([b"PIN"], b"ERR unknown command 'PIN', with args beginning with: ")
    text = explain_error([b"HSET", b"a"], b"ERR wrong number of arguments for 'hset' command")
    assert "HSET key field value" in text
    for code in (b"NOAUTH x", b"EXECABORT x", b"ERR index out of range", b"ERR something new"):
        assert explain_error([b"PING"], code)
