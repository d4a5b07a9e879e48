"""Every command is declared with its facts, and the reference page beside it knows it."""

import pytest

import engine.node  # noqa: F401 -- loads all commands
from engine.table.declarations import ACL_CATEGORIES, SERVER, Command
from engine.table.reference import facts

UNDOCUMENTED = {b"debug"}
EVERY = [
    command for one in SERVER.values() for command in (one, *(one.subcommands.values() if one.subcommands else ()))
]


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.declared_name)
def test_command(command: Command) -> None:
    assert command.since.count(".") == 2
    assert command.usage.split()[0] == command.usage.split()[0].upper()
    assert command.arity != 0
    assert command.acl >> len(ACL_CATEGORIES) == 0
    assert ("fast" in map(bytes.decode, command.categories)) != ("slow" in map(bytes.decode, command.categories))
    assert facts(command.name).get("summary") or command.name in UNDOCUMENTED
