"""What the server says of its commands, beside every real server that is found: command by command, fact by fact.

What versions other than 7.2 say otherwise stands in `commands.md`, row by row.
"""

import os
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from engine.table.declarations import ACL_CATEGORIES, SERVER
from tests.differential import commands
from tests.differential.commands import EXISTS, differences, facts, is_reference, our_facts
from tests.differential.grammar import commands_of, generate
from tests.differential.sequences import Other, beside
from tests.inprocess import InProcess
from tests.real import find_servers, server_program

REQUESTS = int(os.environ.get("EXAMPLES", "12")) * 200
EVERY = commands_of(*{command.group for command in SERVER.values()})


@pytest.fixture(scope="module", params=find_servers() or [None], ids=str)
def other(request: pytest.FixtureRequest) -> Iterator[Other]:
    program = request.param or server_program()
    if commands.table(program) is None:
        pytest.skip(f"commands.md has no table for {program}")
    with beside(program) as connected:
        connected.ask(b"HELLO", b"3")
        yield connected


@pytest.fixture(scope="module")
def ours() -> InProcess:
    node = InProcess()
    node.run(1, b"HELLO", b"3")
    return node


def test_every_fact_of_every_command(other: Other) -> None:
    mine, theirs = our_facts(), facts(other.ask)
    known = commands.table(other.program) or {}
    expected = {where: difference for where, (difference, _) in known.items()}
    assert differences(mine, theirs) == expected
    assert all(why for _, why in known.values())
    if is_reference(other.program):
        assert mine == theirs


def test_info_and_docs_of_named_commands(other: Other, ours: InProcess) -> None:
    names = [*b"get LMOVE config|get Config nosuch config|nosuch get|x get|".split(), b"", b"GET\0"]
    for subcommand in (b"INFO", b"DOCS"):
        mine, theirs = (
            ask(b"COMMAND", subcommand, *names) for ask in (lambda *argv: ours.run(1, *argv)[0], other.ask)
        )
        assert [_name(item) for item in mine] == [_name(item) for item in theirs]


def _name(item: Any) -> Any:
    """Return what tells which command an item of COMMAND INFO or DOCS is about."""
    return item[1] if isinstance(item, list) and item[:1] == [b"*"] else item if isinstance(item, bytes) else None


def test_lists_of_commands(other: Other, ours: InProcess) -> None:
    known = commands.table(other.program) or {}
    missing = {b"$" + name.encode() for name, fact in known if fact == EXISTS}
    elsewhere = missing | {b"$" + name.encode() for name, fact in known if fact == "categories"}
    requests = [[b"COMMAND", b"LIST"], [b"ACL", b"CAT"]]
    for category in (*ACL_CATEGORIES, b"nosuch", b"READ", b""):
        requests += [[b"COMMAND", b"LIST", b"FILTERBY", b"ACLCAT", category], [b"ACL", b"CAT", category]]
    for pattern in (b"*", b"x*", b"X*", b"*|*", b"config|get", b"[a-c]*", b"nosuch", b"", b"get\0"):
        requests.append([b"COMMAND", b"LIST", b"filterby", b"pattern", pattern])
    requests += [
        [b"COMMAND", b"LIST", b"FILTERBY", b"MODULE", b"nosuch"],
        [b"COMMAND", b"LIST", b"FILTERBY"],
        [b"COMMAND", b"LIST", b"FILTERBY", b"NOSUCH", b"x"],
        [b"COMMAND", b"LIST", b"BY", b"PATTERN", b"x"],
        [b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", b"x", b"y"],
    ]
    for argv in requests:
        mine, theirs = ours.run(1, *argv)[0], other.ask(*argv)
        if isinstance(mine, list) and isinstance(theirs, list):
            leave = elsewhere if b"ACLCAT" in argv or b"CAT" in argv else missing
            mine, theirs = sorted(set(mine) - leave), sorted(set(theirs) - leave)
        assert mine == theirs, argv


def test_keys_of_generated_requests(other: Other, ours: InProcess) -> None:
    chance = Random(other.program.kind)
    for _ in range(REQUESTS):
        subcommand = chance.choice([b"GETKEYS", b"GETKEYSANDFLAGS"])
        argv = [b"COMMAND", subcommand, *generate(chance.choice(EVERY), chance)]
        if not commands.tells_other_keys(other.program, argv):
            assert ours.run(1, *argv)[0] == other.ask(*argv), argv
