"""Debugging sessions: scripts, and what their client says, one command a line.

Played against a real server and against ours, the answers must be equal. What a client sends that is no command of a
debugger stands as a Python literal of bytes.
"""

import ast
import re
import socket
from dataclasses import dataclass
from typing import Any

import hiredis

from engine.protocol.resp import encode_command
from tests.waiting import PATIENCE_S


@dataclass(frozen=True)
class Script:
    """A session: the script, with the key k1 and the argument v1, and what is said."""

    name: str
    source: str
    said: str


LONG = """\
local a = 1
local t = {1,2,{x="y\\n"}}
local function f(p, q)
  local inner = p
  redis.debug("in f", p, t)
  return inner .. q
end
redis.call("set", KEYS[1], ARGV[1])
local r = redis.call("get", KEYS[1])
redis.breakpoint()
local e = redis.pcall("incr", KEYS[1])
for i = 1, 3 do
  a = a + i
end
local ok, z = pcall(f, "x", "y")
return {a, r, z, f("m", "n")}
"""

TALK = """
help|s|list|l 1|l 3 1|list 0|w|p|p a|p t|p nosuch|p KEYS|p ARGV|b|b 4|b 4|b 5 6 -6 99 abc|b|t|s|n|s|s|p|e a|e 1+1
e KEYS|e x|e {1,2,{3}}|e error("x")|e local__x=1|r get k1|redis lrange k1 0 -1|redis nosuch|redis set|redis multi|r|m
m 10|m 100|r set big %s|m 0|r get big|blah|c|t|p|p a|p i|c|t|s|s|s|c|c|c|c
""" % ("long" * 40)

VALUES = r"""local t={1,nil,3}
local n={{{{{{{{{{{{{{1}}}}}}}}}}}}}}
local f=function() end
local g=pairs
local d=1.5
local big=1e300
local s="a\0b\xff\127\200\t\"\\"
local b=true
local nul
local inf=1/0
local co=coroutine.create(f)
local mm={[1]=1,[2]=2,x=3}
local emp={}
redis.debug()
redis.debug(1,nil,"x")
return 1"""

ERRORS = """local x=redis.error_reply("My err")
local y=redis.status_reply(1)
local ok,z=pcall(redis.log)
local ok,z=pcall(redis.call)
local ok,z=pcall(redis.call,{})
local ok,z=pcall(redis.setresp,7)
local ok,z=pcall(redis.set_repl,77)
local ok,z=pcall(redis.sha1hex)
local ok,z=pcall(redis.acl_check_cmd,"nosuch")
return 1"""

RESP3 = """redis.setresp(3)
local a=redis.call("hgetall","h")
local b=redis.call("smembers","s")
local c=redis.call("get","nosuch")
local d=redis.call("zscore","z","m")
local e=redis.call("debug","protocol","verbatim")
return 1"""

CALLED_BACK = """local r = {xpcall(function()
 error("in")
end, function(e)
 return "h:"..e
end)}
table.sort({3,1,2}, function(a,b)
 return a<b
 end)
local z=string.gsub("abc","b",function(c)
 return c..c
 end)
return r[2]"""

COROUTINE = """local co=coroutine.wrap(function(a)
 local b=a
 coroutine.yield(b)
 return 2
end)
local x=co(1)
local y=co()
return x+y"""

CAUGHT = (
    'local f=function()\n local x=1\n return x\nend\nlocal ok,e=pcall(f)\nreturn {type(e)=="table" and e.err or e}'
)
TAIL = "local function g() local x = 1; return x end\nlocal function f()\n  return g()\nend\nlocal a=f()\nreturn a"
MANY = 'redis.call("rpush","l",1,2,3,4,5,6,7,8,9,10,11,12,13)\nredis.call("rpush","l",1,2,3,4,5,6,7,8)\nreturn 1'

SCRIPTS = [
    Script("everything", LONG, TALK),
    Script("line by line", LONG, "|".join(["s"] * 40)),
    Script("values", VALUES, "|".join(["s"] * 13 + ["p", "c"])),
    Script("errors of the library", ERRORS, "|".join(["s"] * 11)),
    Script("RESP3", RESP3, "r hset h a b|r sadd s x|r zadd z 1.5 m|" + "|".join(["s", "p"] * 7)),
    Script("functions that are called back", CALLED_BACK, "|".join(["s", "t", "p"] * 20)),
    Script("a coroutine", COROUTINE, "s|s|t|p|p co|s|s|s|s|s|s"),
    Script("a tail call", TAIL, "b 1|c|t|c|t|p|c|c"),
    Script("many arguments", MANY, "s|s|s"),
    Script("abort", "local a=1\nreturn a", "s|abort"),
    Script("abort within pcall", CAUGHT, "s|s|a|c"),
    Script("an error", 'local a=1\nerror("boom")', "s|s"),
    Script("an unknown command", 'local a=1\nredis.call("nosuch")', "s|s"),
    Script("an error reply", 'redis.call("set","k1","v")\nredis.call("lpush","k1","a")', "s|s"),
    Script("what cannot be compiled", "return return", ""),
    Script("nothing", "", "c"),
    Script("flags", "#!lua flags=no-writes\nlocal a=1\nreturn a", "w|s|s"),
    Script("wrong flags", "#!lua flags=nosuch\nreturn 1", ""),
    Script("ends of lines", "local a=1\r\nreturn a\r\n\r\n", "w|s|s"),
    Script("loaded text", 'local f=loadstring("local q=1\\nreturn q")\nlocal v=f()\nreturn v', "s|s|s"),
    Script("eval", "return 1", "p|t|e local z=1|e return 5|e nosuch|e ( (|e redis.breakpoint()|e redis.debug(1)|c|c"),
    Script("upper case", "local a=1\nreturn a", "STEP|LIST|Print a|QUIT|C"),
    Script("numbers", "local a=1\nlocal b=2\nreturn a", "l x|l 2x 1y|l -2|l 1 -1|m -5|m abc|m 1 2|b +1|b 1x|p a b|c"),
    Script("two in one piece", "local a=1\nreturn a", r"b'*1\r\n$1\r\nw\r\n*1\r\n$1\r\ns\r\n'|c"),
    Script("inline", "return 1", r"b'step\r\n'"),
    Script("an empty argument", "return 1", r"b'*1\r\n$0\r\n\r\n'"),
    Script("too many arguments", "return 1", r"b'*1025\r\n'"),
    Script("a wrong end", "return 1", r"b'*1\r\n$1\r\naXX\r\n'"),
    Script("junk before", "return 1", r"b'junk*1\r\n$1\r\nw\r\n'|b'*1\r\n+1\r\n'"),
    Script("impossible keys", "return 1", ""),
]


def play(port: int, mode: str, script: Script) -> list[Any]:
    """Return what a server answers in a session, addresses in memory made equal."""
    keys = [b"-1"] if script.name == "impossible keys" else [b"1", b"k1", b"v1"]
    said: list[bytes] = [encode_command([b"SCRIPT", b"DEBUG", mode.encode()])]
    said.append(encode_command([b"EVAL", script.source.encode("latin-1"), *keys]))
    for line in re.split(r"[|\n]", script.said.strip()) if script.said else []:
        said.append(ast.literal_eval(line) if line.startswith("b'") else encode_command(line.encode().split()))
    heard: list[Any] = []
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        reader = hiredis.Reader(replyError=lambda text: text)
        for data in said:
            sock.sendall(data)
            heard.append(_read(sock, reader))
            if isinstance(heard[-1], list) and b"<endsession>" in heard[-1]:
                break
        if isinstance(heard[-1], list) and b"<endsession>" in heard[-1]:
            heard += [_read(sock, reader), _read(sock, reader)]
    return heard


def _read(sock: socket.socket, reader: hiredis.Reader) -> Any:
    while (reply := reader.gets()) is False:
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            return "the end"
        reader.feed(data)
    if not isinstance(reply, list):
        return reply
    return [re.sub(rb"0x[0-9a-f]+", b"0x", line) if isinstance(line, bytes) else line for line in reply]
