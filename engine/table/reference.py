"""Longer facts about commands: what COMMAND DOCS returns in addition to the declaration above each handler.

They are stored in `reference.json`, one line for each command or subcommand (`config|get`): a summary in our own
words, the tree of arguments, the history, and the replacements of deprecated commands. Reading the file takes some
milliseconds, so it is read on first use. `sentinel.json` has those of SENTINEL, which only Sentinels know.

An argument has `name` and `type`, and where applicable `display_text` (if different from the name), `key_spec_index`,
`token`, `since`, `deprecated_since`, `flags` (optional, multiple, multiple_token) and `arguments` (of a block, or the
choices of a oneof).

https://redis.io/docs/latest/commands/command-docs/
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

Facts = dict[str, Any]


@cache
def load(file: str = "reference") -> dict[str, Facts]:
    """Return all entries of a file by lowercase full name. They are shared: do not change them."""
    entries: dict[str, Facts] = json.loads(Path(__file__).with_name(f"{file}.json").read_text(encoding="utf-8"))
    return entries


def facts(name: bytes) -> Facts:
    """Return the facts of a command by its full lowercase name (`config|get`); empty if there are none."""
    return load("sentinel" if name.startswith(b"sentinel") else "reference").get(name.decode(), {})
