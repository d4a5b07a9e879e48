"""The Lua that runs before any script: it takes the interpreter's powers away and builds what scripts see.

How it holds, and what must stay so:

- Scripts never see the interpreter's globals. They see `G`, an empty table whose metatable looks names up in `names`
  and refuses writes. Library tables are seen through such empty tables too ("read only" in Redis is a patch of Lua
  itself), so every raw access of the library (`rawset`, `next`, `table.insert` …) is wrapped to know them.
- Python is reached through functions that are upvalues of Lua functions, and there is no `debug` library. They get
  and return strings, numbers, booleans and tables, and never raise: a Python exception that Lua catches is an object
  that leads to the whole program. Should one come all the same, every place that catches (`pcall`, `xpcall`,
  `coroutine.resume`, `coroutine.wrap`, `load`) replaces what is not Lua's own by a text.
- A limit (killed, out of time) is an error raised in a hook. `dead` keeps it, and every place that catches raises it
  again. Hooks belong to a coroutine, so each new one gets its own.
- Functions made here have the interpreter's globals as environment: `getfenv` shows `G` in their place.
- For a script one hook is set, which looks at the clock every so often. A debugging session puts another in its
  place (`engine.scripting.inspector`), which shows values as texts and leaves our own frames out.

Text positions: an error that one of our functions raises is told as if the script's line had raised it (`where`).
"""

LUA = rb"""
local py_call, py_interrupt, py_log, py_sha1, py_control, py_acl, py_random, py_seed, py_register, py_debug, py_bits,
      py_double, flavour, allowance = ...

local assert, error, getfenv, getmetatable, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select,
      setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall, collectgarbage, gcinfo =
      assert, error, getfenv, getmetatable, ipairs, loadstring, next, pairs, pcall, rawequal, rawget, rawset, select,
      setfenv, setmetatable, tonumber, tostring, type, unpack, xpcall, collectgarbage, gcinfo
local string, table, math, coroutine = string, table, math, coroutine
local getinfo, getlocal, sethook = debug.getinfo, debug.getlocal, debug.sethook
local byte, sub, find, format, char, rep, gsub = string.byte, string.sub, string.find, string.format, string.char,
      string.rep, string.gsub
local concat, insert, remove, sort, foreach, foreachi, maxn = table.concat, table.insert, table.remove, table.sort,
      table.foreach, table.foreachi, table.maxn
local floor, huge, frexp, ldexp = math.floor, math.huge, math.frexp, math.ldexp
local version, newproxy = _VERSION, newproxy
local private = getfenv(1)
local SELF = "=sandbox"
local BASE = "=base"  -- what stands below a script, where Redis has C: an error told from there has no place
local STEP = 10000  -- instructions between two looks at the clock: some take long (string.rep of much)

for name in pairs(private) do private[name] = nil end

-- Errors ----------------------------------------------------------------------------------------------------

local dead = nil  -- the error that ends the running script whatever it catches

local function frame(level)
  while true do
    local info = getinfo(level, "Sl")
    if not info then return nil end
    if info.what ~= "C" and info.source ~= SELF and info.source ~= BASE and info.currentline > 0 then return info end
    level = level + 1
  end
end

local function where()
  local info = frame(2)
  return info and info.short_src .. ":" .. info.currentline .. ": " or ""
end

local function fail(message) error(where() .. message, 0) end

local function bad(position, name, message)
  fail("bad argument #" .. position .. " to '" .. name .. "' (" .. message .. ")")
end

local function typename(value, count, position)
  if value == nil and position > count then return "no value" end
  return type(value)
end

local function ours(err)  -- an error as it may be shown to a script
  local kind = type(err)
  if kind == "userdata" then return "internal error" end
  if kind == "string" then return (gsub(gsub(err, "^sandbox:%d+: ", ""), "^base:%d+: ", "")) end
  return err
end

local full = huge  -- KB in use above which nothing more is handed over to Python and back

-- An allocation that fails within Python would leave it in pieces: see to it beforehand that none can.
local function afford()
  if collectgarbage("count") > full then
    collectgarbage("collect")
    if collectgarbage("count") > full then error("not enough memory", 0) end
  end
end

local verdicts = {"ERR Script killed by user with SCRIPT KILL...", "ERR FUNCTION LOAD timeout",
  "ERR The server is shutting down", "ERR internal error while a script ran"}

local noted  -- what tells a debugging session of an error, if there is one

local function raise(text)
  if noted then noted((gsub(text, "^ERR ", ""))) end
  error({err = text}, 0)
end

local function hook()
  if not dead then
    local verdict = py_interrupt()
    if verdict == 0 then return end
    dead = {err = verdicts[verdict] or verdicts[4]}
  end
  error(dead, 0)
end

local watch, events = hook, ""  -- what looks at a running script, and at which events besides

local function told(err)  -- the handler of errors that no script caught
  local info = frame(3)
  local kind = type(err)
  if kind == "string" and info then
    err = gsub(err, "^sandbox:%d+: ", sub(info.source, 2) .. ":" .. info.currentline .. ": ")
  end
  local message, ignore
  if kind == "table" then
    message, ignore = rawget(err, "err"), rawget(err, "ignore_error_stats_update")
    if type(message) ~= "string" then message = type(message) == "number" and tostring(message) or false end
  else
    message = "ERR " .. tostring(ours(err))
  end
  return {message, info and info.source or false, info and info.currentline or 0, ignore == true}
end

-- Tables that only we may change ----------------------------------------------------------------------------

local hidden = {}  -- what is seen -> what it stands for
local READONLY = "Attempt to modify a readonly table"

local function refuse() fail(READONLY) end

local function seal(real, metatable)
  local seen = {}
  metatable = metatable or {}
  metatable.__index = metatable.__index or real
  metatable.__newindex = refuse
  metatable.__metatable = false
  hidden[seen] = real
  return setmetatable(seen, metatable)
end

local function open(t) if hidden[t] then error(READONLY, 0) end end

-- The base library ------------------------------------------------------------------------------------------

local names = {}
local globals_metatable = {}
local G = seal(names, globals_metatable)
names._G, names._VERSION = G, version
names.assert, names.error, names.ipairs, names.rawequal, names.select = assert, error, ipairs, rawequal, select
names.tonumber, names.tostring, names.type, names.unpack, names.gcinfo = tonumber, tostring, type, unpack, gcinfo

local seen_string_metatable, seen_globals_metatable

function names.next(t, key)
  local real = hidden[t]
  if real then return next(real, key) end
  local k, v = next(t, key)
  return k, v
end

function names.pairs(t)
  if hidden[t] then return names.next, t, nil end
  local f, s, i = pairs(t)
  return f, s, i
end

function names.rawget(t, key)
  local real = hidden[t]
  if real then return rawget(real, key) end
  local value = rawget(t, key)
  return value
end

function names.rawset(t, key, value)
  open(t)
  local result = rawset(t, key, value)
  return result
end

function names.getmetatable(value)
  if type(value) == "string" then return seen_string_metatable end
  if value == G then return seen_globals_metatable end
  if hidden[value] then return nil end
  local result = getmetatable(value)
  return result
end

function names.setmetatable(t, metatable)
  open(t)
  local result = setmetatable(t, metatable)
  return result
end

local function function_at(level, name)
  if type(level) == "function" then return level end
  local number = tonumber(level == nil and 1 or level)
  if not number then bad(1, name, "number expected, got " .. type(level)) end
  if number < 0 then bad(1, name, "level must be non-negative") end
  if number == 0 then return 0 end
  local info = getinfo(number + 2, "f")
  if not info then bad(1, name, "invalid level") end
  return info.func
end

function names.getfenv(level)
  local f = function_at(level, "getfenv")
  if f == 0 or not f then return G end
  local env = getfenv(f)
  if env == private then return G end
  return env
end

function names.setfenv(level, env)
  if type(env) ~= "table" then bad(2, "setfenv", "table expected, got " .. type(env)) end
  local f = function_at(level, "setfenv")
  if f == 0 or not f or getfenv(f) == private then
    fail("'setfenv' cannot change environment of given object")
  end
  setfenv(f, env)
  return f
end

local function compile(source, name)
  -- A leading space keeps the loader from taking precompiled code, which can break out of the interpreter.
  if byte(source) == 27 then source, name = " " .. source, name or source end
  local f, message = loadstring(source, name)
  if not f then return nil, message end
  setfenv(f, G)
  return f
end

function names.loadstring(source, name)
  if type(source) == "number" then source = tostring(source) end
  if type(source) ~= "string" then bad(1, "loadstring", "string expected, got " .. type(source)) end
  if name ~= nil and type(name) ~= "string" then bad(2, "loadstring", "string expected, got " .. type(name)) end
  return compile(source, name)
end

function names.load(reader, name)
  if type(reader) ~= "function" then bad(1, "load", "function expected, got " .. type(reader)) end
  if name ~= nil and type(name) ~= "string" then bad(2, "load", "string expected, got " .. type(name)) end
  local pieces = {}
  while true do
    local ok, piece = pcall(reader)
    if dead then error(dead, 0) end
    if not ok then return nil, ours(piece) end
    if piece == nil or piece == "" then break end
    if type(piece) ~= "string" then return nil, "reader function must return a string" end
    pieces[#pieces + 1] = piece
  end
  return compile(concat(pieces), name or "=(load)")
end

local function caught(ok, ...)
  if dead then error(dead, 0) end
  if ok then return true, ... end
  local err = ours((...))
  if type(err) == "table" and not hidden[err] then
    local message = rawget(err, "err")
    if type(message) == "string" or type(message) == "number" then err = message end
  end
  return false, err
end

function names.pcall(...)
  return caught(pcall(...))
end

local function settled(ok, ...)
  if dead then error(dead, 0) end
  return ok, ...
end

function names.xpcall(f, handler)
  return settled(xpcall(f, function(err)
    -- Nothing that belongs to a script runs once it is to end: in a handler no hook could stop it.
    if dead then return err end
    return handler(ours(err))
  end))
end

function names.collectgarbage(option, argument)
  if option == nil or option == "collect" or option == "count" or option == "step" then
    local result = collectgarbage(option or "collect", argument)
    return result
  end
  return 0
end

-- Coroutines ------------------------------------------------------------------------------------------------

local create, resume, status, yield, running = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield,
      coroutine.running

local function spawn(f)
  local thread = create(f)
  sethook(thread, watch, events, STEP)
  return thread
end

local function resumed(ok, ...)
  if dead then error(dead, 0) end
  if ok then return true, ... end
  return false, ours((...))
end

local function unwrapped(ok, ...)
  if dead then error(dead, 0) end
  if ok then return ... end
  local err = ours((...))
  if type(err) == "string" then fail(err) end
  error(err, 0)
end

local function lua_function(f, name)
  if type(f) ~= "function" then bad(1, name, "Lua function expected") end
end

names.coroutine = seal({
  create = function(f) lua_function(f, "create"); return spawn(f) end,
  wrap = function(f)
    lua_function(f, "wrap")
    local thread = spawn(f)
    return function(...) return unwrapped(resume(thread, ...)) end
  end,
  resume = function(thread, ...)
    if type(thread) ~= "thread" then bad(1, "resume", "coroutine expected") end
    return resumed(resume(thread, ...))
  end,
  status = status, yield = yield, running = running,
})

-- Strings, tables, numbers ----------------------------------------------------------------------------------

local string_metatable = getmetatable("")
local dump = string.dump
function string.dump(f)
  if type(f) == "function" and getfenv(f) == private then fail("unable to dump given function") end
  local code = dump(f)
  return code
end
string_metatable.__index = string
names.string = seal(string)
seen_string_metatable = seal({__index = names.string})

names.table = seal({
  concat = concat, foreach = foreach, foreachi = foreachi, getn = table.getn, maxn = maxn,
  setn = function(t, n) open(t); fail("'setn' is obsolete") end,
  insert = function(t, ...) open(t); insert(t, ...) end,
  remove = function(t, ...) open(t); local v = remove(t, ...); return v end,
  sort = function(t, ...) open(t); sort(t, ...) end,
})

local function integer(value, position, name)
  local number = tonumber(value)
  if type(value) ~= "number" and (type(value) ~= "string" or not number) then
    bad(position, name, "number expected, got " .. (value == nil and "no value" or type(value)))
  end
  return number < 0 and -floor(-number) or floor(number)
end

function math.random(...)
  local r = (py_random() % 2147483647) / 2147483647
  local count = select("#", ...)
  if count == 0 then return r end
  if count > 2 then fail("wrong number of arguments") end
  local low, high = ...
  low = integer(low, 1, "random")
  if count == 1 then
    if low < 1 then bad(1, "random", "interval is empty") end
    return floor(r * low) + 1
  end
  high = integer(high, 2, "random")
  if low > high then bad(2, "random", "interval is empty") end
  return floor(r * (high - low + 1)) + low
end
function math.randomseed(seed) py_seed(integer(seed, 1, "randomseed")) end
names.math = seal(math)

-- redis -----------------------------------------------------------------------------------------------------

local function answered(reply)
  if type(reply) == "table" and rawget(reply, "err") ~= nil then error(reply, 0) end
  return reply
end

local log_levels = {LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3}

local function log(...)
  local count = select("#", ...)
  if count < 2 then raise("ERR redis.log() requires two arguments or more.") end
  local level = tonumber((...))
  if not level then raise("ERR First argument must be a number (log level).") end
  level = floor(level)
  if level < 0 or level > 3 then raise("ERR Invalid debug level.") end
  local parts = {}
  for i = 2, count do
    local value = select(i, ...)
    if type(value) == "string" or type(value) == "number" then parts[#parts + 1] = tostring(value) end
  end
  afford()
  py_log(level, concat(parts, " "))
end

local function coded(text)  -- the text of an error, with its code
  if sub(text, 1, 1) == "-" then text = sub(text, 2) end
  local at = find(text, " ", 1, true)
  local code, message = "ERR", text
  if at then code, message = sub(text, 1, at - 1), sub(text, at + 1) end
  message = gsub(gsub(message, "^[\r\n]+", ""), "[\r\n]+$", "")
  return code .. " " .. message
end

local function single(field)
  return function(...)
    local text = ...
    if select("#", ...) ~= 1 or type(text) ~= "string" then
      if noted then noted("wrong number or type of arguments") end
      return {err = "ERR wrong number or type of arguments"}
    end
    if field == "err" then
      if noted then noted(sub(text, 1, 1) == "-" and text or "-" .. text) end
      text = coded(text)
    end
    return {[field] = text}
  end
end

local function control(what, missing)
  return function(...)
    if select("#", ...) ~= 1 then raise("ERR " .. missing) end
    local value = tonumber((...)) or 0
    afford()
    local problem = py_control(what, floor(value))
    if problem then raise(problem) end
  end
end

-- Arguments lie on C's stack on their way to Python, which is small: many go in a table (of ours).
local MANY = @MANY@

local function command(...)
  afford()
  local count = select("#", ...)
  if count > MANY then return py_call(true, {...}, count) end
  return py_call(false, ...)
end

local redis = {
  call = function(...) return answered(command(...)) end,
  pcall = function(...) return command(...) end,
  acl_check_cmd = function(...)
    afford()
    local count = select("#", ...)
    if count > MANY then return answered(py_acl(true, {...}, count)) end
    return answered(py_acl(false, ...))
  end,
  error_reply = single("err"),
  status_reply = single("ok"),
  log = log,
  sha1hex = function(...)
    if select("#", ...) ~= 1 then raise("ERR wrong number of arguments") end
    local text = ...
    if type(text) == "number" then text = tostring(text) end
    afford()
    return py_sha1(type(text) == "string" and text or "")
  end,
  setresp = control("resp", "redis.setresp() requires one argument."),
  set_repl = control("repl", "redis.set_repl() requires one argument."),
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = "@VERSION@", REDIS_VERSION_NUM = @VERSION_NUM@,
}
for name, level in pairs(log_levels) do redis[name] = level end

if flavour == "eval" then
  redis.replicate_commands = function() return true end
end
names.redis = seal(redis)

@DEBUGGER@

-- Functions -------------------------------------------------------------------------------------------------

local libraries = {}  -- name -> functions by name
local loading = nil  -- the functions of the library that is being loaded

local flag_names = {["no-writes"] = true, ["allow-oom"] = true, ["allow-stale"] = true, ["no-cluster"] = true,
  ["allow-cross-slot-keys"] = true}

local function text_of(value)
  if type(value) == "number" then return tostring(value) end
  return type(value) == "string" and value or nil
end

local function named(arguments)
  local name, description, callback, flags
  for key, value in next, arguments do
    if type(key) ~= "string" and type(key) ~= "number" then
      return "named argument key given to redis.register_function is not a string"
    end
    key = string.lower(tostring(key))
    if key == "function_name" then
      name = text_of(value)
      if not name then return "function_name argument given to redis.register_function must be a string" end
    elseif key == "description" then
      description = text_of(value)
      if not description then return "description argument given to redis.register_function must be a string" end
    elseif key == "callback" then
      if type(value) ~= "function" then
        return "callback argument given to redis.register_function must be a function"
      end
      callback = value
    elseif key == "flags" then
      if type(value) ~= "table" then
        return "flags argument to redis.register_function must be a table representing function flags"
      end
      local list = {}
      for i = 1, huge do
        local flag = value[i]
        if flag == nil then break end
        flag = text_of(flag)
        if not flag or not flag_names[string.lower(flag)] then return "unknown flag given" end
        list[#list + 1] = string.lower(flag)
      end
      flags = concat(list, ",")
    else
      return "unknown argument given to redis.register_function"
    end
  end
  if not name then return "redis.register_function must get a function name argument" end
  if not callback then return "redis.register_function must get a callback argument" end
  return nil, name, callback, description, flags
end

local function register_function(...)
  if not loading then raise("ERR redis.register_function can only be called on FUNCTION LOAD command") end
  local count = select("#", ...)
  local first, second = ...
  local problem, name, callback, description, flags
  if count < 1 or count > 2 then
    problem = "wrong number of arguments to redis.register_function"
  elseif count == 1 then
    if type(first) ~= "table" then
      problem = "calling redis.register_function with a single argument is only applicable to Lua table " ..
        "(representing named arguments)."
    else
      problem, name, callback, description, flags = named(first)
    end
  else
    name, callback = text_of(first), second
    if not name then
      problem = "first argument to redis.register_function must be a string"
    elseif type(callback) ~= "function" then
      problem = "second argument to redis.register_function must be a function"
    end
  end
  afford()
  problem = problem or py_register(name, description or false, flags or "")
  if problem then raise("ERR " .. problem) end
  loading[name] = callback
end

-- While a library loads, only this is there; anything else is told to be missing.
local function missing(_, name)
  if type(name) ~= "string" and type(name) ~= "number" then
    fail("Second argument to luaProtectedTableError must be a string or number")
  end
  fail("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'")
end

local library_redis = {register_function = register_function, log = log, REDIS_VERSION = redis.REDIS_VERSION,
  REDIS_VERSION_NUM = redis.REDIS_VERSION_NUM}
for name, level in pairs(log_levels) do library_redis[name] = level end
setmetatable(library_redis, {__index = missing})
local library_names = setmetatable({redis = seal(library_redis)}, {__index = missing})

setmetatable(names, {__index = missing})
seen_globals_metatable = seal({__index = missing})

-- What Python calls -----------------------------------------------------------------------------------------

local DEEPEST = 7900  -- nested tables, where a real server's C stack of Lua ends

-- A reply as a list of kinds and values in the order in which they stand on the wire.
local function flatten(value, out, n, depth)
  local kind = type(value)
  if kind == "string" then
    out[n + 1], out[n + 2] = "$", value
    return n + 2, depth
  elseif kind == "number" then
    out[n + 1], out[n + 2] = ":", value
    return n + 2, depth
  elseif kind == "boolean" then
    out[n + 1], out[n + 2] = "#", value
    return n + 2, depth
  elseif kind ~= "table" then
    out[n + 1], out[n + 2] = "_", false
    return n + 2, depth
  end
  if depth > DEEPEST then
    out[n + 1], out[n + 2] = "-", "ERR reached lua stack limit"
    return n + 2, depth
  end
  value = hidden[value] or value
  local deepest = depth
  local field = rawget(value, "err")
  if type(field) == "string" then
    out[n + 1], out[n + 2] = rawget(value, "ignore_error_stats_update") == true and "!" or "-", field
    return n + 2, depth
  end
  field = rawget(value, "ok")
  if type(field) == "string" then
    out[n + 1], out[n + 2] = "+", field
    return n + 2, depth
  end
  field = rawget(value, "double")
  if type(field) == "number" then
    out[n + 1], out[n + 2] = ",", field
    return n + 2, depth
  end
  field = rawget(value, "big_number")
  if type(field) == "string" then
    out[n + 1], out[n + 2] = "(", field
    return n + 2, depth
  end
  field = rawget(value, "verbatim_string")
  if type(field) == "table" then
    local shape, text = rawget(field, "format"), rawget(field, "string")
    if type(shape) == "string" and type(text) == "string" then
      out[n + 1], out[n + 2] = "=", sub(shape .. "   ", 1, 3) .. text
      return n + 2, depth
    end
  end
  local at, below = n + 2, nil
  field = rawget(value, "map")
  if type(field) == "table" then
    local count = 0
    n = at
    for key, item in next, hidden[field] or field do
      n, below = flatten(key, out, n, depth + 1)
      if below > deepest then deepest = below end
      n, below = flatten(item, out, n, depth + 1)
      if below > deepest then deepest = below end
      count = count + 1
    end
    out[at - 1], out[at] = "%", count
    return n, deepest
  end
  field = rawget(value, "set")
  if type(field) == "table" then
    local count = 0
    n = at
    for key in next, hidden[field] or field do
      n, below = flatten(key, out, n, depth + 1)
      if below > deepest then deepest = below end
      count = count + 1
    end
    out[at - 1], out[at] = "~", count
    return n, deepest
  end
  local count = 0
  out[at - 1], out[at] = "*", 0
  n = at
  while true do
    local item = rawget(value, count + 1)
    if item == nil then break end
    n, below = flatten(item, out, n, depth + 1)
    if below > deepest then deepest = below end
    count = count + 1
  end
  out[at] = count
  return n, deepest
end

local function finish(ok, value, ...)
  sethook()
  dead = nil
  if ok then return true, value, ... end
  if type(value) ~= "table" then return false, tostring(ours(value)) end
  return false, value[1], value[2], value[3], value[4]
end

local function perform(body)
  dead = nil
  full = collectgarbage("count") + allowance
  sethook(watch, events, STEP)
  return finish(xpcall(body, told))
end

local function replied(value)
  if type(value) ~= "table" then
    if type(value) == "function" or type(value) == "userdata" or type(value) == "thread" then return nil end
    return value
  end
  local out = {}
  local n, depth = flatten(value, out, 0, 0)
  if n > 2 * MANY then return out, n, depth end
  return depth, unpack(out, 1, n)
end

local below = loadstring([[
  local f, first, second, replied = ...
  return function()
    local value = f(first, second)
    return replied(value)
  end]], BASE)

local scripts = {}  -- what EVAL has compiled, by digest

local function define(digest, source, name)
  local f, message = loadstring(source, name)
  if not f then return message end
  scripts[digest] = f
end

-- Keys and arguments come one by one, which costs least, or in two tables where they are many.
local function keys_and_args(nkeys, ...)
  if not nkeys then return ... end
  local all, count = {...}, select("#", ...)
  if nkeys == count then return all, {} end
  if nkeys == 0 then return {}, all end
  local keys, args = {}, {}
  for i = 1, nkeys do keys[i] = all[i] end
  for i = nkeys + 1, count do args[i - nkeys] = all[i] end
  return keys, args
end

local function run_script(digest, ...)
  local keys, args = keys_and_args(...)
  local f = scripts[digest]
  setfenv(f, G)  -- the script may have changed it
  rawset(names, "KEYS", keys)
  rawset(names, "ARGV", args)
  return perform(below(f, nil, nil, replied))
end

local function run_function(library, name, ...)
  local keys, args = keys_and_args(...)
  local f = libraries[library][name]
  return perform(below(f, keys, args, replied))
end

local function loaded(name, functions, ok, ...)
  loading = nil
  globals_metatable.__index = names
  if ok then libraries[name] = functions end
  return ok, ...
end

local function load_library(name, source, chunk)
  local f, message = loadstring(source, chunk)
  if not f then return nil, message end
  setfenv(f, G)
  local functions = {}
  loading = functions
  globals_metatable.__index = library_names
  return loaded(name, functions, perform(function() f() end))
end

local function forget(library) libraries[library] = nil end

@LIBRARIES@

return define, run_script, run_function, load_library, forget, debugging
"""
