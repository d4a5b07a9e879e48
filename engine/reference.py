"""The long facts about commands: what COMMAND DOCS tells beyond the declaration above each handler.

They stand in `reference.json`, one line for each command or subcommand (`config|get`): a summary in our own words,
the tree of arguments, the history, and what is deprecated in favour of what. Reading it takes some milliseconds, so
it is read when it is first asked for; a server that nobody asks never reads it.

An argument has `name` and `type`, and where they apply `display_text` (if it is not the name), `key_spec_index`,
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
def load() -> dict[str, Facts]:
    """Return all entries by lower-case full name. They are shared: do not change them."""
    entries: dict[str, Facts] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return entries


def facts(name: bytes) -> Facts:
    """Return the long facts of a command by its full lower-case name (`config|get`); empty if there are none."""
    return load().get(name.decode(), {})
