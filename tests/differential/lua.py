"""Scripts with errors of all kinds, and what Redis 7.2.4 replies to them: texts, names of functions, positions.

`lua.jsonl` holds the recorded replies to the scripts below and to a part of the generated ones; the tests compare
with them. `python -m tests.differential.lua SERVER` compares all of them with a server that it starts, and with
`--record` writes the file again.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.commands.drive import Drive
from tests.real import free_port

RECORDED = Path(__file__).with_name("lua.jsonl")
ONE_IN = 13  # of the generated scripts
FUNCTIONS = {
    "": "assert error getfenv setfenv getmetatable setmetatable ipairs pairs next rawequal rawget rawset select "
    "tonumber tostring type unpack xpcall loadstring load newproxy collectgarbage",
    "string": "byte char dump find format gmatch gsub len lower match rep reverse sub upper gfind",
    "table": "concat foreach foreachi getn maxn insert remove setn sort",
    "math": "abs ceil floor fmod frexp ldexp log max min modf pow random randomseed sqrt",
    "bit": "tobit bnot band bor bxor lshift rshift arshift rol ror bswap tohex",
    "struct": "pack unpack size",
    "cjson": "encode decode encode_sparse_array encode_max_depth decode_max_depth encode_number_precision "
    "encode_keep_buffer encode_invalid_numbers decode_invalid_numbers",
    "cmsgpack": "pack unpack unpack_one unpack_limit",
    "coroutine": "create resume status wrap yield",
    "redis": "call pcall error_reply status_reply sha1hex log setresp set_repl acl_check_cmd replicate_commands",
}
ARGUMENTS = (
    "", "nil", "1", "{}", "'x'", "true", "nil, nil", "{}, nil", "{}, {}", "'x', 'y'", "1, 2", "'i4', 'ab'", "{}, 1",
    "{}, 'x'", "'incr', 's'", "function() end", "function() end, 1",
)  # fmt: skip
CALLS = (
    "local f = F return f({}, {}, {}, 5)",
    "local f = F\n\nlocal function g(...)\n return f(...)\nend\nreturn g(nil)",
    "local t = {f = F} return t['f'](nil)",
    "local t = {f = F} return t:f({}, nil)",
    "return {pcall(F)}",
    "return {pcall(F, nil)}",
    "return {pcall(F, {}, {})}",
    "return {pcall(function() return F(nil) end)}",
    "return {pcall(function(...)\n local x = F(...)\n return 1 end, 'x', {}, 1)}",
    "local co = coroutine.create(function() return F(nil) end) return {coroutine.resume(co)}",
    "local co = coroutine.wrap(function() return F(nil) end)\nreturn co()",
    "return {xpcall(function() return F(nil) end, function(e) return type(e) == 'table' and e.err or 'H' .. e end)}",
    "return setmetatable({}, {__index = F}).x",
    "return (string.gsub('a', 'a', F))",
    "return {pcall(coroutine.wrap, F)}",
    "for _ in F do break end",
)
# Some end a real server, some change what later ones reply.
LEFT_OUT = re.compile(
    r"error\({}|f = error}|collectgarbage\(\)|redis\.log\(1,|encode_\w+\(1|decode_\w+\(1|pcall\(cjson\.\w+_"
)
SCRIPTS = r"""
return redis.call('incr','s')
local rcall = redis.call return rcall('incr','s')
local r = redis return r.call('incr','s')
return redis['call']('incr','s')
local t={} for k,v in pairs(redis) do t[k]=v end return t.call('incr','s')
return redis.call()
return redis.call({})
return redis.call('nosuch')
return redis.call('get')
return redis.pcall('incr','s')
return redis.pcall('incr','s').err
return pcall(redis.call,'incr','s')
return {pcall(redis.call,'incr','s')}
return error('a\nb')
return error({err='MY thing'})
return error({err='MY\nthing'})
return error(nil)
return error(5)
return error('x', 0)
return error('x', 2)
return {err='a\nb'}
return {ok='a\nb'}
return tostring(cjson.null)
return type(cjson.null)
return tostring(getmetatable(cjson.null))
return cjson.null == cjson.decode('null')
return cjson.null .. 'x'
return type(newproxy(true))
return type(getmetatable(newproxy(true)))
local p=newproxy(true) getmetatable(p).__index=function(t,k) return k..'!' end return p.foo
local p=newproxy(true) getmetatable(p).__tostring=function() return 'me' end return tostring(p)
local p=newproxy(true) local q=newproxy(p) return tostring(getmetatable(p)==getmetatable(q))
return tostring(getmetatable(newproxy()))
return newproxy(5)
return type(__redis__err__handler)
return __redis__err__handler('x').err
local e=__redis__err__handler('x') return {e.err,e.source,e.line}
return {xpcall(function() error('x') end, __redis__err__handler)}
return cjson.encode({xpcall(function() error('x') end, __redis__err__handler)})
return redis.call\n('incr',\n's')
local x = nil\nreturn x.y
local x = nil\nreturn x()
return nosuch
return nosuch()
nosuch = 1
string.x = 1
redis.call = nil
_G.x = 1
rawset(redis,'call',1)
rawset(_G,'x',1)
table.insert(redis,1)
table.sort(redis)
table.remove(redis)
setmetatable(redis,{})
setmetatable(_G,{})
setmetatable(string,nil)
getmetatable(_G).__index = 1
return tostring(getmetatable(redis))
return type(getmetatable(''))
return table.sort({3,2,'x'})
return table.sort({1,2,3,4,5},function(a,b) return true end)
return {pcall(table.sort,{1,2,3,4,5},function(a,b) return true end)}
return table.sort({1,2,3},function(a,b) error('cmp') end)
return {pcall(function() table.sort({3,2,1},function(a,b) return nosuch end) end)}
return string.gsub('abc','b',function() error('in') end)
return string.gsub('abc','b',redis.call)
return ('x'):rep(-1)
return ('x'):bad()
return ('x'):find()
return ('x'):find({})
return ('x'):find('[')
return ('x'):find('%')
return string.find('a','(a')
return string.find(nil,'a')
return string.gsub('a','(','b')
return string.format('%d','x')
return string.format('%d')
return string.format('%y',1)
return unpack({1,2,3})
return {unpack({1,2,3},2)}
return {unpack({1,2,3},2,3)}
return {unpack({1,2,3},3,2)}
return #{unpack({},1,7000)}
return #{unpack({},1,8000)}
return unpack({},1,1e8)
return unpack({},-1e8,1)
return {pcall(unpack,{},1,1e8)}
return {pcall(unpack,1)}
return table.concat({1,{},3})
return table.concat({1,2,3},',',1,5)
return select('#',1,2,3)
return select(-1,1,2,3)
return select(0)
return select(-5,1)
return {loadstring('return 1+')}
return {loadstring('return nosuch')}
return loadstring('return nosuch')()
return loadstring('return nosuch','@chunk')()
return loadstring("return redis.call('incr','s')")()
local f=loadstring("return redis.call('incr','s')") return f()
return {load(function() return nil end)}
return {load(function() error('rd') end)}
return {load(function() return {} end)}
return {loadstring('\27Lua')}
return getfenv(1)==_G
return getfenv(0)==_G
return getfenv(5)
return getfenv(-1)
return getfenv('x')
return getfenv(print)
return getfenv(redis.call)==_G
setfenv(redis.call,{})
setfenv(string.len,{})
setfenv(1,{}) x=1 return x
return setfenv(1,{redis=redis})==1
local function f() x=5 return x end setfenv(f,{}) return f()
return coroutine.resume(coroutine.create(function() redis.call('incr','s') end))
return {coroutine.resume(coroutine.create(function() error('co') end))}
return {coroutine.resume(coroutine.create(function() error({err='t'}) end))}
coroutine.wrap(function() error('co') end)()
coroutine.wrap(function() error({err='XX t'}) end)()
coroutine.wrap(function() return redis.call('incr','s') end)()
local co=coroutine.wrap(function() return 1 end) co() return co()
return {pcall(coroutine.resume, 5)}
return coroutine.resume(5)
return {coroutine.resume(coroutine.create(redis.call))}
return coroutine.status(5)
return tostring(coroutine.running())
coroutine.yield(1)
return {pcall(coroutine.yield, 1)}
local t=setmetatable({},{__index=function(t,k) error('idx '..k) end}) return t.foo
local t=setmetatable({},{__tostring=function() return redis.call('incr','s') end}) return tostring(t)
local t=setmetatable({},{__call=redis.call}) return t('incr')
local t=setmetatable({},{__lt=function() error('lt') end}) return t<t
local t=setmetatable({},{__metatable='locked'}) return getmetatable(t)
local t=setmetatable({},{__metatable='locked'}) return setmetatable(t,{})
return tostring(nil)..tostring(true)
return struct.unpack('i4','ab')
return struct.size(nil)
return struct.size()
return loadstring()
return {pcall(struct.unpack,'i4','ab')}
return struct.pack('i33',1)
return struct.pack('z',1)
return struct.pack('s',{})
return struct.pack('c5','abc')
return {struct.unpack('>I2 <i3 s', '\1\2\3\4\255abc\0zz')}
return {struct.unpack('i0','')}
return struct.size('!8 b i3 d')
return struct.size('!4bi3i8')
return struct.pack('!8bi3', 1, 2)
return cjson.decode('{')
return cjson.decode('[1,2')
return cjson.decode('nul')
return cjson.encode({[1]=1,[100]=2})
return cjson.encode({1,2,nil,4})
return cjson.encode({[2147483648]=1})
return cjson.encode({[3000000001]='b'})
return cjson.encode({[2147483647]=1})
return cjson.encode(function() end)
return cjson.encode(0/0)
local t={} t[1]=t return cjson.encode(t)
return cjson.new().encode({a=1})
return {pcall(cjson.encode)}
return cjson.decode(cjson.encode({a={1,2,'x'},b=true})).a[3]
return cmsgpack.unpack('')
return cmsgpack.unpack('\220')
return cmsgpack.unpack_one('\1\2')
return {cmsgpack.unpack_one('\1\2',1)}
return {cmsgpack.unpack_one('\1\2',5)}
return {cmsgpack.unpack_one('\1\2',-1)}
return {cmsgpack.unpack_limit('\1\2\3',2)}
return {cmsgpack.unpack_limit('\1\2\3',2,1)}
return {cmsgpack.unpack_limit('\1\2\3',-2,1)}
return math.random(0)
return math.random(2,1)
return math.random(1,2,3)
return math.random('x')
return redis.log()
return redis.log(1)
return redis.log('x','y')
return redis.log(9,'y')
return redis.log(0/0,'y')
return redis.sha1hex()
return redis.sha1hex({})
return redis.sha1hex(12)
return redis.setresp()
return redis.setresp(4)
return redis.setresp('3')
return redis.setresp(1/0)
return redis.set_repl()
return redis.set_repl(7)
return redis.set_repl(-1)
return redis.error_reply()
return redis.error_reply({})
return redis.error_reply('MY ERR')
return redis.error_reply('-MY ERR')
return redis.error_reply('-MYERR')
return redis.error_reply('a\nb')
return redis.acl_check_cmd()
return redis.acl_check_cmd('nosuch')
return redis.acl_check_cmd('get','x')
local function loop(n) if n==0 then return 'done' end return loop(n-1) end return loop(300000)
local M={} function M.loop(n) if n==0 then return 'done' end return M.loop(n-1) end return M.loop(300000)
local function f() return f() + 1 end return f()
local function f() return 1 + f() end return {pcall(f)}
local function f() return pcall(f) end return f()
local n=0 local function f() n=n+1 pcall(f) end f() return n > 100
local t=setmetatable({},{__index=function(t,k) return t[k] end}) return t.x
return xpcall(function() error('x') end, function(e) return e end)
return {xpcall(function() error('x') end, function(e) error('y') end)}
return {xpcall(function() error('x') end, 5)}
return {pcall(5)}
return {pcall(nil)}
return {pcall({})}
return {pcall(setmetatable({},{__call=function(self,x) return x end}),7)}
return {pcall(error)}
return {pcall(error,nil)}
return {pcall(error,{err='E'})}
return {pcall(error,'x',2)}
return {pcall(function() error('x',2) end)}
return {pcall(function() error('x',3) end)}
return {pcall(function(a) error('x',2) end,1)}
local function f() error('lvl2',2) end\nlocal x = 1\nf()
local function f() error('lvl2',2) end\nreturn f()
return ({pcall(string.rep)})[2]
return ({pcall(string.rep,{})})[2]
return ({pcall(('x').rep,'x',{})})[2]
return next({},'nokey')
return next({},1)
return {pcall(next,{},'nokey')}
return rawset({},nil,1)
return rawset({},0/0,1)
local t={} t[nil]=1
return rawget({})
return pairs(nil)
return ipairs()
return tonumber('z',36)
return tonumber('z',37)
return tonumber()
return tonumber({},10)
return 1 < 'x'
return {} .. 'x'
return #5
return -{}
return ('5'+1)..''
return collectgarbage('count') > 0
return collectgarbage('step')
return collectgarbage('stop')
return collectgarbage('restart')
return collectgarbage('setpause', 100)
return collectgarbage('bogus')
return collectgarbage({})
return os.clock() >= 0
return os.time()
return type(os)
return _VERSION
return KEYS[1]
return ARGV
KEYS = 1
return type(string.gfind)
return bit.tohex(1,nil)
return bit.tobit(2^53)
return bit.tobit(0/0)
return bit.tobit(1/0)
return bit.lshift(1,2^31)
return bit.band()
return bit.band(1,'x')
return {pcall(bit.band,{})}
return {redis.breakpoint()}
return redis.debug('x')
return redis.register_function('f',function() end)
return redis.REDIS_VERSION_NUM > 0
return goto_
x
return return
return 'unfinished
if true then\n\nerror('deep')\nend
return (function()\n return (function()\n  return redis.call('incr','s')\n end)()\nend)()
return (function() error('x') end)()
local ok,e = pcall(redis.call,'incr','s') return e
local ok,e = pcall(redis.call,'incr','s') return type(e)
local ok,e = pcall(redis.call,'incr','s') error(e)
local e = redis.pcall('incr','s') return cjson.encode(e)
local e = redis.pcall('incr','s') error(e)
assert(false)
assert(nil,'msg')
assert(false,{err='TT x'})
assert(redis.pcall('incr','s').err == nil, 'assert msg')
return assert(1,2)
return redis.call('eval','return 1',0)
return redis.call('multi')
return redis.call('set','x')
return redis.call('set','x','y','zz')
return redis.call('subscribe','x')
return string.rep('',2^20)
return tostring(2^53)
return tostring(-0)
return 1e300
return 2^63
return -2^63
return 0/0
return 1/0
return 3.99
return -3.99
return {1,nil,3}
return {double=3.5}
return {map={a=1}}
return {big_number='123'}
return string.format('%5.1f|%-5d|%q|%s',3.14159,42,'a"b',nil)
return table.getn({1,2,3})
return table.setn({},1)
return table.foreach({a=1},function(k,v) return k end)
return table.foreach({1},redis.call)
return table.maxn({1,2,[10]=3})
return math.ldexp(1,2^31)
return math.fmod(1,0)
return math.floor('x')
return math.huge
return type(cmsgpack.unpack(('\145'):rep(3999) .. '\1'))
return cmsgpack.unpack(('\145'):rep(4000) .. '\1')
return cmsgpack.unpack(('\145'):rep(18000) .. '\1')
return cmsgpack.unpack(('\129\1'):rep(5000) .. '\1')
return {pcall(cmsgpack.unpack_one, ('\129'):rep(9000))}
return {coroutine.resume(coroutine.create(function() return cmsgpack.unpack(('\145'):rep(18000)) end))}
return select('#', cmsgpack.unpack(('\1'):rep(7999)))
return select('#', cmsgpack.unpack_limit(('\1'):rep(8999), 7999))
local c = cjson.new() c.decode_max_depth(9e4) return c.decode(('['):rep(50000))
local c = cjson.new() c.decode_max_depth(9e4) return c.decode(('{"a":'):rep(5000))
local c = cjson.new() c.encode_max_depth(9e4) local t = {} t[1] = t return c.encode(t)
local c = cjson.new() c.encode_max_depth(9e4) local t = {} t.a = t return c.encode(t)
return {pcall(cmsgpack.unpack, '\129\192\1'), pcall(cmsgpack.unpack, '\129\203\127\248\0\0\0\0\0\0\1')}
return error(cjson.null)
return error(newproxy())
local p = newproxy(true) getmetatable(p).__tostring = function() return 'me' end error(p)
local ok, e = pcall(error, cjson.null) return {tostring(ok), e == cjson.null, tostring(e)}
return {pcall(error, newproxy()), pcall(function() error(newproxy()) end)}
return {xpcall(function() error(cjson.null) end, function(e) return type(e) .. tostring(e) end)}
return {coroutine.resume(coroutine.create(function() error(cjson.null) end))}
coroutine.wrap(function() error(cjson.null) end)()
return {pcall(cjson.decode, '"\\u12"'), pcall(cjson.decode, '"\\u'), pcall(cjson.decode, '"\\ud800\\u1"')}
return {pcall(cjson.decode, '"a\0b"'), pcall(cjson.decode, '"a\\\0b"'), pcall(cjson.decode, '"a\\u00\0b"')}
return {cjson.decode('[1]\0')[1], cjson.decode('[1]\0zzz')[1], pcall(cjson.decode, '[1\0]')}
return cjson.decode('\0')
local c = cjson.new() c.decode_invalid_numbers(false) return c.decode('[0x10]')
local c = cjson.new() c.decode_invalid_numbers(false) return c.decode('[-0X10]')
local c = cjson.new() c.decode_invalid_numbers(false) return {pcall(c.decode, '[01]'), pcall(c.decode, '[+1]')}
local c = cjson.new() c.decode_invalid_numbers(false) return {tostring(c.decode('[-.5]')[1]), c.decode('[1.]')[1]}
local c = cjson.new() c.decode_invalid_numbers(false) return c.decode('[-]')
local t = cjson.decode('[0x10,-0x.8,0x1.8p1,+5,-.5]') for i = 1, #t do t[i] = tostring(t[i]) end return t
local t = cjson.decode('[1e3,007,1.5E-1]') for i = 1, #t do t[i] = tostring(t[i]) end return t
local t = cjson.decode('[nan,-nan,NaN(a_1),inf,-Infinity]') for i = 1, #t do t[i] = tostring(t[i]) end return t
return {tostring(math.log(-1)), tostring(math.log(-1/0)), tostring(math.log('-2')), tostring(math.log10(-1))}
return {tostring(math.log(0/0)), tostring(math.log(-(0/0)))}
return {pcall()}
return {pcall(pcall)}
return {pcall(function() return pcall() end)}
return pcall()
return {double=-0}
return redis.call('echo', -0)
return redis.pcall('echo', -0)
local zero = 0 return {redis.call('echo', -zero), redis.call('echo', zero), redis.call('echo', '-0')}
return {redis.call('rpush', 'z', 1, -0, 2, 0, -0), redis.call('lrange', 'z', -0, -1), redis.call('del', 'z')}
return {redis.call('rpush', 'z', 1, 2, 3, 4, 5, 6, 7, -0), redis.call('lrange', 'z', 0, -1), redis.call('del', 'z')}
local t = {} for i = 1, 99 do t[i] = -0 end redis.call('rpush', 'z', unpack(t)) return redis.call('lpop', 'z', 99)
return {struct.pack('<d', -0), struct.pack('>d', -0), struct.pack('<f', -0), struct.pack('>f', -0)}
return {tostring(struct.unpack('<d', struct.pack('<d', -0))), tostring(struct.unpack('>f', struct.pack('>f', -0)))}
return {tostring(cmsgpack.unpack(cmsgpack.pack(-0))), tostring(cmsgpack.unpack('\203\128\0\0\0\0\0\0\0'))}
return {cjson.encode(-0), tostring(cjson.decode('-0'))}
return redis.acl_check_cmd('get', -0)
return redis.call('mget', -0, 1, 2, 3, -0)
""".strip().split("\n")
_ADDRESS = re.compile(rb"(\$\d+\r\n)?((?:function|table|thread|userdata)(?:: ))0x[0-9a-f]+")


def generated() -> Iterator[str]:
    """Yield scripts that call every function in every way."""
    for group, names in FUNCTIONS.items():
        for name in names.split():
            function = f"{group}.{name}" if group else name
            yield from [f"return {function}({arguments})" for arguments in ARGUMENTS]
            yield from [re.sub(r"\bF\b", function, call) for call in CALLS]


def scripts() -> list[str]:
    """Return all scripts. In those that are written above, `\\n` outside of quotes is a line end."""
    written = [re.sub(r"""('[^']*')|\\n""", lambda found: found[1] or "\n", script) for script in SCRIPTS]
    return [script for script in [*written, *generated()] if not LEFT_OUT.search(script)]


def plain(reply: bytes) -> str:
    """Return a reply without the addresses in it."""
    return _ADDRESS.sub(rb"\2", reply).decode("latin-1")


class Ours:
    """A node of ours, in this process."""

    def __init__(self) -> None:
        self.drive = Drive()
        self.drive([b"SET", b"s", b"text"])

    def run(self, script: str) -> str:
        """Return the reply to a script."""
        return plain(self.drive([b"EVAL", script.encode(), b"0"]))


class Real:
    """A server that is started here."""

    def __init__(self, path: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        port = free_port()
        self.process = subprocess.Popen(
            [path, "--port", str(port), "--save", "", "--dir", self.folder.name], stdout=subprocess.DEVNULL
        )
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        self.ask(b"SET", b"s", b"text")

    def ask(self, *argv: bytes) -> bytes:
        """Return the reply to a command: what comes before that of another one."""
        mark = b"$4\r\nMARK\r\n"
        parts = [b"*%d\r\n" % len(argv), *[b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in argv]]
        self.socket.sendall(b"".join(parts) + b"*2\r\n$4\r\nECHO\r\n" + mark)
        reply = b""
        while not reply.endswith(mark):
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionError(f"the server has ended at {argv!r}")
            reply += data
        return reply.removesuffix(mark)

    def run(self, script: str) -> str:
        """Return the reply to a script."""
        return plain(self.ask(b"EVAL", script.encode(), b"0"))

    def end(self) -> None:
        """Stop the server."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def main(arguments: list[str]) -> int:
    """Compare with a server; returns the number of differences."""
    real, ours = Real(arguments[0]), Ours()
    different, replies = 0, []
    for number, script in enumerate(scripts()):
        expected, got = real.run(script), ours.run(script)
        if expected != got:
            different += 1
            print(f"{script!r}\n  real {expected!r}\n  ours {got!r}")
        if number < len(SCRIPTS) or not number % ONE_IN:
            replies.append([script, expected])
    real.end()
    print(f"{len(scripts())} scripts, {different} differences")
    if "--record" in arguments:
        RECORDED.write_text("".join([json.dumps(pair) + "\n" for pair in replies]))
    return different


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
