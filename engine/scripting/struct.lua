-- C structures in strings, http://www.inf.puc-rio.br/~roberto/struct/. Python encodes doubles, which Lua cannot.

local function double(little, option, value)
  if is_minus_zero(value) then
    local zeros = rep("\0", option == "f" and 3 or 7)
    return little and zeros .. "\128" or "\128" .. zeros
  end
  afford()
  return py_double(little, option, value)
end

do
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

  local powers = {[1] = true, [2] = true, [4] = true, [8] = true, [16] = true, [32] = true}

  local function padding(length, align, option, size)
    if size == 0 or option == "c" then return 0 end
    if size > align then size = align end
    if powers[size] then return (size - length % size) % size end
    return py_bits("band", size - py_bits("band", length, size - 1), size - 1)
  end

  local function control(state, option, layout, at)
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
    bad(1, "invalid format option '" .. option .. "'")
  end

  local function check_layout(...)
    return match(check_string((...), 1, select("#", ...)), "^%Z*")
  end

  local function put_integer(value, little, size)
    local bytes = {}
    if value >= 2 ^ 64 then value = 0 elseif value ~= value or value < -2 ^ 63 then value = 2 ^ 63 end
    value = value < 0 and -floor(-value) or floor(value)
    for i = 1, size do
      local low = i <= 8 and value % 256 or 0
      bytes[little and i or size - i + 1] = char(low)
      value = floor(value / 256)
    end
    return concat(bytes)
  end

  local function get_integer(data, at, little, size, signed)
    if size == 0 then return 0 end
    local value, sign = 0, byte(data, little and at + size - 1 or at)
    local negative = signed and sign >= 128
    for i = 0, size - 1 do
      local b = byte(data, little and at + size - 1 - i or at + i)
      value = value * 256 + (negative and 255 - b or b)
    end
    return negative and -value - 1 or value
  end

  -- A nil follows the arguments, where Redis's function marks their end.
  local function given(check, arguments, position) return check(arguments[position], position, position) end

  local function pack(...)
    local arguments, layout = {...}, check_layout(...)
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
        piece = put_integer(given(check_number, arguments, argument), state.little, size)
        argument = argument + 1
      elseif option == "x" then
        piece = "\0"
      elseif option == "f" or option == "d" then
        piece = double(state.little, option, given(check_number, arguments, argument))
        argument = argument + 1
      elseif option == "c" or option == "s" then
        local text = given(check_string, arguments, argument)
        argument = argument + 1
        if size == 0 then size = #text end
        if #text < size then bad(argument, "string too short") end
        piece = sub(text, 1, size)
        if option == "s" then piece = piece .. "\0" end
      else
        at = control(state, option, layout, at)
        piece = ""
      end
      parts[#parts + 1] = piece
      length = length + #piece
    end
    return concat(parts)
  end

  local function unpack_(...)
    local count = select("#", ...)
    local _, data, start = ...
    local layout = check_layout(...)
    data = check_string(data, 2, count)
    start = start == nil and 1 or integer(check_number(start, 3, count))
    if start == 0 then bad(3, "offset must be 1 or greater") end
    if start < 0 then start = start + 2 ^ 64 end
    local state, values, n = {little = true, align = 1}, {}, 0
    local position, at, total = start - 1, 1, #layout
    while at <= total do
      local option = sub(layout, at, at)
      at = at + 1
      local size
      size, at = size_of(option, layout, at)
      position = position + padding(position, state.align, option, size)
      if size > #data or position > #data - size then bad(2, "data string too short") end
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
          if size < 0 or size > #data or position > #data - size then bad(2, "data string too short") end
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
        at = control(state, option, layout, at)
      end
      position = position + size
    end
    values[n + 1] = position + 1
    if n >= 7990 then fail("stack overflow (too many results)") end
    return unpack(values, 1, n + 1)
  end

  local function size(...)
    local layout = check_layout(...)
    local state, position, at = {little = true, align = 1}, 0, 1
    while at <= #layout do
      local option = sub(layout, at, at)
      at = at + 1
      local bytes
      bytes, at = size_of(option, layout, at)
      position = position + padding(position, state.align, option, bytes)
      if option == "s" then
        bad(1, "option 's' has no fixed size")
      elseif option == "c" and bytes == 0 then
        bad(1, "option 'c0' has no fixed size")
      end
      if not find(option, "%w") then at = control(state, option, layout, at) end
      position = position + bytes
    end
    return position
  end

  names.struct = seal({pack = pack, unpack = unpack_, size = size})
end
