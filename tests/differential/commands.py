"""What servers say of their commands (`COMMAND`, `COMMAND DOCS`), as facts, and in what other versions differ.

A fact is named by a command and a word (`blpop`, `flags`). Which facts of which version are known to differ from
7.2's stands in `commands.md`, a row each, with the version that changed it.

    python -m tests.differential --rows [--server PATH]

prints the rows that servers need, with the reasons that the table already gives: the beginning of a new version's.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from engine.protocol.resp import Argv
from tests.inprocess import InProcess
from tests.real import Program

Ask = Callable[..., Any]
Facts = dict[str, dict[str, list[str]]]
"""By command and fact: texts. Where their order means something, there is only one."""

TABLE = Path(__file__).with_suffix(".md")
EXISTS = "exists"


def is_reference(program: Program) -> bool:
    """Return whether a server is of the version that ours answers as."""
    return program.kind == "redis" and program.version[:2] == (7, 2)


def plain(reply: Any) -> Any:
    """Return a reply without types: texts, lists, dictionaries; a set is sorted."""
    if isinstance(reply, bytes):
        return reply[1:].decode()
    kind, *items = reply
    items = [plain(item) for item in items]
    if kind == b"%":
        return dict(zip(items[::2], items[1::2]))
    return sorted(items, key=repr) if kind == b"~" else items


def facts(ask: Ask) -> Facts:
    """Return what a server says, to a client in RESP3, of all its commands."""
    found: Facts = {}
    for info in plain(ask(b"COMMAND")):
        _read_info(info, found)
    for name, docs in plain(ask(b"COMMAND", b"DOCS")).items():
        _read_docs(name, docs, found)
    return found


def our_facts() -> Facts:
    """Return what our server says of its commands."""
    node = InProcess()
    node.run(1, b"HELLO", b"3")
    return facts(lambda *argv: node.run(1, *argv)[0])


def _read_info(info: list[Any], found: Facts) -> None:
    name, arity, flags, first, last, step, categories, tips, key_specs, subcommands = info
    found[name] = {
        EXISTS: ["yes"],
        "arity": [arity],
        "flags": flags,
        "key range": [f"{first} {last} {step}"],
        "categories": categories,
        "tips": tips,
        "key specs": [_spec(spec) for spec in key_specs],
    }
    for subcommand in subcommands:
        _read_info(subcommand, found)


def _spec(spec: dict[str, Any]) -> str:
    """Return a key specification in one line: `index 1, range 0 1 0, RO access`."""
    begin, keys = ([spec[part]["type"], *spec[part]["spec"].values()] for part in ("begin_search", "find_keys"))
    return ", ".join(map(" ".join, [begin, keys, spec["flags"], *([[spec["notes"]]] if "notes" in spec else [])]))


def _read_docs(name: str, docs: dict[str, Any], found: Facts) -> None:
    deprecated = docs.get("doc_flags", [])
    if "deprecated_since" in docs:
        deprecated = [*deprecated, f"since {docs['deprecated_since']}, replaced by {docs.get('replaced_by')}"]
    arguments = docs.get("arguments", [])
    found[name] |= {
        "since": [docs["since"]],
        "group": [docs["group"]],
        "complexity": docs.get("complexity", "").split(),
        "deprecation": deprecated,
        "history": [f"{since}: {change}" for since, change in docs.get("history", [])],
        "words": list(_words(arguments)),
        "arguments": [repr(arguments)],
    }
    for subcommand, inner in docs.get("subcommands", {}).items():
        _read_docs(subcommand, inner, found)


def _words(arguments: list[Any]) -> Iterator[str]:
    """Yield the words of an argument tree, which matter more than its shape and the names of values in it."""
    for argument in arguments:
        if "token" in argument:
            yield argument["token"]
        yield from _words(argument.get("arguments", []))


def differences(ours: Facts, theirs: Facts) -> dict[tuple[str, str], str]:
    """Return how their facts differ from ours, by command and fact. The shape of arguments is left out."""
    found: dict[tuple[str, str], str] = {}
    for name in {**ours, **theirs}:
        if name not in theirs or name not in ours:
            found[name, EXISTS] = "lacks it" if name in ours else "has it"
            continue
        for fact in ours[name]:
            if fact != "arguments" and (difference := _difference(ours[name][fact], theirs[name][fact])):
                found[name, fact] = difference
    return found


def _difference(ours: list[str], theirs: list[str]) -> str:
    added, missing = list(theirs), []
    for text in ours:
        if text in added:
            added.remove(text)
        else:
            missing.append(text)
    if not added and not missing:
        return ""
    return "; ".join([*("lacks " + text for text in missing), *("has " + text for text in added)])


@cache
def table(program: Program) -> dict[tuple[str, str], tuple[str, str]] | None:
    """Return what is known of a server's version, by command and fact: difference, and why. None if nothing is."""
    if is_reference(program):
        return {}
    wanted = f"## {program.kind.capitalize()} {program.version[0]}.{program.version[1]}\n"
    _, found, text = TABLE.read_text().partition(wanted)
    if not found:
        return None
    rows = {}
    for line in text.partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            name, fact, difference, why = cells
            rows[name.strip("`"), fact] = (difference, why)
    return rows


def rows(program: Program, theirs: Facts) -> Iterator[str]:
    """Yield the lines of the table that a server needs, with the reasons that it already gives."""
    known = table(program) or {}
    for (name, fact), difference in differences(our_facts(), theirs).items():
        cells = [f"`{name}`", fact, difference, known.get((name, fact), ("", ""))[1]]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tells_other_keys(program: Program, argv: Argv) -> bool:
    """Return whether a version takes other arguments than 7.2 for a `COMMAND GETKEYS…`, or in what is asked about."""
    asked, request = "|".join(arg.decode().lower() for arg in argv[:2]), argv[2:]
    known = {name for name, fact in table(program) or {} if fact in (EXISTS, "arity", "key specs")}
    names = [b"|".join(request[:words]).decode(errors="replace").lower() for words in (1, 2)]
    return (len(request) < 2 and asked in known) or any(name in known for name in names)
