"""Attacks on the sandbox, one test each: nothing of Python is reachable, limits hold whatever a script catches."""

import pickle

import pytest

from engine.scripting import runtime, sandbox
from tests.commands.drive import Drive, StillWorld
from tests.fuzz import extremes


class ClockedWorld(StillWorld):
    """A world in which looking at the clock takes time, and whose visitors may act while a script is late."""

    def __init__(self):
        self.now = 0
        self.visits = 0
        self.visitor = None

    def stopwatch(self):
        self.now += 1000
        return self.now

    def service(self, node):
        self.visits += 1
        if self.visitor is not None:
            self.visitor(self.visits)


@pytest.fixture
def drive():
    return Drive()


@pytest.fixture
def late():
    """A node whose scripts are late at once, and are killed at the third look."""
    driven = Drive()
    world = ClockedWorld()
    driven.node.attach(world)
    driven(b"CONFIG SET busy-reply-threshold 1")

    def kill(visit):
        if visit == 3:
            assert driven(b"SCRIPT KILL", link=2) == b"+OK\r\n"

    world.visitor = kill
    return driven


def run(drive, script, *keys):
    return drive([b"EVAL", script, b"%d" % len(keys), *keys])


def text(reply):
    return reply.split(b" script: ")[0].strip()


KILLED = b"-ERR Script killed by user with SCRIPT KILL..."

# --- exceptions and objects of Python ---------------------------------------------------------------------------


def test_an_error_that_pcall_catches_is_a_text(drive):
    script = b"""
        local kinds = {}
        for _, call in ipairs({redis.call, redis.pcall, redis.sha1hex, redis.log, redis.setresp, redis.set_repl,
                               redis.acl_check_cmd, bit.band, struct.pack, struct.unpack, cjson.decode, cjson.encode,
                               cmsgpack.pack, cmsgpack.unpack, math.random, math.randomseed}) do
          for _, argument in ipairs({function() end, {}, coroutine.create(function() end), true, 1/0, "\\255"}) do
            local ok, value = pcall(call, argument, argument)
            kinds[type(value)] = (kinds[type(value)] or 0) + 1
            local ok, value = pcall(call, argument)
            kinds[type(value)] = (kinds[type(value)] or 0) + 1
            if type(value) == "table" then
              for key, item in pairs(value) do kinds[type(key)] = 1; kinds[type(item)] = 1 end
            end
          end
        end
        return kinds.userdata and "escaped" or "held" """
    assert run(drive, script) == b"$4\r\nheld\r\n"


def test_an_exception_in_python_is_not_seen(drive, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(runtime.Scripting, "command", broken)
    monkeypatch.setattr(runtime.Scripting, "random", broken)
    script = b"""
        local ok, err = pcall(redis.call, "get", "x")
        local same = redis.pcall("get", "x")
        return {type(err), tostring(err), type(same), same.err, math.random()}"""
    reply = run(drive, script)
    assert b"secret" not in reply and b"Zero" not in reply and b"userdata" not in reply
    assert b"internal error" in reply


@pytest.mark.parametrize("catch", [b"pcall(f)", b"xpcall(f, function(e) return e end)", b"coroutine.resume(c)"])
def test_what_catches_shows_no_object(drive, monkeypatch, catch):
    """Even if a callback raised all the same, Lua would get a text."""

    def raising(self, *args):
        raise RuntimeError("secret")

    monkeypatch.setattr(sandbox.LuaSandbox, "_call", raising)
    script = (
        b"""
        local f = function() return redis.call("get", "x") end
        local c = coroutine.create(f)
        local ok, err = %b
        return type(err) .. " " .. tostring(err)"""
        % catch
    )
    assert run(drive, script) == b"$21\r\nstring internal error\r\n"
    wrapped = b'local ok, e = pcall(coroutine.wrap(function() redis.call("get", "x") end)) return type(e)'
    assert run(drive, wrapped) == b"$6\r\nstring\r\n"
    loaded = b'local f, e = load(function() return redis.call("get", "x") end) return type(e)'
    assert run(drive, loaded) == b"$6\r\nstring\r\n"
    assert b"secret" not in run(drive, b'return redis.call("get", "x")')


def test_no_userdata_is_reachable(drive):
    """Walk everything from the globals: tables, metatables, environments."""
    script = b"""
        local seen, found = {}, {}
        local function walk(value, path)
          if seen[value] then return end
          local kind = type(value)
          if kind == "table" or kind == "function" then seen[value] = true end
          if kind == "userdata" and value ~= cjson.null then found[#found + 1] = path end
          if kind == "table" then
            for key, item in pairs(value) do walk(key, path .. ".k"); walk(item, path .. "." .. tostring(key)) end
          end
          if kind == "function" then walk(getfenv(value), path .. ".env") end
          local metatable = getmetatable(value)
          if type(metatable) == "table" then walk(metatable, path .. ".mt") end
        end
        walk(_G, "G"); walk(getmetatable(""), "S"); walk(getfenv(0), "E"); walk(getfenv(1), "E1")
        for level = 1, 20 do
          local ok, env = pcall(getfenv, level)
          if ok then walk(env, "L" .. level) end
        end
        return {#found, found[1]}"""
    assert run(drive, script) == b"*1\r\n:0\r\n"


@pytest.mark.parametrize(
    "name", ["debug", "io", "os", "package", "require", "module", "dofile", "loadfile", "print", "python"]
)
def test_what_is_not_there(drive, name):
    reply = run(drive, b"return %b" % name.encode())
    assert text(reply) == b"-ERR user_script:1: Script attempted to access nonexistent global variable '%b'" % (
        name.encode()
    )
    assert text(run(drive, b"return _G['%b']" % name.encode())) == text(reply)


# --- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        b"while true do end",
        b"while true do pcall(function() while true do end end) end",
        b"local function f() pcall(f) while true do end end f()",
        b"while true do pcall(pcall, pcall, function() while true do end end) end",
        b"xpcall(function() while true do end end, function() while true do end end) while true do end",
        b"while true do coroutine.wrap(function() while true do end end)() end",
        b"local c = coroutine.create(function() while true do end end) while true do coroutine.resume(c) end",
        b"while true do local c = coroutine.create(function() pcall(function() while true do end end) end)"
        b" pcall(coroutine.resume, c) end",
        b"while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
        b"while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
        b"while true do load(function() while true do end end) end",
        b"setmetatable({}, {__index = function() while true do end end}).x = nil local t = setmetatable({},"
        b" {__index = function() while true do end end}) while true do pcall(function() return t.x end) end",
        b"while true do pcall(error, setmetatable({}, {__tostring = function() while true do end end})) end",
        b"while true do redis.pcall('ping') end",
    ],
)
def test_a_script_that_will_not_end_is_killed(late, script):
    assert text(run(late, script)) == KILLED
    assert run(late, b"return 1") == b":1\r\n"


def test_a_coroutine_does_not_outlive_the_time_limit(late):
    script = b"local c = coroutine.wrap(function() while true do local x = 1 end end) c()"
    assert text(run(late, script)) == KILLED


def test_pcall_round_a_kill_does_not_hold_it_up(late):
    script = b"while true do local ok, e = pcall(function() while true do end end) redis.pcall('set', 'x', 1) end"
    assert text(run(late, script)) == KILLED
    assert late(b"EXISTS x") == b":0\r\n"


def test_others_are_told_busy_and_written_scripts_live(late):
    heard = []

    def visitor(visit):
        if visit == 1:
            heard.append(late(b"GET x", link=2))
            heard.append(late(b"SCRIPT KILL", link=2))
            heard.append(late(b"FUNCTION KILL", link=2))
        if visit == 2:
            heard.append(late(b"PING", link=1))

    late.node.world.visitor = visitor
    reply = run(late, b"redis.call('set', 'x', 1) for i = 1, 1e6 do end return redis.call('get', 'x')")
    assert heard[0] == b"-" + runtime.BUSY_SCRIPT + b"\r\n"
    assert heard[1].startswith(b"-UNKILLABLE")
    assert heard[2].startswith(b"-UNKILLABLE")
    assert heard[3] == b""  # the client of the script waits
    assert reply == b"$1\r\n1\r\n+PONG\r\n"
    assert late.changes() == [b"set x 1"]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 8 << 20)
    monkeypatch.setattr(sandbox, "MUCH_BYTES", 2 << 20)
    return Drive()


@pytest.mark.parametrize(
    "script",
    [
        b"return #string.rep('x', 1e9)",
        b"local t = {} while true do t[#t + 1] = {} end",
        b"local s = 'x' while true do s = s .. s end",
        b"local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end",
        b"return table.concat(setmetatable({}, {}), string.rep('x', 1e8), 1, 0) .. string.rep('y', 1e9)",
        b"local function f(n) local t = {n} return f(n + 1), t end f(1)",
        b"local t = {} while true do t[#t + 1] = function() return t end end",
        b"local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    ],
)
def test_memory_is_bounded(small, script):
    reply = run(small, script)
    assert b"not enough memory" in reply or b"stack overflow" in reply
    assert run(small, b"return #string.rep('x', 1000)") == b":1000\r\n"


def test_calls_at_the_limit_of_memory_fail_as_errors(small):
    """An allocation that failed within a call of Python's would take the process along."""
    script = b"""
        local t, errors = {}, 0
        pcall(function() while true do t[#t + 1] = 'x' .. #t end end)
        for _, call in ipairs({redis.call, redis.pcall, redis.sha1hex, redis.acl_check_cmd, bit.tohex, bit.band}) do
          for i = 1, 200 do if not pcall(call, i, 'x', {}, print) then errors = errors + 1 end end
        end
        pcall(struct.pack, 'd', 1)
        return errors > 0 and 'failed' or 'held'"""
    assert b"failed" in run(small, script) or b"not enough memory" in run(small, script)
    assert run(small, b"return redis.call('ping')") == b"+PONG\r\n"


def test_a_reply_too_large_for_the_script_is_an_error(small):
    small([b"SET", b"big", b"x" * (9 << 20)])
    assert b"not enough memory" in run(small, b"return #redis.call('get', 'big')")
    small([b"RPUSH", b"list", *[b"x" * 1000] * 9000])
    assert b"not enough memory" in run(small, b"return #redis.call('lrange', 'list', 0, -1)")
    assert run(small, b"return 1") == b":1\r\n"


# --- environments, metatables, bytecode -------------------------------------------------------------------------


def test_getfenv_shows_the_globals_of_scripts_only(drive):
    script = b"""
        local odd = 0
        for _, f in ipairs({redis.call, pcall, coroutine.create, cjson.decode, getfenv, string.rep, setmetatable}) do
          if getfenv(f) ~= _G then odd = odd + 1 end
        end
        if getfenv(0) ~= _G then odd = odd + 1 end
        return odd"""
    assert run(drive, script) == b":0\r\n"


def test_setfenv_does_not_reach_us(drive):
    for target in (b"redis.call", b"pcall", b"0", b"cjson.encode", b"coroutine.wrap", b"string.dump"):
        assert b"cannot change environment" in run(drive, b"setfenv(%b, {})" % target)
    assert run(drive, b"setfenv(1, {}) return _G") == b"$-1\r\n"
    again = b"local real = setfenv(1, {a = 1}) return a"
    assert run(drive, again) == b":1\r\n" and run(drive, again) == b":1\r\n"  # the first run's is gone


def test_setfenv_of_a_caller_does_not_change_ours(drive):
    script = b"""
        local t = {}
        t[1] = pcall(function() for level = 1, 10 do pcall(setfenv, level, {}) end end)
        return redis"""
    run(drive, script)
    assert run(drive, b"return redis.call('ping')") == b"+PONG\r\n"
    assert run(drive, b"return cjson.encode({1})") == b"$3\r\n[1]\r\n"


@pytest.mark.parametrize(
    "script",
    [
        b"getmetatable('').__index = {}",
        b"getmetatable('').x = 1",
        b"rawset(getmetatable(''), '__index', {})",
        b"getmetatable('').__index.rep = 1",
        b"string.rep = 1",
        b"rawset(string, 'rep', 1)",
        b"redis.call = 1",
        b"table.insert(redis, 1)",
        b"setmetatable(_G, {})",
        b"setmetatable(redis, nil)",
        b"getmetatable(_G).__index = redis",
        b"rawset(_G, 'x', 1)",
        b"_G.x = 1",
        b"pairs = 1",
        b"local n = next for k, v in pairs(cjson) do cjson[k] = nil end",
        b"coroutine.create = nil",
        b"KEYS = {}",
    ],
)
def test_what_is_shared_is_read_only(drive, script):
    assert b"Attempt to modify a readonly table" in run(drive, script)


def test_metatables_of_what_is_passed_in(drive):
    assert run(drive, b"return {tostring(getmetatable(KEYS)), tostring(getmetatable(ARGV))}", b"k") == (
        b"*2\r\n$3\r\nnil\r\n$3\r\nnil\r\n"
    )
    assert run(drive, b"setmetatable(KEYS, {__index = function() return 'x' end}) return KEYS[5]") == b"$1\r\nx\r\n"
    assert run(drive, b"return KEYS[5]") == b"$-1\r\n"


def test_metamethods_do_not_run_outside_the_script(drive):
    """What is returned is read raw: no __index, __len or __tostring of a script's is called by us."""
    script = b"""
        local trap = {__index = function() error('ran') end, __tostring = function() error('ran') end}
        return {setmetatable({1, 2}, trap), setmetatable({}, trap)}"""
    assert run(drive, script) == b"*2\r\n*2\r\n:1\r\n:2\r\n*0\r\n"
    thrown = b"error(setmetatable({}, {__index = function() error('ran') end, __newindex = function() end}))"
    assert run(drive, thrown).startswith(b"-ERR unknown error")
    passed = b"return redis.pcall(setmetatable({}, {__index = function() error('ran') end}), 100).err"
    assert b"must be strings or integers" in run(drive, passed)


def test_bytecode_is_not_loaded(drive):
    code = b"string.dump(function() return 1 end)"
    for load in (
        b"loadstring(%b)" % code,
        b"load((function() local s = %b local n = 0 return function() n = n + 1 return s:sub(n, n) end end)())"
        % code,
        b"loadstring(%b, 'x')" % code,
    ):
        assert b"unexpected symbol" in run(drive, b"local f, e = %b return e" % load)
    assert b"-ERR Error compiling script" in run(drive, b"\x1bLua" + bytes(60))
    assert drive([b"FUNCTION", b"LOAD", b"#!lua name=x\n\x1bLua" + bytes(60)]).startswith(b"-ERR Error compiling")
    assert b"unable to dump" in run(drive, b"return string.dump(redis.call)")


def test_loaded_code_sees_the_globals_of_scripts(drive):
    assert b"readonly" in run(drive, b"return loadstring('x = 1')()")
    assert b"nonexistent global variable 'debug'" in run(drive, b"return loadstring('return debug')()")
    inside = b"return coroutine.wrap(function() return loadstring('return debug')() end)()"
    assert b"nonexistent global variable 'debug'" in run(drive, inside)


def test_nothing_is_left_for_the_next_script(drive):
    run(drive, b"pcall(function() x = 1 end) pcall(rawset, _G, 'x', 1) pcall(function() string.x = 1 end) return 1")
    assert b"nonexistent global variable 'x'" in run(drive, b"return x")
    assert run(drive, b"return tostring(string.x)") == b"$3\r\nnil\r\n"
    run(drive, b"local s = getmetatable('') pcall(function() s.__add = function() return 5 end end)")
    assert b"arithmetic" in run(drive, b"return 'a' + 1")
    run(drive, b"collectgarbage('stop')")
    assert run(drive, b"return KEYS[1]") == b"$-1\r\n"


# --- functions --------------------------------------------------------------------------------------------------


def load(drive, name, code):
    return drive([b"FUNCTION", b"LOAD", b"#!lua name=%b\n%b" % (name, code)])


def test_upvalues_of_libraries_are_their_own(drive):
    load(drive, b"one", b"local n = 0 redis.register_function('count', function() n = n + 1 return n end)")
    load(drive, b"two", b"local n = 10 redis.register_function('other', function() n = n + 1 return n end)")
    assert [drive(b"FCALL count 0"), drive(b"FCALL other 0"), drive(b"FCALL count 0")] == [
        b":1\r\n",
        b":11\r\n",
        b":2\r\n",
    ]
    assert b"nonexistent global variable 'n'" in run(drive, b"return n")


def test_libraries_cannot_change_what_others_see(drive):
    for code in (b"redis.x = 1", b"x = 1", b"string.rep = 1", b"setmetatable(_G, {})", b"getmetatable(_G).x = 1"):
        reply = load(drive, b"bad", code + b" redis.register_function('f', function() return 1 end)")
        assert reply.startswith(b"-ERR Error registering functions")
    load(drive, b"late", b"redis.register_function('f', function() redis.x = 1 end)")
    assert b"readonly" in drive(b"FCALL f 0")
    load(drive, b"more", b"redis.register_function('g', function() return redis.register_function('h', 1) end)")
    assert b"attempt to call field 'register_function'" in drive(b"FCALL g 0")


def test_register_function_kept_for_later_does_nothing(drive):
    code = b"local r = redis.register_function r('f', function() r('g', function() end) end)"
    load(drive, b"lib", code)
    assert b"can only be called on FUNCTION LOAD command" in drive(b"FCALL f 0")


def test_a_library_that_will_not_load_is_stopped():
    driven = Drive()
    driven.node.attach(ClockedWorld())
    assert b"FUNCTION LOAD timeout" in load(driven, b"lib", b"while true do end")
    assert load(driven, b"lib", b"redis.register_function('f', function() return 1 end)") == b"$3\r\nlib\r\n"


def test_a_copy_of_a_node_runs_the_same_scripts(drive):
    sha = drive([b"SCRIPT", b"LOAD", b"return ARGV[1]"])[5:45]
    load(drive, b"lib", b"redis.register_function('f', function(keys, args) return args[1] end)")
    assert drive(b"FCALL f 0 x") == b"$1\r\nx\r\n"
    drive.node = pickle.loads(pickle.dumps(drive.node))
    drive.node.attach(StillWorld())
    assert drive(b"EVALSHA %b 0 y" % sha) == b"$1\r\ny\r\n"
    assert drive(b"FCALL f 0 z") == b"$1\r\nz\r\n"


# --- time ---------------------------------------------------------------------------------------------------------


def test_time_moves_for_a_script_once_it_is_late():
    driven = Drive()
    driven.node.attach(ClockedWorld())
    driven(b"CONFIG SET busy-reply-threshold 50")
    script = b"""
        local began = redis.call('TIME')
        redis.call('SET', KEYS[1], 'v', 'PX', 10)
        local now
        repeat now = redis.call('TIME') until now[1] + now[2] / 1e6 >= began[1] + began[2] / 1e6 + 2
        return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"""
    assert run(driven, script, b"k") == b"*2\r\n$1\r\nv\r\n:10\r\n"  # but keys live as long as at its start


def test_time_stays_for_a_script_that_is_not_late(drive):
    script = b"local t = redis.call('TIME') for i = 1, 100000 do end return redis.call('TIME')[2] - t[2]"
    assert run(drive, script) == b":0\r\n"


# --- numbers and patterns at the limits of C ------------------------------------------------------------------------


def test_numbers_at_the_limits_of_c(monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 32 << 20)
    monkeypatch.setattr(sandbox, "MUCH_BYTES", 2 << 20)
    driven = Drive()
    names = [name for name in extremes.names(driven) if name not in extremes.SKIPPED]
    assert {name: extremes.attack(driven, name, 2) for name in names} == dict.fromkeys(names, b"*0\r\n")


UNPACKED = [
    b"return unpack({1}, 0, 2147483647)",
    b"return unpack({1}, -2147483648, 2147483647)",
    b"local t = {unpack = unpack} return t.unpack({}, -1, 2^31 - 2)",
    b"local ok, err = pcall(unpack, {1}, 0, 2147483647) error(err, 0)",
    b"return coroutine.wrap(function() return unpack({}, -2^31, 2^31 - 1) end)()",
    b"return (string.gsub('a', 'a', function() return unpack({}, 0, 2^31 - 1) end))",
]


@pytest.mark.parametrize("script", UNPACKED)
def test_unpacking_more_than_the_stack_holds(drive, script):
    assert b"too many results to unpack" in run(drive, script)
    library = b"#!lua name=l\nredis.register_function('f', function() %b end)" % script
    drive([b"FUNCTION", b"LOAD", library])
    assert b"too many results to unpack" in drive(b"FCALL f 0")


@pytest.mark.parametrize("name", ["find", "match", "gsub", "gmatch"])
def test_patterns_too_long_for_the_stack(drive, name):
    script = b"return {pcall(string.%b, ('a'):rep(300000), ('a?'):rep(300000), 1)}" % name.encode()
    assert b"pattern too complex" in run(drive, script)
    script = b"return {string.%b(('a'):rep(300000), ('a'):rep(300000), 1)}" % name.encode()
    assert b"-ERR" not in run(drive, script)


def test_finalizers_of_scripts_never_run(drive):
    script = b"""
        local metatable, ran = getmetatable(newproxy(true)), 0
        metatable.__gc = function() ran = ran + 1 while true do end end
        rawset(metatable, '__gc', metatable.__gc)
        for i = 1, 3 do newproxy(newproxy(true)) collectgarbage() end
        return {ran, type(metatable.__gc), tostring(pcall(setmetatable, metatable, {}))}"""
    assert run(drive, script) == b"*3\r\n:0\r\n$8\r\nfunction\r\n$5\r\nfalse\r\n"


# --- memory of all scripts together ---------------------------------------------------------------------------------


def test_memory_of_a_script_that_failed_is_free_again(monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 32 << 20)
    monkeypatch.setattr(sandbox, "COLLECT_ABOVE_BYTES", 8 << 20)
    monkeypatch.setattr(sandbox, "MUCH_BYTES", 2 << 20)
    monkeypatch.setattr(runtime, "MUCH_BYTES", 2 << 20)
    driven = Drive()
    freed = []
    driven.node.scripting.on_memory_freed = lambda: freed.append(True)
    for count in range(1, 4):
        assert b"not enough memory" in run(driven, b"local t = {} for i = 1, 1e9 do t[i] = {i} end")
        assert driven.node.scripting._eval.memory < 8 << 20
        assert len(freed) == count


def test_functions_and_scripts_share_one_limit(monkeypatch):
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 40 << 20)
    monkeypatch.setattr(sandbox, "COLLECT_ABOVE_BYTES", 8 << 20)
    monkeypatch.setattr(sandbox, "MUCH_BYTES", 2 << 20)
    monkeypatch.setattr(runtime, "MUCH_BYTES", 2 << 20)
    driven = Drive()
    keep = b"for i = 1, %d do kept[i] = string.rep('x', 1024 * 1024) .. i end"
    library = b"#!lua name=l\nlocal kept = {} redis.register_function('f', function() %b end)" % (keep % 16)
    driven([b"FUNCTION", b"LOAD", library])
    script = b"local kept = {} " + keep % 26 + b" return #kept"
    assert run(driven, script) == b":26\r\n"
    assert driven(b"FCALL f 0") == b"$-1\r\n"
    assert b"not enough memory" in run(driven, script)
    driven(b"FUNCTION FLUSH")
    assert run(driven, script) == b":26\r\n"


# --- where no hook runs ---------------------------------------------------------------------------------------------

UNHOOKED = [
    "local function f() CALL while true do CALL end end f()".replace("CALL", call).encode()
    for call in (
        "pcall(f)",
        "xpcall(f, tostring)",
        "pcall(coroutine.wrap(f))",
        "coroutine.resume(coroutine.create(f))",
        "pcall(string.gsub, 'a', 'a', f)",
        "pcall(table.sort, {2, 1, 3}, f)",
        "load(f)",
        "pcall(tostring, setmetatable({}, {__tostring = f}))",
        "pcall(function() return setmetatable({}, {__index = f}).x end)",
        "pcall(function() local t = setmetatable({}, {__lt = f}) return t < t end)",
        "pcall(loadstring('return (...)()'), f)",
    )
]


@pytest.mark.parametrize("script", UNHOOKED)
def test_scripts_are_killed_where_no_hook_runs(late, script):
    assert text(run(late, script)) == KILLED
