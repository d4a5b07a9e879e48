"""The libraries that Redis bundles with Lua: bit, struct, cjson and cmsgpack, in Lua.

Part of the prelude: they use its locals (`fail`, `bad`, `seal` …), so that an error names the script's line and no
loop escapes the time limit. What Lua lacks (32-bit arithmetic, the bytes of a double) are pure functions of Python's
that get and return numbers and strings.
"""

LUA = rb"""
do -- bit: 32-bit integers, http://bitop.luajit.org
  local bit = {}
  local function number(value, position, count, name)
    local converted = (type(value) == "number" or type(value) == "string") and tonumber(value)
    if not converted then bad(position, name, "number expected, got " .. typename(value, count, position)) end
    return converted
  end
  for name, arity in pairs({tobit = 1, bnot = 1, bswap = 1, lshift = 2, rshift = 2, arshift = 2, rol = 2, ror = 2}) do
    bit[name] = function(...)
      local a, b = ...
      local count = select("#", ...)
      a = number(a, 1, count, name)
      if arity == 2 then return py_bits(name, a, number(b, 2, count, name)) end
      return py_bits(name, a, 0)
    end
  end
  for _, name in ipairs({"band", "bor", "bxor"}) do
    bit[name] = function(...)
      local count = select("#", ...)
      local result = py_bits("tobit", number((...), 1, count, name), 0)
      if count > 1 then
        local arguments = {...}
        for i = 2, count do result = py_bits(name, result, number(arguments[i], i, count, name)) end
      end
      return result
    end
  end
  bit.tohex = function(...)
    local value, digits = ...
    local count = select("#", ...)
    value = number(value, 1, count, "tohex")
    afford()
    return py_bits("tohex", value, digits == nil and 8 or number(digits, 2, count, "tohex"))
  end
  names.bit = seal(bit)
end

local function double(little, option, value)
  afford()
  return py_double(little, option, value)
end

do -- struct: C structures in strings
  local MAXINT, MAXALIGN = 32, 8
  local fixed = {b = 1, B = 1, h = 2, H = 2, l = 8, L = 8, T = 8, f = 4, d = 8, x = 1, s = 0}

  local function digits(layout, at, default)
    local first, last = find(layout, "^%d+", at)
    if not first then return default, at end
    local value = tonumber(sub(layout, first, last))
    if value > 2147483647 then fail("integral size overflow") end
    return value, last + 1
  end

  local function size_of(option, layout, at)
    if fixed[option] then return fixed[option], at end
    if option == "c" then return digits(layout, at, 1) end
    if option == "i" or option == "I" then
      local size, next_at = digits(layout, at, 4)
      if size > MAXINT then fail(format("integral size %d is larger than limit of %d", size, MAXINT)) end
      return size, next_at
    end
    return 0, at
  end

  local function padding(length, align, option, size)
    if size == 0 or option == "c" then return 0 end
    if size > align then size = align end
    return (size - length % size) % size
  end

  local function control(state, option, layout, at, name)
    if option == " " then return at end
    if option == ">" then state.little = false return at end
    if option == "<" then state.little = true return at end
    if option == "!" then
      local align
      align, at = digits(layout, at, MAXALIGN)
      local power = 1
      while power < align do power = power * 2 end
      if align == 0 or power ~= align then fail(format("alignment %d is not a power of 2", align)) end
      state.align = align
      return at
    end
    bad(1, name, "invalid format option '" .. option .. "'")
  end

  local function check_layout(layout, name)
    if type(layout) == "number" then layout = tostring(layout) end
    if type(layout) ~= "string" then bad(1, name, "string expected, got " .. typename(layout, 0, 1)) end
    return layout
  end

  local function put_integer(value, little, size)
    local bytes = {}
    value = value < 0 and -floor(-value) or floor(value)
    for i = 1, size do
      local low = i <= 8 and value % 256 or 0
      if low ~= low then low = 0 end
      bytes[little and i or size - i + 1] = char(low)
      value = floor(value / 256)
    end
    return concat(bytes)
  end

  local function get_integer(data, at, little, size, signed)
    local value, sign = 0, byte(data, little and at + size - 1 or at)
    local negative = signed and sign >= 128
    for i = 0, size - 1 do
      local b = byte(data, little and at + size - 1 - i or at + i)
      value = value * 256 + (negative and 255 - b or b)
    end
    return negative and -value - 1 or value
  end

  local function number(value, position, name, count)
    local converted = (type(value) == "number" or type(value) == "string") and tonumber(value)
    if not converted then bad(position, name, "number expected, got " .. type(value)) end
    return converted
  end

  local function pack(...)
    local arguments, count = {...}, select("#", ...)
    local layout = check_layout(arguments[1], "pack")
    local state, parts, length = {little = true, align = 1}, {}, 0
    local argument, at, total = 2, 1, #layout
    while at <= total do
      local option = sub(layout, at, at)
      at = at + 1
      local size
      size, at = size_of(option, layout, at)
      local pad = padding(length, state.align, option, size)
      if pad > 0 then parts[#parts + 1] = rep("\0", pad) length = length + pad end
      local piece
      if find(option, "[bBhHlLTiI]") then
        piece = put_integer(number(arguments[argument], argument, "pack", count), state.little, size)
        argument = argument + 1
      elseif option == "x" then
        piece = "\0"
      elseif option == "f" or option == "d" then
        piece = double(state.little, option, number(arguments[argument], argument, "pack", count))
        argument = argument + 1
      elseif option == "c" or option == "s" then
        local text = arguments[argument]
        if type(text) == "number" then text = tostring(text) end
        if type(text) ~= "string" then
          bad(argument, "pack", "string expected, got " .. type(text))
        end
        argument = argument + 1
        if size == 0 then size = #text end
        if #text < size then bad(argument, "pack", "string too short") end
        piece = sub(text, 1, size)
        if option == "s" then piece = piece .. "\0" end
      else
        at = control(state, option, layout, at, "pack")
        piece = ""
      end
      parts[#parts + 1] = piece
      length = length + #piece
    end
    return concat(parts)
  end

  local function unpack_(...)
    local count = select("#", ...)
    local layout, data, start = ...
    layout = check_layout(layout, "unpack")
    if type(data) == "number" then data = tostring(data) end
    if type(data) ~= "string" then bad(2, "unpack", "string expected, got " .. typename(data, count, 2)) end
    start = start == nil and 1 or number(start, 3, "unpack", count)
    if start < 1 then bad(3, "unpack", "offset must be 1 or greater") end
    local state, values, n = {little = true, align = 1}, {}, 0
    local position, at, total = floor(start) - 1, 1, #layout
    while at <= total do
      local option = sub(layout, at, at)
      at = at + 1
      local size
      size, at = size_of(option, layout, at)
      position = position + padding(position, state.align, option, size)
      if size > #data or position > #data - size then bad(2, "unpack", "data string too short") end
      if find(option, "[bBhHlLTiI]") then
        n = n + 1
        values[n] = get_integer(data, position + 1, state.little, size, option == "b" or option == "h"
          or option == "l" or option == "i")
      elseif option == "f" or option == "d" then
        n = n + 1
        values[n] = double(state.little, option, sub(data, position + 1, position + size))
      elseif option == "c" then
        if size == 0 then
          if n == 0 or type(values[n]) ~= "number" then fail("format 'c0' needs a previous size") end
          size = floor(values[n])
          n = n - 1
          if size < 0 or size > #data or position > #data - size then bad(2, "unpack", "data string too short") end
        end
        n = n + 1
        values[n] = sub(data, position + 1, position + size)
      elseif option == "s" then
        local stop = find(data, "\0", position + 1, true)
        if not stop then fail("unfinished string in data") end
        n = n + 1
        values[n] = sub(data, position + 1, stop - 1)
        size = stop - position
      elseif option ~= "x" then
        at = control(state, option, layout, at, "unpack")
      end
      position = position + size
    end
    values[n + 1] = position + 1
    return unpack(values, 1, n + 1)
  end

  local function size(layout)
    layout = check_layout(layout, "size")
    local state, position, at = {little = true, align = 1}, 0, 1
    while at <= #layout do
      local option = sub(layout, at, at)
      at = at + 1
      local bytes
      bytes, at = size_of(option, layout, at)
      position = position + padding(position, state.align, option, bytes)
      if option == "s" then
        bad(1, "size", "option 's' has no fixed size")
      elseif option == "c" and bytes == 0 then
        bad(1, "size", "option 'c0' has no fixed size")
      end
      if not find(option, "[bBhHlLTiIxfdc]") then at = control(state, option, layout, at, "size") end
      position = position + bytes
    end
    return position
  end

  names.struct = seal({pack = pack, unpack = unpack_, size = size})
end

do -- cjson, https://kyne.com.au/~mark/software/lua-cjson.php
  local null = newproxy()
  local escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n",
    ["\f"] = "\\f", ["\r"] = "\\r", ["\127"] = "\\u007f"}
  for code = 0, 31 do
    local letter = char(code)
    escapes[letter] = escapes[letter] or format("\\u%04x", code)
  end
  local unescaped = {b = "\b", t = "\t", n = "\n", f = "\f", r = "\r", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}

  local function quoted(text)
    return '"' .. gsub(text, '[%c"\\/\127]', escapes) .. '"'
  end

  local function new()
    local settings = {sparse_convert = false, sparse_ratio = 2, sparse_safe = 10, encode_depth = 1000,
      decode_depth = 1000, precision = 14, invalid_encode = false, invalid_decode = true, keep = true}

    local function numeral(value, what)
      if (value ~= value or value == huge or value == -huge) and settings.invalid_encode ~= true then
        if settings.invalid_encode == "null" then return "null" end
        fail("Cannot serialise " .. what .. ": must not be NaN or Inf")
      end
      if value ~= value then return "nan" end
      return format("%." .. settings.precision .. "g", value)
    end

    local function array_length(t)  -- or nil, for an object
      local highest, items = 0, 0
      for key in next, t do
        if type(key) ~= "number" or key < 1 or key ~= floor(key) then return nil end
        if key > highest then highest = key end
        items = items + 1
      end
      if settings.sparse_ratio > 0 and highest > items * settings.sparse_ratio and highest > settings.sparse_safe then
        if not settings.sparse_convert then fail("Cannot serialise table: excessively sparse array") end
        return nil
      end
      return highest
    end

    local encode_value
    local function encode_table(t, out, depth)
      if depth > settings.encode_depth then fail(format("Cannot serialise, excessive nesting (%d)", depth)) end
      t = hidden[t] or t
      local length = array_length(t)
      if length and length > 0 then
        out[#out + 1] = "["
        for i = 1, length do
          if i > 1 then out[#out + 1] = "," end
          encode_value(rawget(t, i), out, depth)
        end
        out[#out + 1] = "]"
        return
      end
      out[#out + 1] = "{"
      local first = true
      for key, value in next, t do
        if not first then out[#out + 1] = "," end
        first = false
        if type(key) == "number" then
          out[#out + 1] = '"' .. numeral(key, "number") .. '":'
        elseif type(key) == "string" then
          out[#out + 1] = quoted(key) .. ":"
        else
          fail("Cannot serialise " .. type(key) .. ": table key must be a number or string")
        end
        encode_value(value, out, depth)
      end
      out[#out + 1] = "}"
    end

    function encode_value(value, out, depth)
      local kind = type(value)
      if kind == "string" then
        out[#out + 1] = quoted(value)
      elseif kind == "number" then
        out[#out + 1] = numeral(value, "number")
      elseif kind == "boolean" then
        out[#out + 1] = value and "true" or "false"
      elseif kind == "nil" or value == null then
        out[#out + 1] = "null"
      elseif kind == "table" then
        encode_table(value, out, depth + 1)
      else
        fail("Cannot serialise " .. kind .. ": type not supported")
      end
    end

    local function encode(...)
      if select("#", ...) ~= 1 then bad(1, "encode", "expected 1 argument") end
      local out = {}
      encode_value((...), out, 0)
      return concat(out)
    end

    local function utf8(code)
      if code < 0x80 then return char(code) end
      if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
      if code < 0x10000 then
        return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
      end
      return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64,
        0x80 + code % 64)
    end

    local literals = {t = {"true", true, "T_BOOLEAN"}, f = {"false", false, "T_BOOLEAN"},
      n = {"null", null, "T_NULL"}}
    local marks = {["{"] = "T_OBJ_BEGIN", ["}"] = "T_OBJ_END", ["["] = "T_ARR_BEGIN", ["]"] = "T_ARR_END",
      [","] = "T_COMMA", [":"] = "T_COLON"}

    local function string_token(text, at)
      local parts, start = {}, at + 1
      local p = start
      while true do
        local stop = find(text, '["\\]', p)
        if not stop then return "T_ERROR", "unexpected end of string", #text + 1, #text + 1 end
        parts[#parts + 1] = sub(text, p, stop - 1)
        if byte(text, stop) == 34 then return "T_STRING", concat(parts), at, stop + 1 end
        local letter = sub(text, stop + 1, stop + 1)
        if letter == "u" then
          local code = tonumber((find(text, "^%x%x%x%x", stop + 2)) and sub(text, stop + 2, stop + 5) or nil, 16)
          if not code then return "T_ERROR", "invalid unicode escape code", stop, stop + 1 end
          p = stop + 6
          if code >= 0xD800 and code <= 0xDFFF then
            local low = code < 0xDC00 and find(text, "^\\u%x%x%x%x", p) and tonumber(sub(text, p + 2, p + 5), 16)
            if not low or low < 0xDC00 or low > 0xDFFF then
              return "T_ERROR", "invalid unicode escape code", stop, stop + 1
            end
            code = 0x10000 + (code - 0xD800) * 1024 + low - 0xDC00
            p = p + 6
          end
          parts[#parts + 1] = utf8(code)
        else
          local plain = unescaped[letter]
          if not plain then return "T_ERROR", "invalid escape code", stop, stop + 1 end
          parts[#parts + 1] = plain
          p = stop + 2
        end
      end
    end

    local function token(text, at)  -- kind, value, where it stands, where the next one may stand
      at = find(text, "[^ \t\r\n]", at) or #text + 1
      if at > #text then return "T_END", nil, at, at end
      local letter = sub(text, at, at)
      if marks[letter] then return marks[letter], nil, at, at + 1 end
      if letter == '"' then return string_token(text, at) end
      local literal = literals[letter]
      if literal and sub(text, at, at + #literal[1] - 1) == literal[1] then
        return literal[3], literal[2], at, at + #literal[1]
      end
      local stop
      if find(letter, "[%d%-%+]") then
        local _
        _, stop = find(text, "^[%+%-]?%d+%.?%d*[eE][%+%-]?%d+", at)
        if not stop then _, stop = find(text, "^[%+%-]?%d+%.?%d*", at) end
        if settings.invalid_decode then
          local _, hex = find(text, "^[%+%-]?0[xX]%x+", at)
          stop = hex or stop
        elseif find(text, "^%-?0%d", at) or letter == "+" then
          stop = nil
        end
        if stop then
          local digits = sub(text, at, stop)
          local value
          if find(digits, "[xX]") then
            value = tonumber((gsub(digits, "^[%+%-]", "")))
            if byte(digits) == 45 then value = -value end
          else
            value = tonumber((gsub(digits, "^%+", "")))
          end
          return "T_NUMBER", value, at, stop + 1
        end
      end
      if settings.invalid_decode then
        local word = string.lower(sub(text, at, at + 9))
        local sign, name = string.match(word, "^([%+%-]?)(%a+)")
        if name then
          local value
          if sub(name, 1, 8) == "infinity" then
            value, stop = huge, at + #sign + 8
          elseif sub(name, 1, 3) == "inf" then
            value, stop = huge, at + #sign + 3
          elseif sub(name, 1, 3) == "nan" then
            value, stop = huge - huge, at + #sign + 3
          end
          if value then return "T_NUMBER", sign == "-" and -value or value, at, stop end
        end
      end
      return "T_ERROR", find(letter, "[%d%-]") and "invalid number" or "invalid token", at, at + 1
    end

    local function unexpected(expected, kind, value, at)
      fail(format("Expected %s but found %s at character %d", expected, kind == "T_ERROR" and value or kind, at))
    end

    local decode_value
    local function deeper(depth, at)
      if depth > settings.decode_depth then
        fail(format("Found too many nested data structures (%d) at character %d", depth, at))
      end
    end

    local function decode_object(text, p, depth)
      deeper(depth, p - 1)
      local result = {}
      local kind, value, at
      kind, value, at, p = token(text, p)
      if kind == "T_OBJ_END" then return result, p end
      while true do
        if kind ~= "T_STRING" then unexpected("object key string", kind, value, at) end
        local key = value
        kind, value, at, p = token(text, p)
        if kind ~= "T_COLON" then unexpected("colon", kind, value, at) end
        kind, value, at, p = token(text, p)
        result[key], p = decode_value(text, kind, value, at, p, depth)
        kind, value, at, p = token(text, p)
        if kind == "T_OBJ_END" then return result, p end
        if kind ~= "T_COMMA" then unexpected("comma or object end", kind, value, at) end
        kind, value, at, p = token(text, p)
      end
    end

    local function decode_array(text, p, depth)
      deeper(depth, p - 1)
      local result, n = {}, 0
      local kind, value, at
      kind, value, at, p = token(text, p)
      if kind == "T_ARR_END" then return result, p end
      while true do
        n = n + 1
        result[n], p = decode_value(text, kind, value, at, p, depth)
        kind, value, at, p = token(text, p)
        if kind == "T_ARR_END" then return result, p end
        if kind ~= "T_COMMA" then unexpected("comma or array end", kind, value, at) end
        kind, value, at, p = token(text, p)
      end
    end

    function decode_value(text, kind, value, at, p, depth)
      if kind == "T_STRING" or kind == "T_NUMBER" or kind == "T_BOOLEAN" or kind == "T_NULL" then return value, p end
      if kind == "T_OBJ_BEGIN" then return decode_object(text, p, depth + 1) end
      if kind == "T_ARR_BEGIN" then return decode_array(text, p, depth + 1) end
      unexpected("value", kind, value, at)
    end

    local function decode(...)
      if select("#", ...) ~= 1 then bad(1, "decode", "expected 1 argument") end
      local text = ...
      if type(text) == "number" then text = tostring(text) end
      if type(text) ~= "string" then bad(1, "decode", "string expected, got " .. type(text)) end
      if #text >= 2 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
        fail("JSON parser does not support UTF-16 or UTF-32")
      end
      local kind, value, at, p = token(text, 1)
      local result
      result, p = decode_value(text, kind, value, at, p, 0)
      kind, value, at = token(text, p)
      if kind ~= "T_END" then unexpected("the end", kind, value, at) end
      return result
    end

    local function integer_option(key, name, low, high)
      return function(value)
        if value ~= nil then
          value = floor(tonumber(value) or 0)
          if value < low or value > high then
            bad(1, name, format("expected integer between %d and %d", low, high))
          end
          settings[key] = value
        end
        return settings[key]
      end
    end

    local function switch(key, name, extra)
      return function(value)
        if value == "on" or value == true then settings[key] = true
        elseif value == "off" or value == false then settings[key] = false
        elseif extra and value == extra then settings[key] = extra
        elseif value ~= nil then bad(1, name, "invalid option '" .. tostring(value) .. "'") end
        return settings[key]
      end
    end

    return {
      encode = encode, decode = decode, null = null, _NAME = "cjson", _VERSION = "2.1.0",
      new = function() return new() end,
      encode_sparse_array = function(convert, ratio, safe)
        if convert ~= nil then settings.sparse_convert = convert == true or convert == "on" end
        if ratio ~= nil then settings.sparse_ratio = floor(tonumber(ratio) or 0) end
        if safe ~= nil then settings.sparse_safe = floor(tonumber(safe) or 0) end
        return settings.sparse_convert, settings.sparse_ratio, settings.sparse_safe
      end,
      encode_max_depth = integer_option("encode_depth", "encode_max_depth", 1, 2147483647),
      decode_max_depth = integer_option("decode_depth", "decode_max_depth", 1, 2147483647),
      encode_number_precision = integer_option("precision", "encode_number_precision", 1, 14),
      encode_keep_buffer = switch("keep", "encode_keep_buffer"),
      encode_invalid_numbers = switch("invalid_encode", "encode_invalid_numbers", "null"),
      decode_invalid_numbers = switch("invalid_decode", "decode_invalid_numbers"),
    }
  end
  names.cjson = seal(new())
end

do -- cmsgpack, https://github.com/msgpack/msgpack/blob/master/spec.md
  local DEEPEST = 16

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
    if count == 0 then bad(0, "pack", "MessagePack pack needs input.") end
    local arguments, out = {...}, {}
    for i = 1, count do pack_value(arguments[i], out, 0) end
    return concat(out)
  end

  local function need(text, at, size)
    if at + size - 1 > #text then fail("Missing bytes in input.") end
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
  local function array(text, at, count)
    local result = {}
    for i = 1, count do result[i], at = unpack_value(text, at) end
    return result, at
  end

  local function map(text, at, count)
    local result = {}
    for _ = 1, count do
      local key, value
      key, at = unpack_value(text, at)
      value, at = unpack_value(text, at)
      if key == nil or key ~= key then fail("Bad data format in input.") end
      result[key] = value
    end
    return result, at
  end

  function unpack_value(text, at)
    need(text, at, 1)
    local kind = byte(text, at)
    at = at + 1
    if kind < 128 then return kind, at end
    if kind < 144 then return map(text, at, kind - 128) end
    if kind < 160 then return array(text, at, kind - 144) end
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
    if kind == 220 then size, at = unsigned(text, at, 2) return array(text, at, size) end
    if kind == 221 then size, at = unsigned(text, at, 4) return array(text, at, size) end
    if kind == 222 then size, at = unsigned(text, at, 2) return map(text, at, size) end
    if kind == 223 then size, at = unsigned(text, at, 4) return map(text, at, size) end
    fail("Bad data format in input.")
  end

  local function unpack_full(name, text, limit, offset)
    if type(text) == "number" then text = tostring(text) end
    if type(text) ~= "string" then bad(1, name, "string expected, got " .. typename(text, 0, 1)) end
    local everything = limit == 0 and offset == 0
    if limit < 0 or offset < 0 then
      fail(format("Invalid request to unpack with offset of %d and limit of %d.", offset, #text))
    elseif offset > #text then
      fail(format("Start offset %d greater than input length %d.", offset, #text))
    end
    local values, n, at = {}, everything and 0 or 1, offset + 1
    local most = everything and huge or limit + 1
    while at <= #text and n < most do
      n = n + 1
      values[n], at = unpack_value(text, at)
    end
    if not everything then values[1] = at > #text and -1 or at - 1 end
    if n > 7000 then fail("too many results to unpack") end
    return unpack(values, 1, n)
  end

  local function whole(value, default)
    if value == nil then return default end
    return floor(tonumber(value) or 0)
  end

  names.cmsgpack = seal({
    pack = pack,
    unpack = function(text) return unpack_full("unpack", text, 0, 0) end,
    unpack_one = function(text, offset) return unpack_full("unpack_one", text, 1, whole(offset, 0)) end,
    unpack_limit = function(text, limit, offset)
      return unpack_full("unpack_limit", text, whole(limit, 0), whole(offset, 0))
    end,
    _NAME = "cmsgpack", _VERSION = "lua-cmsgpack 0.4.0", _COPYRIGHT = "Copyright (C) 2012, Salvatore Sanfilippo",
    _DESCRIPTION = "MessagePack C implementation for Lua",
  })
end
"""
