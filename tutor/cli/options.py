"""redis-cli's command line: options first, each with its value in the next word, then the command to run.

It is not getopt's grammar (no `--port=1`, no `-p1`, no mixing of options and command), so it is parsed by hand from a
table. An option that wants a value and stands last is unknown, as in redis-cli, and said so in the same words.

https://redis.io/docs/latest/develop/tools/cli/
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from tutor.client import TLS
from tutor.cluster.options import BadOptionError, ClusterOptions
from tutor.prompt import OutputMode, to_bytes, unquote
from tutor.prompt.help import VERSION
from tutor.prompt.state import c_int, c_integer


class CliExit(Exception):  # noqa: N818  (not an error)
    """Leave with this status; what was to be said has been said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def complain(text: str) -> None:
    """Write a line to standard error, whatever characters it holds."""
    sys.stdout.flush()
    sys.stderr.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stderr.flush()


def fail(text: str, status: int = 1) -> CliExit:
    """Complain; return the CliExit to raise."""
    complain(text)
    return CliExit(status)


@dataclass(slots=True)
class Options:
    """What the command line and the environment say. `output` is None until the terminal decides."""

    host: str = "127.0.0.1"
    port: int = 6379
    socket: str | None = None
    db: int = 0
    user: str | None = None
    password: str | None = None
    ask_password: bool = False
    auth_warning: bool = True
    tls: TLS | None = None
    resp: int = 0  # 2 or 3 if asked for; -3 if only JSON asks for it
    repeat: int = 1
    interval_s: float = 0.0
    output: OutputMode = OutputMode.STANDARD
    show_pushes: bool = True
    element_delimiter: bytes = b"\n"
    reply_delimiter: bytes = b"\n"
    exit_on_error: bool = False
    quoted_input: bool = False
    last_from_stdin: bool = False
    tag_from_stdin: bytes | None = None
    follow_cluster: bool = False
    verbose: bool = False
    mode: str = ""  # the special mode asked for: "latency", "scan", …
    pattern: bytes | None = None
    count: int = 10
    samples: int = 0
    filename: str = ""
    seconds: int = 0
    pipe_timeout_s: int = 30
    eval_file: str | None = None
    debug: str = ""  # the script: on a copy of the data ("yes") or on the data ("sync")
    hint_input: str | None = None
    hint_file: str | None = None
    command: list[bytes] = field(default_factory=list)
    cluster: ClusterOptions = field(default_factory=ClusterOptions)

    @property
    def interactive(self) -> bool:
        """No command, no script, no special mode: a prompt, or commands from standard input."""
        return not self.command and self.eval_file is None and not self.mode and not self.cluster.name


# What main() runs first when several special modes are asked for.
MODES = (
    "latency-history",
    "latency",
    "latency-dist",
    "replica",
    "rdb",
    "functions-rdb",
    "pipe",
    "bigkeys",
    "memkeys",
    "hotkeys",
    "stat",
    "scan",
    "lru-test",
    "intrinsic-latency",
)

# What redis-cli knows and this program does not do (yet): said so, and nothing is done.
ABSENT = {
    "--latency-dist": "the latency spectrum",
    "--lru-test": "the LRU test",
}

LONGEST_INTERVAL_S = 1_000_000_000

Setter = Callable[[Options, str], None]


def _real(text: str) -> float:
    """Read the number at the head of the text as C's atof does: 0 if there is none."""
    found = re.match(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.ASCII | re.IGNORECASE)
    return float(found[0]) if found else 0.0


def _interval(text: str) -> float:
    """Parse a number of seconds to wait. With a negative number, redis-cli would wait for 71 minutes."""
    seconds = _real(text)
    if seconds < 0 or LONGEST_INTERVAL_S < seconds < inf:
        raise fail(f"Invalid interval '{text[:40]}': a number of seconds from 0 to {LONGEST_INTERVAL_S}.")
    return seconds if seconds < inf else 0.0  # as in C, for a number beyond every integer type


def _port(options: Options, port: int) -> None:
    if not 0 <= port <= 65535:
        raise fail("Invalid server port.")
    options.port = port


def _set(name: str, convert: Callable[[str], object] = str) -> Setter:
    return lambda options, text: setattr(options, name, convert(text))


def _tls(name: str) -> Setter:
    def setter(options: Options, text: str) -> None:
        if options.tls is None:
            options.tls = TLS()
        setattr(options.tls, name, text)

    return setter


def _show_pushes(options: Options, text: str) -> None:
    if text[:1].lower() in ("n", "y"):
        options.show_pushes = text[:1].lower() == "y"
    else:
        complain(f"Unknown --show-pushes value '{text}' (valid: '[y]es', '[n]o')")


def _quoted_pattern(options: Options, text: str) -> None:
    options.pattern = unquote(text)
    if options.pattern is None:
        raise fail("Invalid quoted string specified for --quoted-pattern.")


def _mode(name: str) -> Setter:
    def setter(options: Options, text: str) -> None:
        if not options.mode or MODES.index(name) < MODES.index(options.mode):
            options.mode = name

    return setter


def _mode_with(name: str, field_name: str, convert: Callable[[str], object] = str) -> Setter:
    def setter(options: Options, text: str) -> None:
        _mode(name)(options, text)
        setattr(options, field_name, convert(text))

    return setter


def _json(mode: OutputMode) -> Setter:
    def setter(options: Options, text: str) -> None:
        options.output = mode
        if options.resp == 0:
            options.resp = -3

    return setter


def _debug(mode: str) -> Setter:
    def setter(options: Options, text: str) -> None:
        options.output = OutputMode.RAW
        if options.debug != "sync":
            options.debug = mode

    return setter


def _output(mode: OutputMode) -> Setter:
    return lambda options, text: setattr(options, "output", mode)


def _flag(name: str, value: object = True) -> Setter:
    return lambda options, text: setattr(options, name, value)


_WITH_VALUE: dict[str, Setter] = {
    "-h": _set("host"),
    "-X": _set("tag_from_stdin", to_bytes),
    "-p": lambda options, text: _port(options, c_int(text)),
    "-s": _set("socket"),
    "-r": _set("repeat", c_integer),
    "-i": _set("interval_s", _interval),
    "-n": _set("db", c_int),
    "-a": _set("password"),
    "--pass": _set("password"),
    "--user": _set("user"),
    "-u": lambda options, text: parse_uri(text, options),
    "--pattern": _set("pattern", to_bytes),
    "--quoted-pattern": _quoted_pattern,
    "--count": _set("count", c_int),
    "--intrinsic-latency": _mode_with("intrinsic-latency", "seconds", c_int),
    "--rdb": _mode_with("rdb", "filename"),
    "--functions-rdb": _mode_with("functions-rdb", "filename"),
    "--pipe-timeout": _set("pipe_timeout_s", c_int),
    "--memkeys-samples": _mode_with("memkeys", "samples", c_int),
    "--eval": _set("eval_file"),
    "-d": _set("element_delimiter", to_bytes),
    "-D": _set("reply_delimiter", to_bytes),
    "--test_hint": _set("hint_input"),
    "--test_hint_file": _set("hint_file"),
    "--sni": _tls("sni"),
    "--cacert": _tls("cacert"),
    "--cacertdir": _tls("cacertdir"),
    "--cert": _tls("cert"),
    "--key": _tls("key"),
    "--tls-ciphers": _tls("ciphers"),
    "--tls-ciphersuites": _tls("ciphersuites"),
    "--show-pushes": _show_pushes,
}

_FLAGS: dict[str, Setter] = {
    "-x": _flag("last_from_stdin"),
    "--no-auth-warning": _flag("auth_warning", False),
    "--askpass": _flag("ask_password"),
    "--raw": _output(OutputMode.RAW),
    "--no-raw": _output(OutputMode.STANDARD),
    "--quoted-input": _flag("quoted_input"),
    "--csv": _output(OutputMode.CSV),
    "--json": _json(OutputMode.JSON),
    "--quoted-json": _json(OutputMode.QUOTED_JSON),
    "--latency": _mode("latency"),
    "--latency-history": _mode("latency-history"),
    "--slave": _mode("replica"),
    "--replica": _mode("replica"),
    "--stat": _mode("stat"),
    "--scan": _mode("scan"),
    "--pipe": _mode("pipe"),
    "--bigkeys": _mode("bigkeys"),
    "--memkeys": _mode_with("memkeys", "samples", lambda text: 0),
    "--hotkeys": _mode("hotkeys"),
    "--ldb": _debug("yes"),
    "--ldb-sync-mode": _debug("sync"),
    "-c": _flag("follow_cluster"),
    "-e": _flag("exit_on_error"),
    "--verbose": _flag("verbose"),
    "-3": _flag("resp", 3),
}


def parse(argv: list[str], *, on_terminal: bool) -> Options:
    """Read the command line. Raises CliExit after --help, --version and for what cannot be understood."""
    options = Options()
    options.output = OutputMode.STANDARD if on_terminal else OutputMode.RAW
    options.show_pushes = on_terminal
    only_resp2 = tls = insecure = False
    rest = list(argv)
    while rest:
        word = rest[0]
        try:
            if options.cluster.take(rest):
                continue
        except BadOptionError as error:
            sys.stderr.write(str(error) or usage())
            raise CliExit(1) from None
        if len(rest) > 1 and word in _WITH_VALUE:
            rest.pop(0)
            _WITH_VALUE[word](options, rest.pop(0))
            continue
        if word in ("--help", "-h"):
            print(usage(), end="")
            raise CliExit(0)
        if word in ("-v", "--version"):
            print(f"redis-cli {VERSION}")
            raise CliExit(0)
        if word == "-2":
            only_resp2 = True
        elif word == "--tls":
            tls = True
        elif word == "--insecure":
            insecure = True
        elif word in _FLAGS:
            _FLAGS[word](options, "")
        elif word in ABSENT:
            raise fail(f"{word}: {ABSENT[word]} is not part of redis-tutor; use redis-cli for it.")
        elif word.startswith("-"):
            raise fail(f"Unrecognized option or bad number of args for: '{word}'")
        else:
            break
        rest.pop(0)
    options.command = [to_bytes(word) for word in rest]
    _settle_tls(options, tls, insecure)
    _check(options, only_resp2)
    if options.password is None:
        options.password = os.environ.get("REDISCLI_AUTH")
    return options


def _settle_tls(options: Options, wanted: bool, insecure: bool) -> None:
    # Certificates alone do not ask for TLS; --tls and rediss:// do.
    if wanted or (options.tls is not None and options.tls.wanted):
        options.tls = options.tls or TLS()
        options.tls.insecure = insecure
    else:
        options.tls = None


def _check(options: Options, only_resp2: bool) -> None:
    if options.socket is not None and options.follow_cluster:
        raise fail("Options -c and -s are mutually exclusive.")
    if only_resp2 and options.resp == 3:
        raise fail("Options -2 and -3 are mutually exclusive.")
    if only_resp2:
        options.resp = 2
    if options.auth_warning and options.password is not None:
        complain("Warning: Using a password with '-a' or '-u' option on the command line interface may not be safe.")
    if options.debug and options.eval_file is None:
        complain("Options --ldb and --ldb-sync-mode require --eval.")
        raise fail("Try redis-tutor cli --help for more information.")
    if options.last_from_stdin and options.tag_from_stdin is not None:
        raise fail("Options -x and -X are mutually exclusive.")


def _decode_percent(text: str) -> str:
    out = bytearray()
    data = to_bytes(text)
    i = 0
    while i < len(data):
        if data[i] != 37:
            out.append(data[i])
            i += 1
            continue
        digits = data[i + 1 : i + 3]
        if len(data) - i < 2:
            raise fail("Incomplete URI encoding")
        if not re.fullmatch(rb"[0-9A-Fa-f]{2}", digits):
            raise fail("Illegal character in URI encoding")
        out.append(int(digits, 16))
        i += 3
    return out.decode("utf-8", "surrogateescape")


def parse_uri(uri: str, options: Options) -> None:
    """Read `redis[s]://[[user:]password@][host[:port]][/db]` into the options. Raises CliExit if it is not one."""
    scheme, colon, rest = uri.partition("://")
    if not colon or scheme.lower() not in ("redis", "rediss"):
        raise fail("Invalid URI scheme")
    if scheme.lower() == "rediss":
        options.tls = options.tls or TLS()
        options.tls.wanted = True
    credentials, at, after = rest.partition("@")
    if at:
        user, colon, password = credentials.partition(":")
        if colon:
            options.user = _decode_percent(user)
        options.password = _decode_percent(password if colon else credentials)
        rest = after
    if not rest:
        return
    address, _, path = rest.partition("/")
    if address.startswith("["):
        host, bracket, port = address[1:].partition("]")
        options.host = host
        if bracket and port.startswith(":"):
            _port(options, c_int(port[1:]))
    elif address:
        host, colon, port = address.partition(":")
        options.host = host
        if colon:
            _port(options, c_int(port))
    if path:
        options.db = c_int(path)


def usage() -> str:
    """Return what --help says."""
    return _USAGE


_USAGE = f"""\
redis-tutor cli, the commands and output of redis-cli {VERSION}

Usage: redis-tutor cli [OPTIONS] [COMMAND [ARGUMENT ...]]

Connection
  -h HOST              Server's host (127.0.0.1).
  -p PORT              Server's port (6379).
  -s SOCKET            Unix socket of the server, in place of host and port.
  -a PASSWORD          Password to connect with; --pass is the same. The variable REDISCLI_AUTH
                       does it without showing in the list of processes.
  --user NAME          ACL user name; goes with -a.
  --askpass            Ask for the password, without echo.
  -u URI               redis://user:password@host:port/dbnum; rediss:// for TLS.
  -n DB                Database number.
  -2, -3               Speak RESP2, RESP3.
  --tls                Secure the connection; with --sni HOST, --cacert FILE, --cacertdir DIR,
                       --cert FILE, --key FILE, --tls-ciphers LIST, --insecure.
  -c                   Follow -MOVED and -ASK redirections of a cluster.
  --cluster COMMAND    Create, check, fix, reshard a cluster ...: --cluster help lists the commands.

Input
  -x                   Take the last argument from standard input.
  -X TAG               Take the argument that is TAG from standard input.
  --quoted-input       Read arguments as quoted strings.
  -r N                 Run the command N times; -1: forever.
  -i SECONDS           Wait between runs (may be 0.1); also between samples of --scan and others.
  --eval FILE          Run the Lua script FILE: --eval FILE key1 key2 , arg1 arg2
  --ldb                With --eval: debug the script, on a copy of the data.
  --ldb-sync-mode      ... on the data itself; other clients have to wait meanwhile.
  --pipe               Send raw protocol from standard input, as fast as it goes.
  --pipe-timeout N     Give up after N seconds without a reply (30; 0: never).

Output
  --no-raw, --raw      Formatted for people (as on a terminal), or as it came (as in a pipe).
  --csv, --json        As CSV; as JSON (asks for RESP3 unless -2). --quoted-json escapes non-ASCII.
  -d DELIMITER         Between the elements of a raw reply (newline).
  -D DELIMITER         Between raw replies (newline).
  -e                   Exit with status 1 when a command fails.
  --show-pushes YN     Show pushes that come between replies (yes on a terminal).
  --no-auth-warning    Do not warn about a password on the command line.

Looking at a server
  --stat               Keys, memory, clients, requests; a line every second, or every -i.
  --latency            Latency of PING; --latency-history in ranges of 15 s, or of -i.
  --intrinsic-latency SECONDS
                       The longest pause this machine gives a busy process.
  --scan               List keys, by SCAN. --pattern GLOB, --quoted-pattern GLOB, --count N.
  --bigkeys            The biggest key of each type, by elements.
  --memkeys            ... by memory; --memkeys-samples N.
  --hotkeys            The keys used most; needs a maxmemory-policy *lfu.
  --replica            Show the stream of commands that a replica receives.
  --rdb FILE           Fetch a snapshot; --functions-rdb FILE only the functions. "-": to output.

  --help, --version    This text; the version.

Without a command: a prompt with completion (Tab), history (Ctrl-R) and hints on a terminal; else commands from
standard input, one a line.
"""
