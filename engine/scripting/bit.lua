-- 32-bit integers, http://bitop.luajit.org. Lua has no bit operations, so Python computes them.

do
  local bit = {}
  for name, arity in pairs({tobit = 1, bnot = 1, bswap = 1, lshift = 2, rshift = 2, arshift = 2, rol = 2, ror = 2}) do
    bit[name] = function(...)
      local a, b = ...
      local count = select("#", ...)
      a = check_number(a, 1, count)
      return py_bits(name, a, arity == 2 and check_number(b, 2, count) or 0)
    end
  end
  for _, name in ipairs({"band", "bor", "bxor"}) do
    bit[name] = function(...)
      local count = select("#", ...)
      local result, second = ...
      result = check_number(result, 1, count)
      if count < 2 then return py_bits("tobit", result, 0) end
      result = py_bits(name, result, check_number(second, 2, count))
      if count > 2 then
        local arguments = {...}
        for i = 3, count do result = py_bits(name, result, check_number(arguments[i], i, count)) end
      end
      return result
    end
  end
  bit.tohex = function(...)
    local value, digits = ...
    local count = select("#", ...)
    value = check_number(value, 1, count)
    digits = count < 2 and 8 or check_number(digits, 2, count)
    afford()
    return py_bits("tohex", value, digits)
  end
  names.bit = seal(bit)
end
