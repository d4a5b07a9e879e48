"""Scripts and functions beside a real server: replies and errors, in both protocols, equal to the byte."""

from collections.abc import Iterator

import pytest

from tests.differential.pair import Pair
from tests.real import RealServer

# Each is run with the keys k1 and k2 and the arguments a1 and 10.
SCRIPTS = r"""
return nil
return 1
return 3.99
return -3.99
return 1/0
return -1/0
return 0/0
return 1e15
return 2^53
return 2^70
return true
return false
return 'text'
return {1, 2, {3, 'a', {ok = 'fine'}}, false, 4}
return {1, nil, 3}
return {ok = 'fine'}
return {ok = 'a\r\nb'}
return {err = 'CODE text'}
return {err = 'text'}
return {{err = 'CODE inside'}, 1}
return {double = 3.141}
return {double = 2}
return {map = {a = 1}}
return {set = {a = true}}
return {big_number = '123456789012345678901234567890'}
return {verbatim_string = {format = 'txt', string = 'hello'}}
return {verbatim_string = {format = 'txt'}}
return {a = 1}
return {}
return print
return cjson.null
return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], KEYS[3]}
return #KEYS + #ARGV
return redis.call('set', KEYS[1], ARGV[1])
return redis.call('get', KEYS[1])
return redis.call('get', 'missing')
return redis.call('incr', KEYS[1])
return redis.pcall('incr', KEYS[1])
local ok, e = pcall(redis.call, 'incr', KEYS[1]) return {tostring(ok), e}
return redis.pcall('incr', KEYS[1])['err']
return redis.call('rpush', KEYS[2], 1, 2.5, 1e8, 123456789, 1e15, 2^53, 1e17, 1e21, 0.1, 1e-5, 1e-7, 1.5e300)
return redis.call('lrange', KEYS[2], 0, -1)
return redis.call('del', KEYS[2])
return redis.call('hset', KEYS[2], 'a', 1, 'b', 2)
return redis.call('hgetall', KEYS[2])
redis.setresp(3) return redis.call('hgetall', KEYS[2]).map.a
redis.setresp(3) return redis.call('hget', KEYS[2], 'none') == nil
redis.setresp(3) return redis.call('debug', 'protocol', 'true')
redis.setresp(3) return true
redis.setresp(3) return {true, false}
redis.setresp(4)
redis.setresp()
redis.setresp('x')
redis.call('del', KEYS[2]) redis.call('zadd', KEYS[2], 1.5, 'a') return redis.call('zscore', KEYS[2], 'a')
redis.setresp(3) return redis.call('zscore', KEYS[2], 'a')
redis.setresp(3) return redis.call('zscore', KEYS[2], 'a').double
redis.call('del', KEYS[2]) redis.call('sadd', KEYS[2], 'm') redis.setresp(3) return redis.call('smembers', KEYS[2])
redis.setresp(3) return redis.call('smembers', KEYS[2]).set.m
return redis.call()
return redis.call({})
return redis.call(nil)
return redis.call('get', true)
return redis.call('nosuch')
return redis.call('get')
return redis.call('config', 'nosuch')
return redis.call('config')
return redis.call('multi')
return redis.call('subscribe', 'x')
return redis.call('eval', 'return 1', 0)
return redis.call('blpop', 'nolist', 0)
return redis.call('select', 99)
return redis.call('ping')
return redis.call('echo', 'x')
return redis.call('object', 'encoding', KEYS[1])
return redis.error_reply('My Err')
return redis.error_reply('MYERR text')
return redis.error_reply('-MYERR text')
return redis.error_reply('single')
return redis.error_reply('')
return redis.error_reply()
return redis.error_reply(1)
return redis.status_reply('fine')
return redis.status_reply()
return redis.sha1hex('')
return redis.sha1hex('abc')
return redis.sha1hex(123)
return redis.sha1hex()
return redis.REDIS_VERSION_NUM > 0
return redis.LOG_DEBUG + redis.LOG_WARNING * 10 + redis.REPL_ALL * 100 + redis.REPL_NONE
return redis.log(redis.LOG_DEBUG, 'x')
return redis.log('x')
return redis.log(10, 'x')
return redis.log({}, 'x')
return redis.set_repl()
return redis.set_repl(8)
return redis.set_repl(redis.REPL_ALL)
return redis.replicate_commands()
return redis.breakpoint()
return redis.debug('x')
return redis.acl_check_cmd('get', 'x')
return redis.acl_check_cmd('nosuch', 'x')
return redis.acl_check_cmd()
return redis.nosuch
return redis.nosuch()
x = 1
return x
return _G.x
_G.x = 1
function f() end
redis.call = nil
string.x = 1
KEYS = {}
KEYS[1] = 'z' return KEYS[1]
setmetatable(_G, {})
setmetatable(redis, {})
rawset(_G, 'x', 1)
rawset(redis, 'x', 1)
table.insert(redis, 1)
return rawget(_G, 'x')
return type(rawget(_G, 'redis'))
return type(_G.redis)
return _G == _G._G
return getfenv() == _G
return getfenv(0) == _G
setfenv(1, {}) return redis
return setfenv(1, {})
return os
return io
return debug
return require
return print
return dofile
error('plain')
error('no place', 0)
error({err = 'CODE table'})
error({err = 'table'})
error('two', 2)
error()
error(12)
local function f() error('deep') end f()
local function f() return redis.call('nosuch') end return f()
assert(false)
assert(false, 'message')
assert(nil, 'message')
return assert(1, 2)
local a = nil; return a.b
return nil + 1
return 'a' .. {}
return {} < {}
return #5
nosuch()
return string.rep()
return string.rep('x')
return string.rep('ab', 3)
return ('x'):rep(3)
return string.format('%d %s %5.2f %q', 3, 'x', 1.234, 'a"b')
return string.gsub('hello', 'l', 'L')
return {string.find('hello', 'l+')}
return select('#', 1, 2, 3)
return {unpack({1, 2, 3})}
return tostring(nil) .. tostring(true) .. tostring(1.5) .. tostring(1e100)
return tonumber('0x10') + tonumber('10', 2)
return table.concat({1, 2, 'x'}, ',')
local t = {3, 1, 2} table.sort(t) return t
local t = {} table.insert(t, 1) table.insert(t, 1, 2) return {t[1], t[2], table.remove(t), #t}
return table.getn({1, 2})
return math.floor(-1.5) + math.max(1, 5) + math.huge
return {math.pi * 1000, math.abs(-3), math.fmod(7, 3), math.modf(5.7)}
return _VERSION
local ok, e = pcall(error, 'x') return {tostring(ok), e}
local ok, e = pcall(error, {err = 'CODE y'}) return {tostring(ok), e}
local ok, e = pcall(function() error('in') end) return e
local ok, e = pcall(function() return x end) return e
local ok, a, b = pcall(function() return 1, 2 end) return {tostring(ok), a, b}
local ok, e = xpcall(function() error('in') end, function(m) return 'handled ' .. m end) return e
local c = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return {c(1), c(10)}
local c = coroutine.create(function(a) return a end) local _, x = coroutine.resume(c, 1) return {coroutine.status(c)}
local c = coroutine.wrap(function() error('inside') end) c()
local c = coroutine.create(function() error('inside') end) local ok, e = coroutine.resume(c) return e
local f = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return {f(), f(), f()}
return {loadstring('return 1 +')}
local f, e = loadstring('return 1 +') return e
return loadstring('return 1 + 1')()
local n = 0 return load(function() n = n + 1 return ({'return ', '5'})[n] end)()
return loadstring('return x')()
return 1 +
return return
local a <const> = 1
return cjson.encode({1, 2, 3})
return cjson.encode({a = 1})
return cjson.encode({})
return cjson.encode({[1] = 1, [3] = 3})
return cjson.encode({[1] = 1, [30] = 3})
return cjson.encode('a"b\\c/d\n\t\1\127é')
return cjson.encode({1.5, 1e20, 1e-10, 123456789012345, -0.1, 100, 3.14159265358979})
return cjson.encode({true, false, cjson.null})
return cjson.encode(1/0)
return cjson.encode(0/0)
return cjson.encode(print)
return cjson.encode({[{}] = 1})
return cjson.encode()
local t = {} t[1] = t return cjson.encode(t)
return cjson.decode('[1, 2.5, "x", true, null, {"a": [1]}]')
return cjson.decode('{"a": {"b": "c"}}').a.b
return cjson.decode('"\\u00e9\\u20ac\\ud83d\\ude00\\n\\/"')
return cjson.decode('"\\ud83d"')
return cjson.decode('"\\x"')
return cjson.decode('"abc')
return cjson.decode('[1,')
return cjson.decode('[1 2]')
return cjson.decode('{1: 2}')
return cjson.decode('{"a" 2}')
return cjson.decode('{"a": 2')
return cjson.decode('[1] x')
return cjson.decode('')
return cjson.decode('nul')
return cjson.decode('[01]')
return cjson.decode('[-1e3, 0x10, 1.5E+2]')
return cjson.decode('[1.]')
return cjson.decode('[-]')
return cjson.decode('[+1]')
return cjson.decode('[.5]')
return cjson.decode('[nan]')[1] ~= 0
return cjson.decode('infinity') > 1e308
return cjson.decode(string.rep('[', 1001))
return cjson.decode({})
return tostring(cjson.decode('[null]')[1] == cjson.null)
return cjson.encode(cjson.decode('{"a":[],"b":{}}').a)
return type(cjson.null)
return {cjson._NAME, cjson._VERSION, cmsgpack._NAME, cmsgpack._VERSION}
return cjson.encode_max_depth()
return {cjson.encode_sparse_array()}
return cjson.encode_number_precision()
return cmsgpack.pack({1, 2, 3})
return cmsgpack.pack({a = 1})
return cmsgpack.pack(1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 2^53)
return cmsgpack.pack(-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649)
return cmsgpack.pack(1.5, 0.1, -2.25, 1e300, 1/0)
return cmsgpack.pack(true, false, nil, 'x')
return cmsgpack.pack('', string.rep('x', 31), string.rep('x', 32))
return #cmsgpack.pack(string.rep('x', 256)) + #cmsgpack.pack(string.rep('x', 65536))
return cmsgpack.pack({}, {{}}, {[1] = 1, [2] = 2}, {[1] = 1, [3] = 3})
return cmsgpack.pack()
local t = {} t[1] = t return cmsgpack.pack(t)
return {cmsgpack.unpack(cmsgpack.pack(1, -5, 1.5, 'x', true, {1, {2}}))}
return {cmsgpack.unpack('\147\1\2\3\161x')}
return {cmsgpack.unpack('\146\1')}
return {cmsgpack.unpack('\193')}
return {cmsgpack.unpack('\217')}
return {cmsgpack.unpack('\207\255\255\255\255\255\255\255\255')}
return {cmsgpack.unpack('\211\255\255\255\255\255\255\255\254')}
return {cmsgpack.unpack_one('\1\2\3')}
return {cmsgpack.unpack_one('\1\2\3', 2)}
return {cmsgpack.unpack_limit('\1\2\3', 2)}
return {cmsgpack.unpack_limit('\1\2\3', 2, 1)}
return {cmsgpack.unpack_limit('\1\2\3', 0, 4)}
return {cmsgpack.unpack_limit('\1\2\3', -1, 0)}
return {cmsgpack.unpack()}
return {bit.tobit(0xffffffff), bit.tobit(2^40 + 5), bit.bnot(0), bit.band(255, 15, 6), bit.bor(1, 2), bit.bxor(5, 3)}
return {bit.lshift(1, 31), bit.lshift(1, 33), bit.rshift(-1, 28), bit.arshift(-256, 4)}
return {bit.rol(0x12345678, 12), bit.ror(0x12345678, 12), bit.bswap(0x12345678)}
return {bit.tohex(255), bit.tohex(255, 4), bit.tohex(255, -4), bit.tohex(-1), bit.tohex(1, 0), bit.tohex(1, 20)}
return {bit.tobit(1.5), bit.tobit(2.5), bit.tobit('7'), bit.band('0xff', 1)}
return bit.band()
return bit.band('x')
return bit.lshift(1)
return bit.tohex()
return struct.pack('>I2h', 1, -2)
return struct.pack('<i8', -5)
return struct.pack('bBhHlLTiI', 1, 2, 3, 4, 5, 6, 7, 8, 9)
return struct.pack('>fd', 1.5, -2.25)
return struct.pack('s', 'abc')
return struct.pack('c2c0', 'abc', 'def')
return struct.pack('c5', 'abc')
return struct.pack('i3', 70000)
return struct.pack('i33', 1)
return struct.pack('!4bi', 1, 2)
return struct.pack('!3b', 1)
return struct.pack('xbx', 1)
return struct.pack('z', 1)
return struct.pack('b')
return struct.pack('b', 'x')
return struct.pack()
return {struct.unpack('>I2h', '\0\1\255\254')}
return {struct.unpack('<i8', '\251\255\255\255\255\255\255\255')}
return {struct.unpack('s', 'abc\0d')}
return {struct.unpack('s', 'abc')}
return {struct.unpack('bc0', '\3abcd')}
return {struct.unpack('c0', 'abc')}
return {struct.unpack('d', struct.pack('d', 2.5))}
return {struct.unpack('b', 'abc', 2)}
return {struct.unpack('b', 'abc', 0)}
return {struct.unpack('i4', 'abc')}
return {struct.size('bi'), struct.size('!bi'), struct.size('c10')}
return struct.size('s')
return struct.size('c0')
"""

LIBRARIES = [
    b"redis.register_function('f', function(keys, args) return {keys[1], args[1]} end)",
    b"redis.register_function('f', function(keys, args) return KEYS end)",
    b"redis.register_function('f', function() return redis.call('nosuch') end)",
    b"redis.register_function('f', function() error('x') end)",
    b"redis.register_function{function_name='f', callback=function() return 1 end, flags={'no-writes'}}",
    b"redis.register_function{function_name='f', callback=function() return redis.call('set','x',1) end,"
    b" flags={'no-writes'}}",
    b"redis.register_function{function_name='f', callback=function() return 1 end, description='what it is'}",
    b"redis.register_function{function_name='f', callback=function() return 1 end, flags={'nosuch'}}",
    b"redis.register_function{function_name='f', callback=function() return 1 end, nosuch=1}",
    b"redis.register_function{function_name='f'}",
    b"redis.register_function{callback=print}",
    b"redis.register_function{function_name={}, callback=1}",
    b"redis.register_function{1}",
    b"redis.register_function()",
    b"redis.register_function('f')",
    b"redis.register_function('f', 1)",
    b"redis.register_function({}, 1)",
    b"redis.register_function('f', function() end, 3)",
    b"redis.register_function('f-g', function() end)",
    b"redis.register_function('', function() end)",
    b"redis.register_function('f', function() end) redis.register_function('f', function() end)",
    b"redis.call('get', 'x')",
    b"local x = math.floor(1)",
    b"x = 1",
    b"redis.x = 1",
    b"error('x')",
    b"error({err='CODE x'})",
    b"x x",
    b"",
    b"return 1",
    b"local r = redis redis.register_function('f', function() return r.call('ping') end)",
    b"redis.register_function('f', function() x = 1 end)",
    b"redis.register_function('F', function() return redis.setresp(3) end)",
]

HEADS = [
    b"",
    b"return 1",
    b"#!lua",
    b"#!lua\n",
    b"#!lua name=\n",
    b"#!lua name=a b=c\n",
    b"#!lua name=a name=b\n",
    b"#!lua name=a-b\n",
    b"#!py name=a\n",
    b"#!\n",
    b'#!lua "name=a\n',
    b"#!LUA NAME=a\nredis.register_function('f', function() end)",
]

SHEBANGS = [
    b"#!lua\nreturn 1",
    b"#!lua flags=no-writes\nreturn redis.call('set', 'x', 1)",
    b"#!lua flags=no-writes,allow-oom\nreturn 1",
    b"#!lua flags=\nreturn 1",
    b"#!lua flags=nosuch\nreturn 1",
    b"#!lua name=x\nreturn 1",
    b"#!lua",
    b"#!python\nreturn 1",
    b"#!\nreturn 1",
    b"#!lua\n\nerror('third')",
]


@pytest.fixture(params=[2, 3])
def pair(real_server: RealServer, request: pytest.FixtureRequest) -> Iterator[Pair]:
    if real_server.program.kind != "redis" or real_server.program.version < (7, 2):
        pytest.skip("texts and numbers of scripts are compared with Redis 7.2")
    both = Pair(real_server)
    for answer in (both.ours, both.theirs):
        answer(b"HELLO", b"%d" % request.param)
        answer(b"FUNCTION", b"FLUSH")
        answer(b"SCRIPT", b"FLUSH")
    yield both
    both.theirs(b"FLUSHALL")
    both.theirs(b"FUNCTION", b"FLUSH")
    both.close()


def differing(pair: Pair, commands: list[list[bytes]]) -> list[str]:
    found = []
    for argv in commands:
        ours, theirs = pair.ours(*argv), pair.theirs(*argv)
        if ours != theirs:
            found.append(f"{argv}\n   ours   {ours[:300]!r}\n   theirs {theirs[:300]!r}")
    return found


def test_scripts(pair: Pair) -> None:
    scripts = [line.encode() for line in SCRIPTS.strip().split("\n")]
    commands = [[b"EVAL", script, b"2", b"k1", b"k2", b"a1", b"10"] for script in scripts]
    found = differing(pair, commands)
    assert not found, "\n".join(found)


def test_commands(pair: Pair) -> None:
    sha = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    commands = [
        [b"EVAL", b"return 1", b"1"],
        [b"EVAL", b"return 1", b"-1"],
        [b"EVAL", b"return 1", b"x"],
        [b"EVALSHA", sha, b"0"],
        [b"EVALSHA", b"x", b"0"],
        [b"SCRIPT", b"LOAD", b"return 1"],
        [b"SCRIPT", b"LOAD", b"return return"],
        [b"EVALSHA", sha, b"0"],
        [b"EVALSHA", sha.upper(), b"0"],
        [b"EVALSHA_RO", sha, b"0"],
        [b"SCRIPT", b"EXISTS", sha, b"x", sha.upper()],
        [b"SCRIPT", b"FLUSH", b"x"],
        [b"SCRIPT", b"FLUSH", b"ASYNC"],
        [b"SCRIPT", b"EXISTS", sha],
        [b"SCRIPT", b"KILL"],
        [b"FUNCTION", b"KILL"],
        [b"SCRIPT", b"NOSUCH"],
        [b"SCRIPT", b"HELP"],
        [b"FUNCTION", b"HELP"],
        [b"FUNCTION", b"STATS"],
        [b"EVAL_RO", b"return redis.call('set', 'x', 1)", b"0"],
        [b"EVAL_RO", b"#!lua\nreturn 1", b"0"],
        *[[b"EVAL", source, b"0"] for source in SHEBANGS],
    ]
    found = differing(pair, commands)
    assert not found, "\n".join(found)


def test_functions(pair: Pair) -> None:
    commands: list[list[bytes]] = [[b"FUNCTION", b"LOAD", source] for source in HEADS]
    for code in LIBRARIES:
        commands += [
            [b"FUNCTION", b"LOAD", b"REPLACE", b"#!lua name=lib\n" + code],
            [b"FUNCTION", b"LIST", b"WITHCODE"],
            [b"FCALL", b"f", b"1", b"k", b"a"],
            [b"FCALL_RO", b"f", b"0"],
            [b"FUNCTION", b"DUMP"],
        ]
    commands += [
        [b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() end)"],
        [b"FUNCTION", b"LOAD", b"#!lua name=lib2\nredis.register_function('F', function() end)"],
        [b"FUNCTION", b"LOAD", b"x", b"#!lua name=lib\n"],
        [b"FUNCTION", b"LIST", b"LIBRARYNAME", b"L*"],
        [b"FUNCTION", b"LIST", b"LIBRARYNAME"],
        [b"FUNCTION", b"LIST", b"NOSUCH"],
        [b"FUNCTION", b"DELETE", b"nosuch"],
        [b"FUNCTION", b"STATS"],
        [b"FCALL", b"f", b"x"],
        [b"FCALL", b"f", b"5"],
        [b"FCALL", b"f", b"-5"],
        [b"FCALL", b"nosuch", b"0"],
        [b"FUNCTION", b"FLUSH", b"x"],
        [b"FUNCTION", b"RESTORE", b"x"],
        [b"FUNCTION", b"RESTORE", b"x", b"y"],
        [b"FUNCTION", b"DELETE", b"lib"],
        [b"FUNCTION", b"FLUSH"],
        [b"FUNCTION", b"LIST"],
        [b"FUNCTION", b"DUMP"],
    ]
    found = differing(pair, commands)
    assert not found, "\n".join(found)


def test_dumps_of_functions_are_exchanged(pair: Pair) -> None:
    pair.both(b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 5 end)")
    dump = pair.theirs(b"FUNCTION", b"DUMP").split(b"\r\n", 1)[1][:-2]
    assert pair.ours(b"FUNCTION", b"DUMP").split(b"\r\n", 1)[1][:-2] == dump
    for policy in (b"APPEND", b"REPLACE", b"FLUSH", b"NOSUCH"):
        pair.both(b"FUNCTION", b"RESTORE", dump, policy)
    pair.both(b"FUNCTION", b"FLUSH")
    pair.both(b"FUNCTION", b"RESTORE", dump)
    pair.both(b"FCALL", b"f", b"0")
