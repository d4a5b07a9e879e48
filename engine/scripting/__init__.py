"""Scripts and functions: Lua in a sandbox, and Redis's API for it.

    node ── Scripting (sources, flags, the running script: plain data) ── Sandbox (Lua interpreter, rebuilt on demand)

`runtime` decides which scripts may run and what their `redis.call` may do; `sandbox` owns the interpreter and knows
only replies of Redis; `prelude` reads the Lua code that surrounds scripts from the `.lua`
files; `frames` changes compiled scripts so that errors report the right line; `libraries` parses the headers of
scripts and libraries.

https://redis.io/docs/latest/develop/interact/programmability/
"""
