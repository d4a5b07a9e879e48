"""The command line client beside the real one: same output, errors and status, to the byte, when not on a terminal.

Each case runs twice on the same real server, prepared anew for each run. What differs between versions of the real
client stands in `differences.md`; such cases name the versions they hold for.
"""

from dataclasses import dataclass, field

import pytest

from tests.prompt.driver import Result, blank, prepare, run_ours, run_real
from tests.real import RealServer, client_program, free_port, start_server


@dataclass(frozen=True)
class Case:
    """A run of the client. `{port}`, `{sock}` and `{closed}` in arguments stand for what the test knows."""

    name: str
    argv: list[str]
    stdin: bytes = b""
    setup: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    since: tuple[int, ...] = (7, 0)  # older clients answer otherwise (differences.md)
    only_redis: bool = False  # valkey-cli answers otherwise
    connect: bool = True
    unordered: bool = False  # the order of the lines is an accident (differences.md)


DATA = [
    "SET s hello",
    "SET n 12",
    "RPUSH l a b c",
    "SADD set one",
    "HSET h f v g w",
    "ZADD z 1 a 2.5 b",
    "XADD x 1-1 f v",
    "SET empty ",
]


def c(name: str, *argv: str, **more: object) -> Case:
    return Case(name, list(argv), **more)  # type: ignore[arg-type]


COMMANDS = [
    c("status", "SET", "k", "v"),
    c("bulk", "GET", "s", setup=DATA),
    c("nil", "GET", "nothing"),
    c("integer", "INCR", "n", setup=DATA),
    c("array", "LRANGE", "l", "0", "-1", setup=DATA),
    c("nested array", "XRANGE", "x", "-", "+", setup=DATA),
    c("empty array", "LRANGE", "nothing", "0", "-1"),
    c("array with nil", "MGET", "s", "no", "n", setup=DATA),
    c("error", "INCR", "s", setup=DATA),
    c("error -e", "-e", "INCR", "s", setup=DATA),
    c("unknown command", "FOO", "bar"),
    c("arity", "GET"),
    c("empty argument", "SET", "k", ""),
    c("binary argument", "ECHO", "tab\ttab\nline"),
    c("utf-8", "ECHO", "gr\u00fc\u00dfe"),
    c("info", "INFO", "server"),
    c("client list", "CLIENT", "LIST"),
    c("client info json", "--json", "CLIENT", "INFO"),
    c("lolwut", "LOLWUT", "VERSION", "1"),
    c("memory doctor", "MEMORY", "DOCTOR"),
    c("latency doctor", "LATENCY", "DOCTOR"),
    c("config get", "CONFIG", "GET", "maxmemory*"),
    c("command count csv", "--csv", "COMMAND", "COUNT"),
    c("command info", "COMMAND", "INFO", "get", "nope"),
    c("repeat", "-r", "3", "INCR", "c"),
    c("repeat interval", "-r", "2", "-i", "0.01", "PING"),
    c("repeat none", "-r", "0", "PING"),
    c("select -n", "-n", "3", "CLIENT", "INFO"),
    c("select bad", "-n", "99", "PING"),
    c("select text", "-n", "abc", "PING"),
    c("unix socket", "-s", "{sock}", "PING", connect=False),
    c("uri", "-u", "redis://127.0.0.1:{port}/2", "CLIENT", "INFO", connect=False),
    c("uri without port", "-u", "redis://127.0.0.1", "-p", "{port}", "PING", connect=False),
    c("uri percent", "-u", "redis://de%66ault:p%40ss@127.0.0.1:{port}", "PING", connect=False),
    c("uri percent broken", "-u", "redis://a%4:p@127.0.0.1:{port}", "PING", connect=False),
    c("uri percent illegal", "-u", "redis://a%zz:p@127.0.0.1:{port}", "PING", connect=False),
    c("uri scheme", "-u", "http://127.0.0.1", "PING", connect=False),
    c("user in uri", "-u", "redis://:pw@127.0.0.1:{port}", "PING", connect=False),
    c("auth without password set", "-a", "x", "PING"),
    c("auth no warning", "-a", "x", "--no-auth-warning", "PING"),
    c("auth env", "PING", env={"REDISCLI_AUTH": "x"}),
    c("auth user", "--user", "bob", "--pass", "x", "PING"),
    c("user without password", "--user", "bob", "PING"),
    c("raw", "--raw", "LRANGE", "l", "0", "-1", setup=DATA),
    c("no-raw status", "--no-raw", "SET", "k", "v"),
    c("no-raw bulk", "--no-raw", "GET", "s", setup=DATA),
    c("no-raw integer", "--no-raw", "INCR", "n", setup=DATA),
    c("no-raw nil", "--no-raw", "GET", "no"),
    c("no-raw error", "--no-raw", "INCR", "s", setup=DATA),
    c("no-raw array", "--no-raw", "LRANGE", "l", "0", "-1", setup=DATA),
    c("no-raw empty", "--no-raw", "KEYS", "no*"),
    c("no-raw nested", "--no-raw", "XREAD", "COUNT", "3", "STREAMS", "x", "0", setup=DATA),
    c("no-raw binary", "--no-raw", "ECHO", 'q"\\ \t\n\r\a\b\x01\x7f\u00e9'),
    c("no-raw command info", "--no-raw", "COMMAND", "INFO", "get", "set", "nope", "zadd"),
    c("no-raw command docs", "--no-raw", "COMMAND", "DOCS", "set", "config"),
    c("no-raw ten", "--no-raw", "EVAL", "return {1,2,3,4,5,6,7,8,9,{10,{11}},{},{{}}}", "0"),
    c("no-raw config", "--no-raw", "CONFIG", "GET", "*max*"),
    c("no-raw info", "--no-raw", "INFO", "keyspace", setup=DATA),
    c("csv array", "--csv", "LRANGE", "l", "0", "-1", setup=DATA),
    c("csv nil", "--csv", "MGET", "s", "no", setup=DATA),
    c("csv error", "--csv", "INCR", "s", setup=DATA),
    c("csv status", "--csv", "PING"),
    c("csv empty", "--csv", "KEYS", "no*"),
    c("csv map", "--csv", "-3", "HGETALL", "h", setup=DATA),
    c("csv double", "--csv", "-3", "ZSCORE", "z", "b", setup=DATA),
    c("json map", "--json", "HGETALL", "h", setup=DATA),
    c("json list", "--json", "LRANGE", "l", "0", "-1", setup=DATA),
    c("json set", "--json", "SMEMBERS", "set", setup=DATA),
    c("json nil", "--json", "GET", "no"),
    c("json integer", "--json", "INCR", "n", setup=DATA),
    c("json double", "--json", "ZRANGE", "z", "0", "-1", "WITHSCORES", setup=DATA),
    c("json error", "--json", "INCR", "s", setup=DATA),
    c("json status", "--json", "PING"),
    c("json escapes", "--json", "ECHO", 'q"\\ /\t\n\r\f\b\x01\x7f\u00e9'),
    c("json resp2", "--json", "-2", "HGETALL", "h", setup=DATA),
    c("json docs", "--json", "COMMAND", "DOCS", "set"),
    c("json info", "--json", "INFO", "keyspace", setup=DATA),
    c("quoted json", "--quoted-json", "ECHO", 'q"\\ \t\n\x01\u00e9'),
    c("delimiter", "-d", ";", "LRANGE", "l", "0", "-1", setup=DATA),
    c("reply delimiter", "-D", "|", "-r", "2", "PING"),
    c("reply delimiter empty", "-D", "", "GET", "s", setup=DATA),
    c("x", "-x", "SET", "k", stdin=b"from stdin\n"),
    c("x read", "-x", "ECHO", stdin=b"a\0b\xff\n"),
    c("X", "-X", "tag", "ECHO", "tag", stdin=b"hello"),
    c("X no match", "-X", "tag", "ECHO", "other", stdin=b"hello"),
    c("x and X", "-x", "-X", "tag", "ECHO", "tag"),
    c("quoted input", "--quoted-input", "ECHO", '"a\\x41\\n"'),
    c("quoted input bad", "--quoted-input", "ECHO", '"a'),
    c("quoted input two", "--quoted-input", "ECHO", '"a" "b"'),
    c("resp3 map", "-3", "HGETALL", "h", setup=DATA),
    c("resp3 map no-raw", "-3", "--no-raw", "HGETALL", "h", setup=DATA),
    c("resp3 nested no-raw", "-3", "--no-raw", "XREAD", "STREAMS", "x", "0", setup=DATA),
    c("resp3 set no-raw", "-3", "--no-raw", "SMEMBERS", "set", setup=DATA),
    c("resp3 empty map", "-3", "--no-raw", "HGETALL", "no"),
    c("resp3 empty set", "-3", "--no-raw", "SMEMBERS", "no"),
    c("resp3 double", "-3", "--no-raw", "ZSCORE", "z", "b", setup=DATA),
    c("resp3 double raw", "-3", "ZSCORE", "z", "b", setup=DATA),
    c("resp3 nil", "-3", "--no-raw", "GET", "no"),
    c("resp3 true", "-3", "--no-raw", "DEBUG", "PROTOCOL", "true"),
    c("resp3 false raw", "-3", "DEBUG", "PROTOCOL", "false"),
    c("resp3 verbatim", "-3", "--no-raw", "DEBUG", "PROTOCOL", "verbatim"),
    c("resp3 verbatim raw", "-3", "DEBUG", "PROTOCOL", "verbatim"),
    c("resp3 verbatim csv", "-3", "--csv", "DEBUG", "PROTOCOL", "verbatim"),
    c("resp3 docs", "-3", "--no-raw", "COMMAND", "DOCS", "set", "xinfo"),
    c("resp3 info", "-3", "--no-raw", "INFO", "keyspace", setup=DATA),
    c("resp3 function stats", "-3", "--no-raw", "FUNCTION", "STATS"),
    c("help", "help", since=(7, 2, 4), only_redis=True),
    c("help command", "help", "set", since=(7, 2, 4), only_redis=True),
    c("help nothing", "help", "nonsense"),
    c("help group", "help", "@hyperloglog", since=(7, 2, 4), only_redis=True),
    c("help container", "HELP", "config", since=(7, 2, 4), only_redis=True),
    c("help subcommand", "?", "config", "get", since=(7, 2, 4), only_redis=True),
    c("help no arguments", "help", "ping", "x"),
    c("help dbsize", "help", "dbsize", since=(7, 2, 4), only_redis=True),
    c("two modes", "-2", "-3", "PING"),
    c("socket and cluster", "-s", "x", "-c", "PING", connect=False),
    c("unknown option", "--nonsense"),
    c("missing value", "-p", connect=False),
    c("bad port", "-p", "70000", "PING", connect=False, since=(7, 2)),
    c("show-pushes", "--show-pushes", "maybe", "PING"),
    c("version", "--version", since=(7, 2, 4), only_redis=True),
    c("quoted pattern", "--scan", "--quoted-pattern", '"a'),
    c("eval missing", "--eval", "/nonexistent.lua"),
    c("no server", "-p", "{closed}", "PING", connect=False),
    c("no server eval", "-p", "{closed}", "--eval", "/dev/null", connect=False),
    c("no server scan", "-p", "{closed}", "--scan", connect=False),
    c("no socket", "-s", "/nonexistent.sock", "PING", connect=False),
    c("no host", "-h", "no.such.host.invalid", "PING", connect=False),
    c("monitor error", "MONITOR", "x"),
    c("scan", "--scan", setup=["SET a 1"]),
    c("scan pattern", "--scan", "--pattern", "a*", "--count", "100", setup=["SET a 1", "SET b 1"], since=(7, 2)),
    c("scan no-raw", "--scan", "--no-raw", setup=['SET a"b 1']),
    c("bigkeys", "--bigkeys", setup=["SET s hello", "RPUSH l a b c", "ZADD z 1 a"], only_redis=True),
    c("bigkeys empty", "--bigkeys", unordered=True),
    c("bigkeys all", "--bigkeys", setup=[*DATA, "SET ss hello-hello", "RPUSH ll 1 2 3 4"], only_redis=True),
    c("memkeys", "--memkeys", setup=["SET s hello"], unordered=True),
    c("memkeys samples", "--memkeys-samples", "5", setup=["RPUSH l a b c"], unordered=True),
    c("hotkeys error", "--hotkeys", setup=["SET s hello"]),
    c("pipe", "--pipe", stdin=b"SET a 1\r\nINCR a\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n"),
    c("pipe error", "--pipe", stdin=b"SET a x\r\nINCR a\r\nFOO\r\n"),
    c("pipe nothing", "--pipe", stdin=b""),
    c("unsubscribe", "UNSUBSCRIBE", "a"),
    c("hello 3", "HELLO", "3"),
    c("shutdown error", "SHUTDOWN", "NONSENSE"),
    c("debug error", "DEBUG", "NONSENSE"),
    c("object help", "OBJECT", "HELP"),
    c("test hint", "--test_hint", "SET k v ", since=(7, 2)),
]

SCRIPTS = [
    c("several", stdin=b"SET a 1\nGET a\nINCR a\nLPUSH a x\n"),
    c("no final newline", stdin=b"PING\nPING x"),
    c("empty lines", stdin=b"\n\nPING\n   \nPING\n"),
    c("quotes", stdin=b"ECHO \"a b\\n\\x41\"\nECHO 'it\\'s'\nECHO \"unfinished\nPING\nECHO 'a'b\n"),
    c("crlf", stdin=b"PING\r\nECHO x\r\n"),
    c("repeat", stdin=b"3 INCR a\n0 PING\n-1 PING\nx PING\n2\n99999999999999999999 PING\n"),
    c("quit", stdin=b"PING\nquit\nPING\n"),
    c("exit", stdin=b"EXIT\nPING\n"),
    c("multi", stdin=b"MULTI\nSET a 1\nINCR a\nEXEC\nGET a\n"),
    c("multi no-raw", "--no-raw", stdin=b"MULTI\nSET a 1\nINCR a\nGET b\nLRANGE l 0 -1\nEXEC\nDISCARD\nEXEC\n"),
    c("multi error", stdin=b"MULTI\nNONSENSE\nEXEC\n"),
    c("watch", stdin=b"WATCH a\nSET a 1\nMULTI\nGET a\nEXEC\n"),
    c("select", stdin=b"SELECT 1\nSET x 1\nSELECT 0\nEXISTS x\nSELECT 99\n"),
    c("preferences", stdin=b":set hints\n:set nohints\n:set nonsense\n:nonsense\n:set\n:get hints\n:peek a\nPING\n"),
    c("restart", stdin=b"restart\nPING\n"),
    c("connect", stdin=b"connect 127.0.0.1 {port}\nPING\n"),
    c("connect closed", stdin=b"connect 127.0.0.1 {closed}\nPING\n"),
    c("clear", stdin=b"clear\nPING\n"),
    c("help", stdin=b"help\nhelp get\n?\nhelp @geo\nhelp config set\nPING\n", since=(7, 2, 4), only_redis=True),
    c("error -e goes on", "-e", stdin=b"NONSENSE\nPING\n"),
    c("hello", stdin=b"HELLO 3\nHGETALL h\nHELLO 2\nHGETALL h\n", setup=DATA),
    c("hello no-raw", "--no-raw", stdin=b"HELLO 3\nHGETALL h\nHELLO 2\nHGETALL h\nRESET\nPING\n", setup=DATA),
    c("json lines", "--json", stdin=b"HGETALL h\nGET s\n", setup=DATA),
    c("info", stdin=b"INFO keyspace\nPING\n", setup=DATA),
    c("subscribe", stdin=b"SUBSCRIBE a b\nUNSUBSCRIBE a b\nPING\n", since=(7, 2)),
    c("subscribe no-raw", "--no-raw", stdin=b"SUBSCRIBE a\nPING\nGET x\nUNSUBSCRIBE\nPING\n", since=(7, 2)),
    c("subscribe tty", stdin=b"SUBSCRIBE a\nPING\nRESET\nPING\n", env={"FAKETTY": "1"}, since=(7, 2)),
    c("subscribe resp3", "-3", stdin=b"SUBSCRIBE a\nPUBLISH a x\nPING\nUNSUBSCRIBE a\nPING\n", since=(7, 2)),
    c("psubscribe", stdin=b"PSUBSCRIBE a*\nPUNSUBSCRIBE a*\nPING\n", since=(7, 2)),
    c("ssubscribe", stdin=b"SSUBSCRIBE a\nSUNSUBSCRIBE a\nPING\n", since=(7, 2)),
    c("publish to self tty", "-3", stdin=b"SUBSCRIBE a\nPUBLISH a x\nPING\n", env={"FAKETTY": "1"}, since=(7, 2)),
    c("tracking dropped", "-3", stdin=b"CLIENT TRACKING ON\nGET s\nSET s 2\nPING\n", setup=DATA),
    c(
        "tracking shown",
        "-3",
        stdin=b"CLIENT TRACKING ON\nGET s\nSET s 2\nPING\n",
        setup=DATA,
        env={"FAKETTY": "1"},
    ),
    c(
        "tracking shown raw",
        "-3",
        "--raw",
        "--show-pushes",
        "yes",
        stdin=b"CLIENT TRACKING ON\nGET s\nSET s 2\nPING\n",
        setup=DATA,
    ),
    c("tty", stdin=b"SET a 1\nGET a\nLRANGE a 0 1\nINFO keyspace\n", env={"FAKETTY": "1"}),
    c("slow", stdin=b"DEBUG SLEEP 0.6\nPING\n", env={"FAKETTY": "1"}),
    c("auth fails", "-a", "x", stdin=b"PING\n"),
    c("auth in script", stdin=b"AUTH x\nPING\n"),
    c("no server", "-p", "{closed}", stdin=b"PING\nquit\n", connect=False),
    c("client kill", stdin=b"CLIENT KILL TYPE normal SKIPME no\nPING\nPING\n"),
    c("nul", stdin=b"ECHO a\0b\nPING\n"),
    c("long", stdin=b"ECHO " + b"x" * 9000 + b"\n"),
]


@pytest.fixture(scope="module")
def closed() -> int:
    return free_port()


def _fill(case: Case, server: RealServer, closed: int) -> tuple[list[str], bytes]:
    def fill(text: str) -> str:
        return (
            text.replace("{port}", str(server.port)).replace("{sock}", server.socket).replace("{closed}", str(closed))
        )

    argv = ["-p", str(server.port)] if case.connect else []
    return argv + [fill(word) for word in case.argv], fill(case.stdin.decode("latin-1")).encode("latin-1")


def _tidy(result: Result) -> tuple[str, str, int]:
    out, err = (blank(data).decode("latin-1") for data in (result.out, result.err))
    return out.replace("valkey-cli", "redis-cli"), err.replace("to Valkey at", "to Redis at"), result.status


@pytest.mark.parametrize(
    "case",
    [pytest.param(one, id=one.name) for one in COMMANDS]
    + [pytest.param(one, id=f"script: {one.name}") for one in SCRIPTS],
)
def test_same_as_the_real_client(case: Case, real_server: RealServer, closed: int) -> None:
    program = client_program()
    if program.version < case.since or (case.only_redis and program.kind != "redis"):
        pytest.skip(f"{program} differs here (differences.md)")
    argv, stdin = _fill(case, real_server, closed)
    prepare(real_server, *case.setup)
    real = run_real(program, argv, stdin, case.env)
    prepare(real_server, *case.setup)
    ours = run_ours(argv, stdin, case.env)
    if case.unordered:
        ours, real = (Result(b"".join(sorted(one.out.splitlines(True))), one.err, one.status) for one in (ours, real))
    assert _tidy(ours) == _tidy(real)


def test_password(closed: int) -> None:
    program = client_program()
    with start_server("--requirepass", "secret") as server:
        port = ["-p", str(server.port)]
        for argv, stdin in [
            (["PING"], b""),
            (["-a", "secret", "PING"], b""),
            (["-a", "wrong", "PING"], b""),
            (["--user", "default", "-a", "secret", "--no-auth-warning", "PING"], b""),
            (["-a", "secret", "-n", "3", "CLIENT", "INFO"], b""),
            (["-a", "wrong", "-n", "3", "PING"], b""),
            (["-3", "PING"], b""),
            (["--json", "PING"], b""),
            (["--scan"], b""),
            (["--bigkeys"], b""),
            (["-n", "2"], b"PING\nAUTH secret\nCLIENT INFO\n"),
            (["-a", "wrong"], b"PING\nAUTH secret\nPING\n"),
            ([], b"SUBSCRIBE a\nPING\n"),
            ([], b"MULTI\nPING\nEXEC\n"),
        ]:
            real = run_real(program, port + argv, stdin)
            ours = run_ours(port + argv, stdin)
            assert _tidy(ours) == _tidy(real), argv
