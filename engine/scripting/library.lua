-- Coroutines ------------------------------------------------------------------------------------------------

local create, resume, status, yield, running = coroutine.create, coroutine.resume, coroutine.status, coroutine.yield,
      coroutine.running

local function spawn(f)
  if type(f) ~= "function" or known[f] or getinfo(f, "S").what == "C" then bad(1, "Lua function expected") end
  local thread = create(f)
  sethook(thread, watch, events, STEP)
  return thread
end

local function resumed(thread, ok, ...)
  if ok then
    if dead then error(dead, 0) end
    return true, ...
  end
  survived()
  return false, located((...), thread)
end

local function unwrapped(thread, ok, ...)
  if ok then
    if dead then error(dead, 0) end
    return ...
  end
  survived()
  local err = located((...), thread)
  if type(err) == "string" or type(err) == "number" then fail(err) end
  error(err, 0)
end

names.coroutine = seal({
  create = function(f) return (spawn(f)) end,
  wrap = function(f)
    local thread = spawn(f)
    local function wrapped(...) return unwrapped(thread, resume(thread, ...)) end
    known[wrapped] = true
    return wrapped
  end,
  resume = function(thread, ...)
    if type(thread) ~= "thread" then bad(1, "coroutine expected") end
    return resumed(thread, resume(thread, ...))
  end,
  status = status, yield = yield, running = running,
})

-- Strings, tables, numbers ----------------------------------------------------------------------------------

-- Matching recurses on the C stack for every item of a pattern that may be repeated.
local LONGEST_PATTERN = 5000

local function check_pattern(pattern)
  local _, items = gsub(pattern, "[?*+%-]", "")
  if items > LONGEST_PATTERN then fail("pattern too complex") end
end

for _, name in ipairs({"find", "match", "gmatch", "gfind", "gsub"}) do
  local real = string[name]
  string[name] = function(...)
    local _, pattern, _, plain = ...
    if type(pattern) == "string" and #pattern > LONGEST_PATTERN and not (plain and name == "find") then
      check_pattern(pattern)
    end
    return real(...)
  end
end

local string_metatable = getmetatable("")
function string.dump(...)
  local f = ...
  if type(f) == "function" and (known[f] or getfenv(f) == private) then fail("unable to dump given function") end
  return dump(...)
end
string_metatable.__index = string
names.string = seal(string)
seen_string_metatable = seal({__index = names.string})

names.table = seal({
  concat = concat, foreach = foreach, foreachi = foreachi, getn = table.getn, maxn = maxn,
  setn = function(...)
    local t = ...
    if type(t) ~= "table" then expected("table", 1, t, select("#", ...)) end
    fail("'setn' is obsolete")
  end,
  remove = remove, sort = sort,  -- these see read-only tables as empty
  insert = function(...) open((...)) return insert(...) end,
})

function math.random(...)
  local r = (py_random() % 2147483647) / 2147483647
  local count = select("#", ...)
  if count == 0 then return r end
  if count > 2 then fail("wrong number of arguments") end
  local low, high = ...
  low = check_int(low, 1, count)
  if count == 1 then
    if low < 1 then bad(1, "interval is empty") end
    return floor(r * low) + 1
  end
  high = check_int(high, 2, count)
  if low > high then bad(2, "interval is empty") end
  return floor(r * int(high - low + 1)) + low
end
local log = math.log
function math.log(...)
  local result = log(...)
  if result ~= result and tonumber((...)) < 0 then return NAN end  -- C libraries differ in its sign
  return result
end
function math.randomseed(...)
  local seed = ...
  py_seed(check_int(seed, 1, select("#", ...)))
end
names.math = seal(math)
