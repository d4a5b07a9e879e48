do -- cjson, https://kyne.com.au/~mark/software/lua-cjson.php
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
        unwind("Cannot serialise " .. what .. ": must not be NaN or Inf")
      end
      if value ~= value then return "nan" end
      return format("%." .. settings.precision .. "g", value)
    end

    local function array_length(t)  -- or nil for an object
      local highest, items = 0, 0
      for key in next, t do
        if type(key) ~= "number" or key < 1 or key ~= floor(key) then return nil end
        -- lua-cjson keeps it in an int: an index of 2^31 or more makes an object of a table of big ids
        if key > highest then highest = key < 2^31 and key or -2^31 end
        items = items + 1
      end
      if settings.sparse_ratio > 0 and highest > items * settings.sparse_ratio and highest > settings.sparse_safe then
        if not settings.sparse_convert then unwind("Cannot serialise table: excessively sparse array") end
        return nil
      end
      return highest
    end

    local encode_value
    local function encode_table(t, out, depth, slots)
      if depth > settings.encode_depth or slots + 3 > CSTACK then
        unwind(format("Cannot serialise, excessive nesting (%d)", depth))
      end
      t = hidden[t] or t
      local length = array_length(t)
      if length and length > 0 then
        out[#out + 1] = "["
        for i = 1, length do
          if i > 1 then out[#out + 1] = "," end
          encode_value(rawget(t, i), out, depth, slots + 1)
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
          unwind("Cannot serialise " .. type(key) .. ": table key must be a number or string")
        end
        encode_value(value, out, depth, slots + 2)
      end
      out[#out + 1] = "}"
    end

    function encode_value(value, out, depth, slots)
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
        return encode_table(value, out, depth + 1, slots)
      else
        unwind("Cannot serialise " .. kind .. ": type not supported")
      end
    end

    local function encode(...)
      if select("#", ...) ~= 1 then bad(1, "expected 1 argument") end
      local out = {}
      recurse(encode_value, (...), out, 0, 1)
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
          local code = find(text, "^%x%x%x%x", stop + 2) and tonumber(sub(text, stop + 2, stop + 5), 16)
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

    local DECIMAL = {"^%d+%.?%d*", "^%.%d+", "^[eE][%+%-]?%d+"}
    local HEXADECIMAL = {"^%x+%.?%x*", "^%.%x+", "^[pP][%+%-]?%d+"}

    local function number_end(text, at)  -- return its last position, as C's strtod() reads it
      local shape = DECIMAL
      local letter = byte(text, at)
      if letter == 43 or letter == 45 then at = at + 1 end
      if find(text, "^0[xX]%.?%x", at) then shape, at = HEXADECIMAL, at + 2 end
      local _, stop = find(text, shape[1], at)
      if not stop then _, stop = find(text, shape[2], at) end
      if not stop then return nil end
      local _, last = find(text, shape[3], stop + 1)
      return last or stop
    end

    local function token(text, at)  -- kind, value, its position, the position of the next one
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
        if settings.invalid_decode or letter ~= "+" and not find(text, "^%-?0[xX%d]", at) then
          stop = number_end(text, at)
        end
        if stop then return "T_NUMBER", tonumber(sub(text, at, stop)), at, stop + 1 end
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
            value, stop = -NAN, at + #sign + 3
            local _, last = find(text, "^%([%w_]*%)", stop)
            if last then stop = last + 1 end
          end
          if value then return "T_NUMBER", sign == "-" and -value or value, at, stop end
        end
      end
      return "T_ERROR", find(letter, "[%d%-]") and "invalid number" or "invalid token", at, at + 1
    end

    local function unexpected(expected, kind, value, at)
      unwind(format("Expected %s but found %s at character %d", expected, kind == "T_ERROR" and value or kind, at))
    end

    local decode_value
    local function deeper(depth, at, slots)
      if depth > settings.decode_depth or slots > CSTACK then
        unwind(format("Found too many nested data structures (%d) at character %d", depth, at))
      end
    end

    local function decode_object(text, p, depth, slots)
      deeper(depth, p - 1, slots + 3)
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
        result[key], p = decode_value(text, kind, value, at, p, depth, slots + 2)
        kind, value, at, p = token(text, p)
        if kind == "T_OBJ_END" then return result, p end
        if kind ~= "T_COMMA" then unexpected("comma or object end", kind, value, at) end
        kind, value, at, p = token(text, p)
      end
    end

    local function decode_array(text, p, depth, slots)
      deeper(depth, p - 1, slots + 2)
      local result, n = {}, 0
      local kind, value, at
      kind, value, at, p = token(text, p)
      if kind == "T_ARR_END" then return result, p end
      while true do
        n = n + 1
        result[n], p = decode_value(text, kind, value, at, p, depth, slots + 1)
        kind, value, at, p = token(text, p)
        if kind == "T_ARR_END" then return result, p end
        if kind ~= "T_COMMA" then unexpected("comma or array end", kind, value, at) end
        kind, value, at, p = token(text, p)
      end
    end

    function decode_value(text, kind, value, at, p, depth, slots)
      if kind == "T_STRING" or kind == "T_NUMBER" or kind == "T_BOOLEAN" or kind == "T_NULL" then return value, p end
      if kind == "T_OBJ_BEGIN" then return decode_object(text, p, depth + 1, slots) end
      if kind == "T_ARR_BEGIN" then return decode_array(text, p, depth + 1, slots) end
      unexpected("value", kind, value, at)
    end

    local function decode_all(text)
      local kind, value, at, p = token(text, 1)
      local result
      result, p = decode_value(text, kind, value, at, p, 0, 1)
      kind, value, at = token(text, p)
      if kind ~= "T_END" then unexpected("the end", kind, value, at) end
      return result
    end

    local function decode(...)
      if select("#", ...) ~= 1 then bad(1, "expected 1 argument") end
      local text = check_string((...), 1, 1)
      if #text >= 2 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
        fail("JSON parser does not support UTF-16 or UTF-32")
      end
      local zero = find(text, "\0", 1, true)  -- ends the text, as in C
      if zero then text = sub(text, 1, zero - 1) end
      return (recurse(decode_all, text))
    end

    local function few(count, most)
      if count > most then bad(most + 1, "found too many arguments") end
    end

    local function whole(key, value, position, low, high)
      if value ~= nil then
        value = check_int(value, position, position)
        if value < low or value > high then bad(1, format("expected integer between %d and %d", low, high)) end
        settings[key] = value
      end
      return settings[key]
    end

    local function switch(key, value, extra)
      if type(value) == "boolean" then
        settings[key] = value
      elseif value ~= nil then
        value = check_string(value, 1, 1)
        if value ~= "on" and value ~= "off" and value ~= extra then bad(1, "invalid option '" .. value .. "'") end
        settings[key] = value == extra and extra or value == "on"
      end
      return settings[key]
    end

    return {
      encode = encode, decode = decode, null = null, _NAME = "cjson", _VERSION = "2.1.0",
      new = function() return know(new()) end,
      encode_sparse_array = function(...)
        local convert, ratio, safe = ...
        few(select("#", ...), 3)
        switch("sparse_convert", convert)
        whole("sparse_ratio", ratio, 2, 0, 2147483647)
        whole("sparse_safe", safe, 3, 0, 2147483647)
        return settings.sparse_convert, settings.sparse_ratio, settings.sparse_safe
      end,
      encode_max_depth = function(...)
        few(select("#", ...), 1)
        local depth = whole("encode_depth", (...), 1, 1, 2147483647)
        return depth
      end,
      decode_max_depth = function(...)
        few(select("#", ...), 1)
        local depth = whole("decode_depth", (...), 1, 1, 2147483647)
        return depth
      end,
      encode_number_precision = function(...)
        few(select("#", ...), 1)
        local precision = whole("precision", (...), 1, 1, 14)
        return precision
      end,
      encode_keep_buffer = function(...)
        few(select("#", ...), 1)
        local keep = switch("keep", (...))
        return keep
      end,
      encode_invalid_numbers = function(...)
        few(select("#", ...), 1)
        local encoded = switch("invalid_encode", (...), "null")
        return encoded
      end,
      decode_invalid_numbers = function(...)
        few(select("#", ...), 1)
        local decoded = switch("invalid_decode", (...))
        return decoded
      end,
    }
  end
  names.cjson = seal(new())
end
