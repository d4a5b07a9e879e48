-- Entry points for Python -----------------------------------------------------------------------------------------

local DEEPEST = 7900  -- nested tables; Redis reaches the limit of Lua's C stack here

-- A reply as a list of kinds and values, in wire order.
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
    out[n + 1], out[n + 2] = ",", is_minus_zero(field) and "-0" or field
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
  if type(value) ~= "table" then return false, tostring(located(value)) end
  return false, value[1], value[2], value[3], value[4]
end

local function perform(body)
  dead = nil
  failures = 0
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
  afford()
  if n > 2 * MANY then return out, n, depth end
  return depth, unpack(out, 1, n)
end

local below = loadstring([[
  local f, first, second, replied = ...
  return function()
    local value = f(first, second)
    return replied(value)
  end]], BASE)

local scripts = {}  -- scripts compiled by EVAL, by digest

local function define(digest, source, name)
  local f, message = assemble(source, name)
  if not f then return message end
  scripts[digest] = f
end

-- Keys and arguments are passed one by one, which is fastest, or in two tables if there are many.
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
  local f, message = assemble(source, chunk)
  if not f then return nil, message end
  setfenv(f, G)
  local functions = {}
  loading = functions
  globals_metatable.__index = library_names
  return loaded(name, functions, perform(function() f() end))
end

local function forget(library) libraries[library] = nil end

know(names)
know(redis)

local function limit(kilobytes) full = kilobytes end

return define, run_script, run_function, load_library, forget, debugging, limit
