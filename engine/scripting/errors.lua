-- Shared by all other files: the interpreter's original library, and errors that read as in Redis.

local py_call, py_call_many, py_interrupt, py_log, py_sha1, py_control, py_acl, py_random, py_seed, py_register, py_debug, py_bits,
      py_double, py_frames, flavour, MANY, VERSION, VERSION_NUM = ...

local assert, error, getfenv, getmetatable, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select,
      setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall, collectgarbage, gcinfo =
      assert, error, getfenv, getmetatable, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select,
      setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall, collectgarbage, gcinfo
local string, table, math, coroutine = string, table, math, coroutine
local getinfo, getlocal, sethook, setupvalue = debug.getinfo, debug.getlocal, debug.sethook, debug.setupvalue
local byte, sub, find, match, format, char, rep, gsub, dump = string.byte, string.sub, string.find, string.match,
      string.format, string.char, string.rep, string.gsub, string.dump
local concat, insert, remove, sort, foreach, foreachi, maxn = table.concat, table.insert, table.remove, table.sort,
      table.foreach, table.foreachi, table.maxn
local floor, huge, frexp, ldexp = math.floor, math.huge, math.frexp, math.ldexp
local NAN = huge - huge  -- with the sign that the processor produces, which Redis shows
local version, newproxy = _VERSION, newproxy
local private = getfenv(1)
local SELF = "=sandbox"
local BASE = "=base"  -- the code that calls scripts, where Redis has C
local STEP = 10000  -- instructions between two checks of the clock: some are slow (a large string.rep)
local FAILURES = 100  -- caught errors between two checks of the clock

for name in pairs(private) do private[name] = nil end

-- Errors ----------------------------------------------------------------------------------------------------
--
-- To a script, each function defined here is a single C function: its frames, and those of C functions that it calls,
-- count as one. Errors take their location and the name of the function from the caller, as Lua's own C functions do:
-- the name is the one that the caller uses, or `?` if there is none (`pcall(struct.unpack, "i4")`).

local dead = nil  -- the error that ends the running script and cannot be caught

-- Return the first level, starting with `level` of the calling function, that is not ours, and its info. Our
-- functions may end with tail calls of each other, which leave a level without a function.
local function beyond(level)
  local info = getinfo(level + 1, "Sl")
  local ours = false
  while info and (info.source == SELF or ours and info.what == "tail") do
    ours = true
    level = level + 1
    info = getinfo(level + 1, "Sl")
  end
  return level, info
end

local function place(info)
  if not info or info.currentline <= 0 or info.source == BASE then return "" end
  return info.short_src .. ":" .. info.currentline .. ": "
end

local function fail(message)
  local _, info = beyond(1)
  error(place(info) .. message, 0)
end

local function complaint(position, message, called)
  local name = called and called.name or ""
  if name == "" then name = "?" end
  if called and called.namewhat == "method" then
    position = position - 1
    if position == 0 then return "calling '" .. name .. "' on bad self (" .. message .. ")" end
  end
  return "bad argument #" .. position .. " to '" .. name .. "' (" .. message .. ")"
end

local function bad(position, message)
  local level, info = beyond(1)
  error(place(info) .. complaint(position, message, getinfo(level - 1, "n")), 0)
end

-- Finding the caller walks over our frames, and each step counts levels from the top: deep in a recursion that would
-- take seconds. There, an error first unwinds the recursion, and the function that started it fails.
local CSTACK = 8000  -- values on the stack of a C function, which limits recursion in Redis's libraries
local UNWOUND = {}
local failure

local function unwind(message)
  failure = message
  error(UNWOUND, 0)
end

local function unwound(ok, ...)
  if ok then return ... end
  local err = ...
  if err == UNWOUND then fail(failure) end
  error(err, 0)
end

local function recurse(f, ...) return unwound(pcall(f, ...)) end

local function expected(kind, position, value, count)
  bad(position, kind .. " expected, got " .. (position > count and "no value" or type(value)))
end

local function check_number(value, position, count)
  local kind = type(value)
  local number = kind == "number" and value or kind == "string" and tonumber(value)
  if not number then expected("number", position, value, count) end
  return number
end

local function check_string(value, position, count)
  if type(value) == "string" then return value end
  if type(value) ~= "number" then expected("string", position, value, count) end
  return tostring(value)
end

local function integer(number)  -- as C converts a double to a 64-bit integer
  if number ~= number or number >= 2 ^ 63 or number < -2 ^ 63 then return -2 ^ 63 end
  return number < 0 and -floor(-number) or floor(number)
end

local function int(number)  -- and that integer to 32 bits
  number = integer(number) % 4294967296
  return number >= 2147483648 and number - 4294967296 or number
end

local function direct_int(number)  -- directly to 32 bits
  if number > -2147483649 and number < 2147483648 then return integer(number) end
  return -2147483648
end

local function check_int(value, position, count) return int(check_number(value, position, count)) end

local null = newproxy(true)  -- JSON null: a null pointer in Redis
getmetatable(null).__tostring = function() return "userdata: (nil)" end
local proxies = setmetatable({}, {__mode = "k"})  -- metatables of the scripts' userdata -> their finalizers

local function foreign(userdata)  -- neither null nor created by a script: a Python exception
  local metatable = getmetatable(userdata)
  return metatable ~= nil and userdata ~= null and not proxies[metatable]
end

-- Return an error as a script sees it. An error in a C function called by one of ours names our function as the
-- caller: while the frames exist (in a handler, or in a dead coroutine), it is replaced by the script's own location.
local function located(err, thread)
  local kind = type(err)
  if kind == "userdata" and foreign(err) then return "internal error" end
  if kind ~= "string" then return err end
  if sub(err, 1, 8) ~= "sandbox:" then return err end
  local function at(level, what)
    if thread then return getinfo(thread, level, what) end
    return getinfo(level + 2, what)
  end
  local message = gsub(err, "^sandbox:%d+: ", "")
  local level, info = 0, at(0, "S")
  while info and (info.source == SELF or level > 0 and info.what == "tail") do
    level = level + 1
    info = at(level, "S")
  end
  if not info or info.what ~= "C" then return message end
  local first = level + 1
  repeat
    level = level + 1
    info = at(level, "Sl")
  until not info or info.source ~= SELF and (info.what ~= "tail" or level == first)
  if level == first then return err end  -- a text that only resembles ours
  local position, extra = match(message, "^bad argument #(%d+) to '.*' %((.+)%)$")
  if position then message = complaint(tonumber(position), extra, at(level - 1, "n")) end
  return place(info) .. message
end

-- Python converts whole numbers to integers, which have no -0: it must be passed as text.
local function is_minus_zero(value) return value == 0 and 1 / value < 0 end

local full = huge  -- KB in use above which nothing is passed to or from Python

-- A failed allocation in Python would corrupt its state: make sure in advance that none can fail.
local function afford()
  if collectgarbage("count") > full then
    collectgarbage("collect")
    if collectgarbage("count") > full then error("not enough memory", 0) end
  end
end

local verdicts = {"ERR Script killed by user with SCRIPT KILL...", "ERR FUNCTION LOAD timeout",
  "ERR The server is shutting down", "ERR internal error while a script ran"}

local noted  -- reports an error to the debugging session, if there is one

local function raise(text)
  if noted then noted((gsub(text, "^ERR ", ""))) end
  error({err = text}, 0)
end

local function hook()  -- checks the clock
  if not dead then
    local verdict = py_interrupt()
    if verdict == 0 then return end
    dead = {err = verdicts[verdict] or verdicts[4]}
  end
  error(dead, 0)
end

local watch, events = hook, ""  -- the hook of a running script, and its additional events

local failures = 0

-- Called after a script has caught an error. With too many nested C calls no hook can run, but then
-- every call fails.
local function survived()
  if dead then error(dead, 0) end
  failures = failures + 1
  if failures >= FAILURES then
    failures = 0
    hook()
  end
end

-- Return the frame at which an uncaught error is reported.
local function culprit()
  local level, info = beyond(1)
  if info and info.what == "C" then
    level, info = beyond(level + 1)
  end
  if info and info.source == BASE then return nil end
  return info
end

local function told(err)  -- the handler of uncaught errors
  err = located(err)
  local info = culprit()
  local kind = type(err)
  local message, ignore
  if kind == "table" then
    message, ignore = rawget(err, "err"), rawget(err, "ignore_error_stats_update")
    if type(message) ~= "string" then message = type(message) == "number" and tostring(message) or false end
  else
    message = "ERR " .. tostring(err)
  end
  return {message, info and info.source or false, info and info.currentline or 0, ignore == true}
end
