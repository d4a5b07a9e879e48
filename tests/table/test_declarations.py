"""The command table: what declarations mean, which keys requests name, and the facts that stand beside them."""

import pickle
from types import SimpleNamespace

import pytest

import engine.commands
from engine.commands.introspection import command_docs, command_getkeysandflags, command_help, command_info
from engine.protocol.errors import ReplyError
from engine.protocol.resp import Status, encode2, encode3
from engine.table import declarations as table
from engine.table import reference
from engine.table.declarations import SERVER, Command, KeySpec, arity_of, keys_of

engine.commands.load_all()

CTX = SimpleNamespace(node=SimpleNamespace(table=SERVER))  # a client, as far as COMMAND looks at it


def everything() -> list[Command]:
    found = []
    for command in SERVER.values():
        found += [command, *(command.subcommands or {}).values()]
    return found


def positions(*request: str) -> list[int]:
    argv = [word.encode() for word in request]
    command = SERVER[argv[0].lower()]
    return [ref.position for ref in keys_of(command, argv)]


@pytest.mark.parametrize(
    ("usage", "arity"),
    [
        ("PING [message]", -1),
        ("GET key", 2),
        ("LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>", 5),
        ("DEL key [key ...]", -2),
        ("MSET key value [key value ...]", -3),
        ("CONFIG GET parameter [parameter ...]", -3),
        ("XREADGROUP GROUP group consumer [COUNT count] STREAMS key [key ...] ID [ID ...]", -7),
        ("ONE <a | B b>", -2),
    ],
)
def test_arity_follows_from_the_usage(usage: str, arity: int) -> None:
    assert arity_of(usage) == arity


@pytest.mark.parametrize(
    ("spec", "request_", "expected"),
    [
        ("1 RO", "get a", [1]),
        ("1..-1 RW", "del a b c", [1, 2, 3]),
        ("1..-2 RW", "blpop a b 0", [1, 2]),
        ("1..-1/2 OW", "mset a 1 b 2", [1, 3]),
        ("2# RO", "eval s 2 a b c", [3, 4]),
        ("2# RO", "eval s 0 a", None),
        ("2# RO", "eval s 3 a b", None),
        ("2# RO", "eval s 02 a b", None),
        ("2# RO", "eval s 4294967298 a b", [3, 4]),  # what is left of it in one of C's ints
        ("2# RO", "eval s " + "9" * 5000, None),
        ("STORE@5 OW", "georadius k 0 0 1 m store d", [7]),
        ("STORE@5 OW", "georadius k 0 0 1 m", []),
        ("STREAMS@1..-1%2 RO", "xread streams a b 0 0", [2, 3]),
        ("KEYS@-2..-1 RW", "migrate h p keys 0 1 KEYS a", [7]),
        ("? RW", "sort a", None),
    ],
)
def test_key_specifications_find_positions(spec: str, request_: str, expected: list[int] | None) -> None:
    assert KeySpec(spec).positions(request_.encode().split()) == expected


def test_a_wrong_key_specification_is_refused() -> None:
    with pytest.raises(ValueError, match="key specification"):
        KeySpec("one RO")
    with pytest.raises(KeyError):
        KeySpec("1 NONSENSE")


def test_keys_of_commands_whose_options_decide() -> None:
    overwrite, change = table.KEY_OW | table.KEY_UPDATE, table.KEY_RW | table.KEY_ACCESS | table.KEY_UPDATE
    assert keys_of(SERVER[b"set"], [b"set", b"k", b"v"])[0].flags == overwrite
    assert keys_of(SERVER[b"set"], [b"set", b"k", b"v", b"GeT"])[0].flags == change
    assert positions("SORT", "a", "BY", "store", "STORE", "b", "store", "c") == [1, 7]


@pytest.mark.parametrize(
    ("number", "count"), [("02", 2), ("+1x", 1), ("1.5", 1), ("-4294967295", 1), ("0" * 30 + "1", 1), ("9" * 5000, 0)]
)
def test_a_number_of_keys_that_no_command_takes_is_read_loosely(number: str, count: int) -> None:
    refs = keys_of(SERVER[b"eval"], [b"eval", b"s", number.encode(), b"a", b"b"])
    assert refs == [(3, 0), (4, 0)][:count]


def test_loosely_read_keys_come_before_the_destination() -> None:
    refs = keys_of(SERVER[b"zunionstore"], b"zunionstore d 01 a b".split())
    assert refs == [(3, 0), (1, 0)]


def test_a_channel_is_no_key_but_hashed_like_one() -> None:
    argv = [b"spublish", b"channel", b"message"]
    assert keys_of(SERVER[b"spublish"], argv) == []
    assert [ref.position for ref in keys_of(SERVER[b"spublish"], argv, include_not_keys=True)] == [1]


def test_getkeys_reports_what_redis_reports() -> None:
    def error(*request: bytes) -> bytes:
        with pytest.raises(ReplyError) as caught:
            command_getkeysandflags(CTX, [b"command", b"getkeysandflags", *request])  # type: ignore[arg-type]
        return caught.value.args[0]

    assert error(b"nonsense") == b"ERR Invalid command specified"
    assert error(b"ping") == b"ERR The command has no key arguments"
    assert error(b"get") == b"ERR Invalid number of arguments specified for command"
    assert error(b"zunion", b"0", b"a") == b"ERR Invalid arguments specified for command"


def test_a_pickle_names_a_command() -> None:
    for command in everything():
        assert pickle.loads(pickle.dumps(command)) is command
        assert SERVER.find(command.name) is command


@pytest.mark.parametrize("name", [b"nonsense", b"get|key", b"config|get|key", b"config|", b"|"])
def test_what_is_no_command_is_not_found(name: bytes) -> None:
    assert command_info(CTX, [b"command", b"info", name]) == [None]  # type: ignore[arg-type]


def test_every_command_has_its_long_facts() -> None:
    missing = [command.name for command in everything() if not reference.facts(command.name).get("summary")]
    assert missing == []


def _usage(argument: reference.Facts) -> str:
    kind, token, flags = argument["type"], argument.get("token"), argument.get("flags", [])
    if kind == "pure-token":
        text = token or '""'
    elif kind == "oneof":
        text = "<" + " | ".join(map(_usage, argument["arguments"])) + ">"
    elif kind == "block":
        text = " ".join(map(_usage, argument["arguments"]))
    else:
        text = argument.get("display_text", argument["name"])
    repeated = text
    if token is not None and kind != "pure-token":
        text = (token or '""') + " " + text
        if "multiple_token" in flags:
            repeated = text
    if "multiple" in flags:
        text = f"{text} [{repeated} ...]"
    if "optional" in flags:
        text = f"[{text}]"
    return text


def _plain(usage: str) -> str:
    """The usage without the angle brackets, which are optional where square ones stand."""
    return usage.replace("<", "").replace(">", "").lower()


@pytest.mark.parametrize("command", everything(), ids=lambda command: command.declared_name)
def test_arguments_and_usage_tell_the_same(command: Command) -> None:
    arguments = reference.facts(command.name).get("arguments", [])
    written = " ".join([command.declared_name, *map(_usage, arguments)])
    assert _plain(command.usage) == _plain(written)


def test_replies_encode_in_both_protocols() -> None:
    for handler in (command_info, command_docs):
        reply = handler(CTX, [b"command", b"x"])  # type: ignore[arg-type]
        assert encode2(reply)
        assert encode3(reply)


def test_help_names_its_container() -> None:
    reply = command_help(CTX, [b"cOmmand", b"help"])  # type: ignore[arg-type]
    assert reply[0] == b"COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert reply[-2:] == [b"HELP", b"    Print this help."]
    assert all(type(line) is Status for line in reply)
