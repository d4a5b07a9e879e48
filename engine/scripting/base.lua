-- Tables that scripts cannot change ----------------------------------------------------------------------------

local hidden = {}  -- the proxy that scripts see -> the real table
local known = setmetatable({}, {__mode = "k"})  -- our functions that scripts may call: see frames.py
local READONLY = "Attempt to modify a readonly table"

local function refuse() fail(READONLY) end

local function know(real)
  for _, f in next, real do
    if type(f) == "function" and getinfo(f, "S").source == SELF then known[f] = true end
  end
  return real
end

local function seal(real, metatable)
  local seen = {}
  metatable = metatable or {}
  metatable.__index = metatable.__index or real
  metatable.__newindex = refuse
  metatable.__metatable = false
  hidden[seen] = know(real)
  return setmetatable(seen, metatable)
end

local function open(t) if hidden[t] then error(READONLY, 0) end end

-- The base library ------------------------------------------------------------------------------------------

local names = {}
local globals_metatable = {}
local G = seal(names, globals_metatable)
names._G, names._VERSION = G, version
names.assert, names.ipairs, names.rawequal, names.select = assert, ipairs, rawequal, select
names.tonumber, names.tostring, names.type, names.gcinfo = tonumber, tostring, type, gcinfo

local seen_string_metatable, seen_globals_metatable

function names.next(...)
  local t, key = ...
  local real = hidden[t]
  if real then return next(real, key) end
  return next(...)
end

function names.pairs(...)
  if hidden[(...)] then return names.next, (...), nil end
  return pairs(...)
end

function names.rawget(...)
  local t, key = ...
  local real = hidden[t]
  if real then return rawget(real, key) end
  return rawget(...)
end

function names.rawset(...)
  local t, key, value = ...
  open(t)
  if key == "__gc" and proxies[t] then
    t[key] = value
    return t
  end
  return rawset(...)
end

function names.getmetatable(...)
  local value = ...
  if type(value) == "string" then return seen_string_metatable end
  if value == G then return seen_globals_metatable end
  if hidden[value] or value == null or proxies[value] then return nil end
  return getmetatable(...)
end

function names.setmetatable(...)
  local t, metatable = ...
  if hidden[t] and (type(metatable) == "table" or metatable == nil and select("#", ...) > 1) then
    error(READONLY, 0)
  end
  if type(metatable) == "table" and t and known[rawget(metatable, "__call")] then known[t] = true end
  return setmetatable(...)
end

-- A script's finalizers are stored but never run: no hook could stop them, and some would run outside a script.
function names.newproxy(...)
  local proxy = newproxy(...)
  local metatable = getmetatable(proxy)
  if metatable and not proxies[metatable] then
    proxies[metatable] = {}
    setmetatable(metatable, {
      __metatable = false,
      __index = function(t, key) if key == "__gc" then return proxies[t].__gc end end,
      __newindex = function(t, key, value)
        if key == "__gc" then proxies[t].__gc = value else rawset(t, key, value) end
      end,
    })
  end
  return proxy
end

function names.unpack(...)
  local t, first, last = ...
  local count = select("#", ...)
  if type(t) ~= "table" then expected("table", 1, t, count) end
  first = first == nil and 1 or check_int(first, 2, count)
  last = last == nil and #t or check_int(last, 3, count)
  if first > last then return end
  if last - first >= 8000 - count then fail("too many results to unpack") end
  if count == 1 then return unpack(t) end  -- arguments occupy stack space that results need
  if count == 2 then return unpack(t, first) end
  return unpack(t, first, last)
end

-- Return the frame at a level, where a C function itself is level 0, and its level as seen from this function.
local function frame(level)
  local at, info = 1, nil
  for _ = 1, level do
    at, info = beyond(at + 1)
    if not info or info.source == BASE then return nil end
  end
  return info, at
end

function names.error(...)
  local message, level = ...
  level = level == nil and 1 or check_int(level, 2, select("#", ...))
  if level > 0 and (type(message) == "string" or type(message) == "number") then
    message = place((frame(level))) .. message
  end
  error(message, 0)
end

local function function_at(level, optional, count)
  if type(level) == "function" then return level end
  if level == nil and optional then level = 1 else level = check_int(level, 1, count) end
  if level < 0 then bad(1, "level must be non-negative") end
  if level == 0 then return 0 end
  local info, at = frame(level)
  if not info then bad(1, "invalid level") end
  local f = getinfo(at - 1, "f").func
  if not f then fail("no function environment for tail call at level " .. level) end
  return f
end

function names.getfenv(...)
  local f = function_at((...), true, select("#", ...))
  if f == 0 then return G end
  local env = getfenv(f)
  if env == private then return G end
  return env
end

function names.setfenv(...)
  local level, env = ...
  local count = select("#", ...)
  if type(env) ~= "table" then expected("table", 2, env, count) end
  local f = function_at(level, false, count)
  if f == 0 or getfenv(f) == private then fail("'setfenv' cannot change environment of given object") end
  setfenv(f, env)
  return f
end

-- Compile a source so that calls of our functions keep the frame of their caller.
local function assemble(source, name)
  local f, message = loadstring(source, name)
  if not f then return nil, message end
  afford()
  local code = py_frames(dump(f))
  if not code then return f end
  f = loadstring(code, name)
  setupvalue(f, 1, known)
  return f
end

local function compile(source, name)
  -- A leading space keeps the loader from taking precompiled code, which can break out of the interpreter.
  if byte(source) == 27 then source, name = " " .. source, name or source end
  local f, message = assemble(source, name or source)
  if not f then return nil, message end
  setfenv(f, G)
  return f
end

function names.loadstring(...)
  local source, name = ...
  local count = select("#", ...)
  source = check_string(source, 1, count)
  if name ~= nil then name = check_string(name, 2, count) end
  return compile(source, name)
end

function names.load(...)
  local reader, name = ...
  local count = select("#", ...)
  if name ~= nil then name = check_string(name, 2, count) end
  if type(reader) ~= "function" then expected("function", 1, reader, count) end
  local pieces = {}
  while true do
    local ok, piece = xpcall(reader, located)
    if dead then error(dead, 0) end
    if not ok then return nil, piece end
    if piece == nil or piece == "" then break end
    if type(piece) == "number" then piece = tostring(piece) end
    if type(piece) ~= "string" then return nil, "reader function must return a string" end
    pieces[#pieces + 1] = piece
  end
  return compile(concat(pieces), name or "=(load)")
end

local function caught(ok, ...)
  if ok then
    if dead then error(dead, 0) end
    return true, ...
  end
  survived()
  local err = ...
  if type(err) == "table" and not hidden[err] then
    local message = rawget(err, "err")
    if type(message) == "string" or type(message) == "number" then err = message end
  end
  return false, err
end

local function pass(...) return ... end

local function bound(count, f, ...)  -- returns a function that calls f and keeps its own frame
  if count == 2 then
    local a = ...
    return function() return pass(f(a)) end
  elseif count == 3 then
    local a, b = ...
    return function() return pass(f(a, b)) end
  end
  local arguments = {...}
  return function() return pass(f(unpack(arguments, 1, count - 1))) end
end

local function handler(err) return located(err) end

function names.pcall(...)
  local count = select("#", ...)
  if count == 0 then return caught(pcall(true)) end  -- Redis pushes `true` before it looks for a function
  if type((...)) ~= "function" then return caught(pcall(...)) end
  if count == 1 then return caught(xpcall((...), handler)) end
  return caught(xpcall(bound(count, ...), handler))
end

local function settled(ok, ...)
  if not ok then survived() elseif dead then error(dead, 0) end
  return ok, ...
end

function names.xpcall(...)
  local f, handle = ...
  if select("#", ...) < 2 then bad(2, "value expected") end
  if type(handle) ~= "function" then return settled(xpcall(f, handle)) end
  return settled(xpcall(f, function(err)
    -- No code of a script runs after its limit was reached: no hook could stop it in an error handler.
    if dead then return err end
    local result = handle(located(err))
    return result
  end))
end

-- Scripts cannot control the garbage collector, because the memory limit depends on it.
local collections = {collect = true, count = true, step = true, stop = 0, restart = 0, setpause = 200,
  setstepmul = 200}

function names.collectgarbage(...)
  local option, argument = ...
  local count = select("#", ...)
  if option == nil then option = "collect" end
  option = check_string(option, 1, count)
  local answer = collections[option]
  if not answer then bad(1, "invalid option '" .. option .. "'") end
  argument = argument == nil and 0 or check_int(argument, 2, count)
  if answer == true then return collectgarbage(option, argument) end
  return answer
end

if flavour == "eval" then
  function names.__redis__err__handler(err)
    local info = culprit()
    if type(err) ~= "table" then err = {err = "ERR " .. tostring(err)} end
    if info then err.source, err.line = info.source, info.currentline end
    return err
  end
end
