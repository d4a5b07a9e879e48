-- Functions -------------------------------------------------------------------------------------------------

local libraries = {}  -- name -> functions by name
local loading = nil  -- the functions of the library being loaded

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

-- While a library loads, only these names exist; reading any other one is an error.
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
