"""The Lua code that runs before any script: it restricts the interpreter and defines what scripts see.

It consists of files in this folder that are loaded as one chunk: each uses the local variables of those before it.

What makes it secure, and must be preserved:

- Scripts never see the interpreter's globals. They see `G`, an empty table whose metatable looks up names in `names`
  and refuses writes. Library tables are also seen through such empty tables ("read only" in Redis is a patch of Lua
  itself), so every raw access of the library (`rawset`, `next`, `table.insert` …) has a wrapper that supports them.
- Python functions are upvalues of Lua functions, and there is no `debug` library. They take and return strings,
  numbers, booleans and tables, and never raise: a Python exception caught by Lua would be an object
  that gives access to the whole program. If one is raised nevertheless, every function that catches errors (`pcall`,
  `xpcall`, `coroutine.resume`, `coroutine.wrap`, `load`) replaces non-Lua objects by a text.
- A limit (killed, out of time) is an error raised in a hook. `dead` stores it, and every function that catches errors
  raises it again. Hooks belong to a coroutine, so each new coroutine gets its own.
- Functions defined here have the interpreter's globals as their environment: `getfenv` returns `G` instead.
- A running script has one hook, which checks the clock at intervals. A debugging session replaces it
  (`debugger.lua`), shows values as text, and hides our own frames.

Errors read as if our functions were written in C, as in Redis: see `errors.lua` and `engine.scripting.frames`.
"""

import functools
from pathlib import Path

PARTS = (
    *("errors", "base", "library", "redis", "debugger"),
    *("bit", "struct", "cjson", "cmsgpack"),  # the libraries that Redis bundles with Lua
    *("functions", "run"),
)


@functools.cache
def source() -> bytes:
    """Return the whole code as one chunk. Raises OSError."""
    folder = Path(__file__).parent
    return b"\n".join([(folder / f"{name}.lua").read_bytes() for name in PARTS])
