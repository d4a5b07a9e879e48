"""Every function that a script can call, with numbers at the limits of C's types: nothing crashes, hangs or leaks.

`python -m tests.fuzz.extremes` also tries three arguments, which takes some minutes.
"""

import sys

from engine.scripting import sandbox
from tests.commands.drive import Drive

VALUES = (
    "0, -1, 1, 2^31, 2^31 - 1, -2^31, -2^31 - 1, 2^32, 2^53, -2^53, 2^63, -2^63, 0/0, 1/0, -1/0, 0.5, 'x', '%s', {}, "
    "{1, 2}, true, function() end"
)
SKIPPED = {
    "table.insert": "moves two thousand million elements, as in Redis",
    "string.rep": "an empty text is repeated as often, as in Redis",
    "redis.breakpoint": "is for the debugger",
    "coroutine.yield": "is not for the main program",
}
SCRIPT = """
local values, count, name, f = {%s}, ARGV[1] + 0, ARGV[2], nil
for part in string.gmatch(name, '[^.]+') do f = (f or _G)[part] end
local internal = {}
local function try(...)
  local ok, err = pcall(f, ...)
  if type(err) == 'table' then err = rawget(err, 'err') end
  if type(err) == 'string' and (err:find('internal') or err:find('sandbox') or err:find('base:')) then
    internal[#internal + 1] = err
  end
end
try()
for _, a in ipairs(values) do
  try(a)
  if count > 1 then
    for _, b in ipairs(values) do
      try(a, b)
      if count > 2 then for _, c in ipairs(values) do try(a, b, c) end end
    end
  end
end
return internal"""
NAMES = """
local found = {}
for name, value in pairs(_G) do
  if type(value) == 'function' then found[#found + 1] = name end
  if type(value) == 'table' and value ~= _G and name ~= 'KEYS' and name ~= 'ARGV' then
    for field, item in pairs(value) do
      if type(item) == 'function' then found[#found + 1] = name .. '.' .. field end
    end
  end
end
table.sort(found)
return found"""


def names(drive: Drive) -> list[str]:
    """Return the names of all functions that a script can call."""
    reply = drive([b"EVAL", NAMES.encode(), b"0"])
    return [line.decode() for line in reply.split(b"\r\n")[2::2]]


def attack(drive: Drive, name: str, arguments: int) -> bytes:
    """Call a function with all combinations; returns the errors that no script should see, as a reply."""
    script = SCRIPT % VALUES
    reply: bytes = drive([b"EVAL", script.encode(), b"0", b"%d" % arguments, name.encode()])
    return reply


def node() -> Drive:
    """Return a node whose scripts have little memory."""
    sandbox.MEMORY_BYTES = 32 << 20
    return Drive()


def main() -> int:
    """Try everything; returns the number of functions that failed."""
    drive, failed = node(), 0
    for name in names(drive):
        if name not in SKIPPED:
            reply = attack(drive, name, 3)
            if reply != b"*0\r\n":
                failed += 1
                print(name, reply[:300])
    return failed


if __name__ == "__main__":
    sys.exit(main())
