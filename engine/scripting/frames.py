"""Keep a script's frame on the stack during every kind of call to a function of the sandbox.

Redis's functions are written in C. A C function that is called by `return f(x)` leaves its caller's frame on the
stack, and errors take their line number from that frame. The functions of the sandbox are written in Lua, and such
a tail call of a Lua function replaces the frame. Scripts rely on tail calls of their own functions, which may be
repeated without limit.

Therefore such calls are rewritten in compiled code: the new code looks the function up in a table of the sandbox's
functions and makes an ordinary call if it is found. The table is `known`, an upvalue that is added to each function
with such a call, and to the functions around it:

    TAILCALL A B            GETUPVAL F known
    RETURN   A              GETTABLE F F A
                            TEST     F
                            JMP      to the original
                            CALL     A B
                            RETURN   A
                            TAILCALL A B        the original
                            RETURN   A

The last argument may be a call or `...` with any number of values, which extend to the top of the stack. Then no
register is free right before the call, so the lookup comes before the instruction that produces these values, and the
copy begins with it.

The format is that of Lua 5.1's `string.dump` on this machine: https://www.lua.org/source/5.1/ldump.c.html, opcodes in
https://www.lua.org/source/5.1/lopcodes.h.html
"""

import struct
from functools import lru_cache

from engine.protocol.caches import cleared_when_idle

GETUPVAL, GETTABLE, JMP, TEST, CALL, TAILCALL = 4, 6, 22, 26, 28, 29
FORLOOP, FORPREP, SETLIST, CLOSURE, VARARG = 31, 32, 34, 36, 37
_HEADER = 12
_SHORT_BYTES = 4096
_JUMP_BIAS = 131071
_MOST_REGISTERS = 250
_NIL, _BOOLEAN, _NUMBER, _STRING = 0, 1, 3, 4


def keep_frames(code: bytes) -> bytes | None:
    """Return the rewritten code, or None if it contains no such call.

    The first upvalue of the main function must be set to the table of known functions.
    """
    return _remembered(code) if len(code) <= _SHORT_BYTES else _rewritten(code)


@cleared_when_idle
@lru_cache(maxsize=128)
def _remembered(code: bytes) -> bytes | None:
    # A script may load the same short source repeatedly.
    return _rewritten(code)


def _rewritten(code: bytes) -> bytes | None:
    main = _BytecodeReader(code).function()
    if not main.changes:
        return None
    out = [code[:_HEADER]]
    main.write(out)
    return b"".join(out)


class _BytecodeReader:
    """Reads functions from dumped code."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        self.at = _HEADER

    def integer(self) -> int:
        value: int = struct.unpack_from("=i", self.code, self.at)[0]
        self.at += 4
        return value

    def integers(self) -> list[int]:
        count = self.integer()
        values = list(struct.unpack_from(f"={count}I", self.code, self.at))
        self.at += 4 * count
        return values

    def string(self) -> bytes:
        """Return a string in its stored form, including its length."""
        start = self.at
        self.at += 8 + struct.unpack_from("=Q", self.code, start)[0]
        return self.code[start : self.at]

    def constants(self) -> bytes:
        start = self.at
        for _ in range(self.integer()):
            kind = self.code[self.at]
            self.at += 1
            if kind == _STRING:
                self.string()
            else:
                self.at += {_NIL: 0, _BOOLEAN: 1, _NUMBER: 8}[kind]
        return self.code[start : self.at]

    def function(self) -> "_Function":
        start = self.at
        self.string()
        self.at += 8
        head = self.code[start : self.at]
        upvalues, parameters, vararg, registers = self.code[self.at : self.at + 4]
        self.at += 4
        function = _Function(head, upvalues, bytes([parameters, vararg]), registers)
        function.code = self.integers()
        function.constants = self.constants()
        function.inner = [self.function() for _ in range(self.integer())]
        function.lines = self.integers()
        function.variables = [(self.string(), self.integer(), self.integer()) for _ in range(self.integer())]
        function.names = [self.string() for _ in range(self.integer())]
        function.changes = any(word & 63 == TAILCALL for word in function.code) or any(
            inner.changes for inner in function.inner
        )
        if not function.changes:
            function.unchanged = self.code[start : self.at]
        return function


class _Function:
    """A dumped function."""

    def __init__(self, head: bytes, upvalues: int, parameters: bytes, registers: int) -> None:
        self.head = head  # source, first and last line
        self.upvalues = upvalues
        self.parameters = parameters
        self.registers = registers
        self.code: list[int] = []
        self.constants = b""
        self.inner: list[_Function] = []
        self.lines: list[int] = []
        self.variables: list[tuple[bytes, int, int]] = []
        self.names: list[bytes] = []
        self.changes = False  # whether it or a nested function makes such a call
        self.unchanged = b""  # its complete code, if not
        self._ends_of_closures: set[int] = set()

    def write(self, out: list[bytes]) -> None:
        """Append the function in its changed form to the output."""
        if not self.changes:
            out.append(self.unchanged)
            return
        code, lines, moved = self._changed()
        names, upvalues = [*self.names, struct.pack("=Q", 8) + b"(known)\0"], self.upvalues + 1
        out += [self.head, bytes([upvalues]), self.parameters, bytes([self.registers])]
        out += [struct.pack(f"=i{len(code)}I", len(code), *code), self.constants, struct.pack("=i", len(self.inner))]
        for function in self.inner:
            function.write(out)
        out += [struct.pack(f"=i{len(lines)}I", len(lines), *lines), struct.pack("=i", len(self.variables))]
        for name, start, end in self.variables:
            out += [name, struct.pack("=ii", moved[start], moved[end])]
        out += [struct.pack("=i", upvalues), *names]

    def _changed(self) -> tuple[list[int], list[int], list[int]]:
        """Return the new code, its lines, and the new position of each old instruction."""
        old = self.code
        plain = self._plain()
        calls = {self._first(at): at for at, word in enumerate(old) if plain[at] and word & 63 == TAILCALL}
        code: list[int] = []
        lines: list[int] = []
        moved: list[int] = []
        jumps: list[tuple[int, int]] = []
        for at, word in enumerate(old):
            moved.append(len(code))
            if at in calls and (free := self._free_register(at)) < _MOST_REGISTERS:
                call = calls[at]
                self.registers = max(self.registers, free + 1)
                code += [
                    _abc(GETUPVAL, free, self.upvalues, 0),
                    _abc(GETTABLE, free, free, old[call] >> 6 & 255),
                    _abc(TEST, free, 0, 0),
                    JMP | call - at + 2 + _JUMP_BIAS << 14,
                    *old[at:call],
                    old[call] & ~63 | CALL,
                    old[call + 1],
                ]
                lines += [self.lines[at]] * 4 + self.lines[at : call + 2]
            if plain[at] and word & 63 in (JMP, FORLOOP, FORPREP):
                jumps.append((len(code), at))
            code.append(word)
            lines.append(self.lines[at])
            if at in self._ends_of_closures:
                code.append(_abc(GETUPVAL, 0, self.upvalues, 0))
                lines.append(self.lines[at])
        moved.append(len(code))
        for now, was in jumps:
            target = moved[was + 1 + (old[was] >> 14) - _JUMP_BIAS]
            code[now] = code[now] & 0x3FFF | target - now - 1 + _JUMP_BIAS << 14
        return code, lines, moved

    def _plain(self) -> list[bool]:
        """Return for every word whether it is an instruction rather than data of the previous one."""
        plain = [True] * len(self.code)
        self._ends_of_closures = set()
        at = 0
        while at < len(self.code):
            word = self.code[at]
            data = 0
            if word & 63 == CLOSURE:
                inner = self.inner[word >> 14]
                data = inner.upvalues
                if inner.changes:
                    self._ends_of_closures.add(at + data)
            elif word & 63 == SETLIST and not word >> 14 & 511:
                data = 1
            for _ in range(data):
                at += 1
                plain[at] = False
            at += 1
        return plain

    def _first(self, at: int) -> int:
        """Return the position of the first of a chain of calls, each the last argument of the next, up to `at`."""
        while self.code[at] & 63 != VARARG and not self.code[at] >> 23:
            at -= 1
        return at

    def _free_register(self, at: int) -> int:
        word = self.code[at]
        return (word >> 6 & 255) + (0 if word & 63 == VARARG else word >> 23)


def _abc(opcode: int, a: int, b: int, c: int) -> int:
    return opcode | a << 6 | c << 14 | b << 23
