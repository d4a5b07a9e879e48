"""Scripts and functions: Lua in a sandbox, and what Redis gives it.

    node ── Scripting (sources, flags, the run that is on; plain data) ── Sandbox (a Lua interpreter, rebuilt at need)

`scripting` decides what may run and what a script's `redis.call` may do; `sandbox` owns the interpreter and knows
nothing of Redis but replies; `prelude` and the modules beside it are the Lua that stands between a script and
everything else; `libraries` reads the sources of functions.

https://redis.io/docs/latest/develop/interact/programmability/
"""
