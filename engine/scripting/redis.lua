-- redis -----------------------------------------------------------------------------------------------------

local log_levels = {LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3}

local function log(...)
  local count = select("#", ...)
  if count < 2 then raise("ERR redis.log() requires two arguments or more.") end
  local level = tonumber((...))
  if not level then raise("ERR First argument must be a number (log level).") end
  level = direct_int(level)
  if level < 0 or level > 3 then raise("ERR Invalid debug level.") end
  local parts = {}
  for i = 2, count do
    local value = select(i, ...)
    if type(value) == "string" or type(value) == "number" then parts[#parts + 1] = tostring(value) end
  end
  afford()
  py_log(level, concat(parts, " "))
end

local function coded(text)  -- the text of an error, with an error code
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
    local problem = py_control(what, direct_int(value))
    if problem then raise(problem) end
  end
end

local function received(reply, ...)
  if select("#", ...) > 0 then return {...} end  -- the cheapest way to return a short list of strings
  return reply
end

local function sign(arguments, count)  -- convert numbers that would lose their sign in Python to text; return whether any was converted
  local found = false
  for i = 1, count do
    if is_minus_zero(arguments[i]) then arguments[i], found = "-0", true end
  end
  return found
end

local function signed_all(...)
  local arguments, count = {...}, select("#", ...)
  if sign(arguments, count) then return unpack(arguments, 1, count) end
  return ...
end

local function signed(...)  -- without a table where that is possible: this is the path of every command
  local _, a, b, c, d, e, f, g, more = ...
  if more ~= nil or a == 0 and 1 / a < 0 or b == 0 and 1 / b < 0 or c == 0 and 1 / c < 0 or d == 0 and 1 / d < 0
      or e == 0 and 1 / e < 0 or f == 0 and 1 / f < 0 or g == 0 and 1 / g < 0 then
    return signed_all(...)
  end
  return ...
end

-- Arguments to Python are passed on the C stack, which is small, so many arguments go in a table (of ours).
local function many(...)
  local arguments, count = {...}, select("#", ...)
  sign(arguments, count)
  return received(py_call_many(arguments, count))
end

local redis = {
  call = function(...)
    if collectgarbage("count") > full then afford() end
    local reply
    if select("#", ...) > MANY then reply = many(...) else reply = received(py_call(signed(...))) end
    if type(reply) == "table" and rawget(reply, "err") ~= nil then error(reply, 0) end
    return reply
  end,
  pcall = function(...)
    if collectgarbage("count") > full then afford() end
    if select("#", ...) > MANY then return many(...) end
    return received(py_call(signed(...)))
  end,
  acl_check_cmd = function(...)
    afford()
    local allowed = py_acl({...}, select("#", ...))
    if type(allowed) == "table" then error(allowed, 0) end
    return allowed
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
  REDIS_VERSION = VERSION, REDIS_VERSION_NUM = VERSION_NUM,
}
for name, level in pairs(log_levels) do redis[name] = level end

if flavour == "eval" then
  redis.replicate_commands = function() return true end
end
names.redis = seal(redis)
