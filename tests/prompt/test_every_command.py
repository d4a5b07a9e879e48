"""The prompt and the reference know every command that the server has, from its one declaration."""

from functools import cache

import pytest

from engine.commands import load_all
from engine.table.declarations import SERVER, Command
from tutor.prompt import CommandDocs, complete, hint, syntax
from tutor.screens.reference import Page, command_pages

load_all()
EVERY = [command for one in SERVER.values() for command in (one, *(one.subcommands or {}).values())]


@cache
def table() -> CommandDocs:
    return CommandDocs.load()


@cache
def pages() -> dict[str, Page]:
    made = command_pages()
    assert len({page.id for page in made}) == len(made)
    return {page.title: page for page in made}


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.declared_name)
def test_command(command: Command) -> None:
    name = command.declared_name
    found = table().find(name.split())
    assert found is not None and found[0].name == name and found[1] == len(name.split())
    known = found[0]
    assert (known.since, known.group, known.complexity) == (
        command.since,
        command.group.replace("_", "-"),
        command.complexity,
    )

    last = name.split()[-1]
    for typed in (name, name.lower()):
        offered = [offer.text.strip().upper() for offer in complete(typed[:-1])]
        assert last in offered, f"{typed[:-1]!r} offers {offered}"

    told = hint(name + " ")
    if command.subcommands:
        assert set(command.subcommands) == {word.lower().encode() for word in known.subcommands}
    else:
        assert told == known.syntax
        assert bool(told) == bool(known.arguments)
    assert syntax(name).startswith(name)

    page = pages()[name]
    text = page.body.plain
    assert command.usage.replace("…", "...") in text and known.summary and known.summary in text
    assert command.since in text and command.complexity in text and command.group.replace("_", " ") == page.group
    assert all(f"@{category.decode()}" in text for category in command.categories)


def test_no_page_is_of_no_command() -> None:
    assert pages().keys() == {command.declared_name for command in EVERY}
    assert {command.name for command in table()} == {command.declared_name for command in EVERY}
