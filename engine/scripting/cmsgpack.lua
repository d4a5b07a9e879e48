do -- cmsgpack, https://github.com/msgpack/msgpack/blob/master/spec.md
  local DEEPEST = 16
  local TOO_MANY = "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)"

  local function big(value, size)
    local bytes = {}
    for i = size, 1, -1 do
      bytes[i] = char(value % 256)
      value = floor(value / 256)
    end
    return concat(bytes)
  end

  local function pack_integer(value)
    if value >= 0 then
      if value < 128 then return char(value) end
      if value < 256 then return "\204" .. big(value, 1) end
      if value < 65536 then return "\205" .. big(value, 2) end
      if value < 4294967296 then return "\206" .. big(value, 4) end
      return "\207" .. big(value, 8)
    end
    if value >= -32 then return char(256 + value) end
    if value >= -128 then return "\208" .. big(value, 1) end
    if value >= -32768 then return "\209" .. big(value, 2) end
    if value >= -2147483648 then return "\210" .. big(value, 4) end
    return "\211" .. big(value, 8)
  end

  local function is_array(t)
    local highest, count = 0, 0
    for key in next, t do
      if type(key) ~= "number" or key <= 0 or key ~= floor(key) then return false end
      if key > highest then highest = key end
      count = count + 1
    end
    return highest == count, count
  end

  local function head(count, fixed, limit, short, long)
    if count <= limit then return char(fixed + count) end
    if count < 65536 then return char(short) .. big(count, 2) end
    return char(long) .. big(count, 4)
  end

  local function pack_value(value, out, level)
    local kind = type(value)
    if kind == "string" then
      local length = #value
      if length >= 32 and length < 256 then
        out[#out + 1] = "\217" .. char(length)
      else
        out[#out + 1] = head(length, 160, 31, 218, 219)
      end
      out[#out + 1] = value
    elseif kind == "number" then
      if value == floor(value) and value >= -9223372036854775808 and value < 9223372036854775808 then
        out[#out + 1] = pack_integer(value)
      else
        local single = double(false, "f", value)
        if double(false, "f", single) == value then
          out[#out + 1] = "\202" .. single
        else
          out[#out + 1] = "\203" .. double(false, "d", value)
        end
      end
    elseif kind == "boolean" then
      out[#out + 1] = value and "\195" or "\194"
    elseif kind == "table" and level < DEEPEST then
      value = hidden[value] or value
      local array, count = is_array(value)
      if array then
        out[#out + 1] = head(count, 144, 15, 220, 221)
        for i = 1, count do pack_value(rawget(value, i), out, level + 1) end
      else
        count = 0
        for _ in next, value do count = count + 1 end
        out[#out + 1] = head(count, 128, 15, 222, 223)
        for key, item in next, value do
          pack_value(key, out, level + 1)
          pack_value(item, out, level + 1)
        end
      end
    else
      out[#out + 1] = "\192"
    end
  end

  local function pack(...)
    local count = select("#", ...)
    if count == 0 then bad(0, "MessagePack pack needs input.") end
    local arguments, out = {...}, {}
    for i = 1, count do pack_value(arguments[i], out, 0) end
    return concat(out)
  end

  local function need(text, at, size)
    if at + size - 1 > #text then unwind("Missing bytes in input.") end
  end

  local function unsigned(text, at, size)
    need(text, at, size)
    local value = 0
    for i = at, at + size - 1 do value = value * 256 + byte(text, i) end
    return value, at + size
  end

  local function signed(text, at, size)
    need(text, at, size)
    if byte(text, at) < 128 then return unsigned(text, at, size) end
    local value = 0
    for i = at, at + size - 1 do value = value * 256 + 255 - byte(text, i) end
    return -value - 1, at + size
  end

  local function bytes(text, at, size)
    need(text, at, size)
    return sub(text, at, at + size - 1), at + size
  end

  local unpack_value
  local function array(text, at, count, slots)
    if slots + 2 > CSTACK then unwind("stack overflow (in function mp_decode_to_lua_array)") end
    local result = {}
    for i = 1, count do result[i], at = unpack_value(text, at, slots + 2) end
    return result, at
  end

  local function map(text, at, count, slots)
    local result = {}
    for _ = 1, count do
      local key, value
      key, at = unpack_value(text, at, slots + 1)
      value, at = unpack_value(text, at, slots + 2)
      if key == nil then error("table index is nil", 0) end
      if key ~= key then error("table index is NaN", 0) end
      result[key] = value
    end
    return result, at
  end

  function unpack_value(text, at, slots)
    need(text, at, 1)
    if slots + 1 > CSTACK then unwind(TOO_MANY) end
    local kind = byte(text, at)
    at = at + 1
    if kind < 128 then return kind, at end
    if kind < 144 then return map(text, at, kind - 128, slots) end
    if kind < 160 then return array(text, at, kind - 144, slots) end
    if kind < 192 then return bytes(text, at, kind - 160) end
    if kind >= 224 then return kind - 256, at end
    if kind == 192 then return nil, at end
    if kind == 194 then return false, at end
    if kind == 195 then return true, at end
    local size
    if kind == 196 or kind == 217 then size, at = unsigned(text, at, 1) return bytes(text, at, size) end
    if kind == 197 or kind == 218 then size, at = unsigned(text, at, 2) return bytes(text, at, size) end
    if kind == 198 or kind == 219 then size, at = unsigned(text, at, 4) return bytes(text, at, size) end
    if kind == 202 or kind == 203 then
      local option = kind == 202 and "f" or "d"
      local data
      data, at = bytes(text, at, kind == 202 and 4 or 8)
      return double(false, option, data), at
    end
    if kind == 207 then return signed(text, at, 8) end
    if kind >= 204 and kind <= 206 then return unsigned(text, at, 2 ^ (kind - 204)) end
    if kind >= 208 and kind <= 211 then return signed(text, at, 2 ^ (kind - 208)) end
    if kind == 220 then size, at = unsigned(text, at, 2) return array(text, at, size, slots) end
    if kind == 221 then size, at = unsigned(text, at, 4) return array(text, at, size, slots) end
    if kind == 222 then size, at = unsigned(text, at, 2) return map(text, at, size, slots) end
    if kind == 223 then size, at = unsigned(text, at, 4) return map(text, at, size, slots) end
    unwind("Bad data format in input.")
  end

  local function unpack_full(text, limit, offset, slots)
    local everything = limit == 0 and offset == 0
    if limit < 0 or offset < 0 then
      fail(format("Invalid request to unpack with offset of %d and limit of %d.", int(offset), #text))
    elseif offset > #text then
      fail(format("Start offset %d greater than input length %d.", int(offset), #text))
    end
    local values, n, at = {}, everything and 0 or 1, offset + 1
    local most = everything and huge or limit + 1
    while at <= #text and n < most do
      n = n + 1
      values[n], at = recurse(unpack_value, text, at, slots)
      slots = slots + 1
    end
    if not everything then
      if slots + 1 > CSTACK then fail("stack overflow (in function mp_unpack_full)") end
      values[1] = at > #text and -1 or at - 1
    end
    if n < 3 then return unpack(values, 1, n) end
    return values[1], values[2], unpack(values, 3, n)  -- the arguments of unpack take room that results need
  end

  local function whole(value, position, count) return integer(check_number(value, position, count)) end

  names.cmsgpack = seal({
    pack = pack,
    unpack = function(...)
      local text = check_string((...), 1, select("#", ...))
      return unpack_full(text, 0, 0, select("#", ...))
    end,
    unpack_one = function(...)
      local text, offset = ...
      local count = select("#", ...)
      offset = offset == nil and 0 or whole(offset, 2, count)
      text = check_string(text, 1, count)
      return unpack_full(text, 1, offset, 1)
    end,
    unpack_limit = function(...)
      local text, limit, offset = ...
      local count = select("#", ...)
      limit = whole(limit, 2, count)
      offset = offset == nil and 0 or whole(offset, 3, count)
      text = check_string(text, 1, count)
      return unpack_full(text, limit, offset, 1)
    end,
    _NAME = "cmsgpack", _VERSION = "lua-cmsgpack 0.4.0", _COPYRIGHT = "Copyright (C) 2012, Salvatore Sanfilippo",
    _DESCRIPTION = "MessagePack C implementation for Lua",
  })
end
