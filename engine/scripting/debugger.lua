-- The Lua part of the debugger: it inspects the script when it stops.
--
-- The session in Python (`engine.scripting.debugger`) controls it and receives the results as strings, so that
-- no value of a script leaves Lua. Our own frames are not shown, because Redis has none. While a hook runs, Lua
-- calls no other hook, so `eval` and `redis` never stop here.
-- https://redis.io/docs/latest/develop/interact/programmability/lua-debugging/

local on_event

do
  local DEEPEST_SHOWN = 10
  local escapes = {["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\a"] = "\\a",
    ["\b"] = "\\b"}

  local function escape(c) return escapes[c] or format("\\x%02x", byte(c)) end

  local function describe(value, level)
    if level == DEEPEST_SHOWN then return "<max recursion level reached! Nested table?>" end
    local kind = type(value)
    if kind == "string" then return '"' .. gsub(value, '[%c"\\\128-\255]', escape) .. '"' end
    if kind == "number" then return format("%g", value) end
    if kind == "boolean" or kind == "nil" then return tostring(value) end
    if kind == "userdata" then return '"userdata"' end
    if kind ~= "table" then return '"' .. gsub(tostring(value), ": ", "@") .. '"' end
    local list, map, count, is_list = {}, {}, 0, true
    for key, item in next, hidden[value] or value do
      count = count + 1
      if key ~= count then is_list = false end
      list[count] = describe(item, level + 1)
      map[count] = "[" .. describe(key, level + 1) .. "]=" .. list[count]
    end
    return "{" .. concat(is_list and list or map, "; ") .. "}"
  end

  local function tell(prefix, value)
    local text = prefix .. describe(value, 0)
    afford()
    py_debug("value", text)
  end

  local function is_ours(info) return info.what == "C" or info.source == SELF or info.source == BASE end

  local function is_script(info) return find(info.short_src, "user_script", 1, true) ~= nil end

  -- `on_event` calls these: the stopped function is at level 3.

  local function print_variable(wanted)
    local level, info = 3, getinfo(3, "S")
    while info do
      if not is_ours(info) then
        local i, name, value = 1, getlocal(level, 1)
        while name do
          if name == wanted then return tell("<value> ", value) end
          i = i + 1
          name, value = getlocal(level, i)
        end
      end
      level = level + 1
      info = getinfo(level, "S")
    end
    if wanted == "KEYS" or wanted == "ARGV" then return tell("<value> ", rawget(names, wanted)) end
    py_debug("log", "No such variable.")
  end

  local function print_all()
    local i, count, name, value = 1, 0, getlocal(3, 1)
    while name do
      if not find(name, "(*temporary)", 1, true) then
        tell("<value> " .. name .. " = ", value)
        count = count + 1
      end
      i = i + 1
      name, value = getlocal(3, i)
    end
    if count == 0 then py_debug("log", "No local variables in the current context.") end
  end

  local function trace()
    local level, info = 3, getinfo(3, "Snl")
    while info do
      local caller = getinfo(level + 1, "Snl")
      if is_script(info) then
        local name = caller and not is_ours(caller) and info.name or "top level"
        py_debug("log", (level == 3 and "In " or "From ") .. name .. ":")
        py_debug("source", info.currentline)
      end
      level, info = level + 1, caller
    end
  end

  local function evaluate(expression, statement)
    local f, message = compile(expression, "@ldb_eval")
    if not f then f, message = compile(statement, "@ldb_eval") end
    local ok, value = false, message
    if f then ok, value = xpcall(f, handler) end
    if ok then return tell("<retval> ", value) end
    if type(value) == "table" then value = rawget(value, "err") end
    afford()
    py_debug("log", "<error> " .. tostring(value))
  end

  function on_event()
    local info = getinfo(2, "Sl")
    if is_ours(info) then return end
    local request, first, second = py_debug("at", info.currentline, is_script(info))
    while request do
      if request == "variable" then
        print_variable(first)
      elseif request == "variables" then
        print_all()
      elseif request == "trace" then
        trace()
      elseif request == "eval" then
        evaluate(first, second)
      elseif request == "redis" then
        pcall(redis.call, unpack(first))
      else
        error({err = first}, 0)
      end
      request, first, second = py_debug("next")
    end
  end

  if flavour == "eval" then
    function redis.breakpoint()
      if not noted then return false end
      py_debug("breakpoint")
      return true
    end

    function redis.debug(...)
      if not noted then return end
      local parts = {}
      for i = 1, select("#", ...) do parts[i] = describe((select(i, ...)), 0) end
      local text = concat(parts, ", ")
      afford()
      py_debug("debug", text)
    end
  end
end

local function debugging(on)
  if on then
    watch, events = on_event, "l"
    noted = function(text) py_debug("error", text) end
  else
    watch, events, noted = hook, "", nil
  end
end
