"""`redis-tutor serve`: a node on real ports, started and stopped as redis-server is.

Takes redis-server's arguments, prints its log lines in its format, and ends with its exit statuses: 0 after a clean
shutdown, 1 when the configuration is wrong or a port cannot be had.

https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

import contextlib
import errno
import gc
import glob
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection
from types import FrameType
from typing import IO

from engine.acl import check_user_line
from engine.config import (
    Config,
    FatalConfigError,
    Surroundings,
    load_config,
    parse_command_line,
)
from engine.config.kinds import to_str
from engine.effects import Exit
from engine.live import crash
from engine.live.facts import allow_open_files, open_files_max
from engine.live.loop import Loop
from engine.live.snapshots import temporary_name
from engine.live.title import set_title
from engine.node import Node
from engine.persistence import LoadError
from engine.reconfigure import RESERVED_FILES, load_modules, load_users, set_oom_score
from engine.table import COMMANDS
from engine.version import ALLOCATOR, ARCH_BITS, GIT_DIRTY, GIT_SHA1, VERSION, version_line

_LEVELS = {"debug": 0, "verbose": 1, "notice": 2, "warning": 3, "nothing": 4}
_NO_SUCH_NETWORK = (
    errno.ENOPROTOOPT,
    errno.EPROTONOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.EPFNOSUPPORT,
    errno.EAFNOSUPPORT,
)
_SOMAXCONN = "/proc/sys/net/core/somaxconn"
_UNIX_PATH_BYTES = 108 if sys.platform == "linux" else 104

USAGE = """\
Usage: redis-tutor serve [/path/to/redis.conf] [options] [-]
       redis-tutor serve - (read config from stdin)
       redis-tutor serve -v or --version
       redis-tutor serve -h or --help

Examples:
       redis-tutor serve (run the server with default conf)
       echo 'maxmemory 128mb' | redis-tutor serve -
       redis-tutor serve /etc/redis/6379.conf
       redis-tutor serve --port 7777
       redis-tutor serve --port 7777 --replicaof 127.0.0.1 8888
       redis-tutor serve /etc/myredis.conf --loglevel verbose -
       redis-tutor serve /etc/myredis.conf --loglevel verbose
"""


class Log:
    """The server's log, in Redis's format: `pid:role day month year time level text`."""

    def __init__(self) -> None:
        self.path = ""
        self.config: Config | None = None  # whose loglevel counts, once it is known
        self.role = "C"  # M master, S replica, C child or still starting
        self.enabled = True

    def __call__(self, level: str, text: str) -> None:
        if not self.shows(level):
            return
        now = time.time()
        stamp = time.strftime("%d %b %Y %H:%M:%S", time.localtime(now))
        self.raw(f"{os.getpid()}:{self.role} {stamp}.{int(now * 1000) % 1000:03d} {level} {text}\n")

    def shows(self, level: str) -> bool:
        """Tell whether lines of a level are written."""
        minimum = _LEVELS[self.config.loglevel] if self.config else 2
        return self.enabled and ".-*#".index(level) >= minimum

    def raw(self, line: str) -> None:
        """Write a line as it is."""
        data = line.encode(errors="surrogateescape")
        if not self.path:
            with contextlib.suppress(OSError):
                os.write(1, data)
            return
        # Opened for every line, so that log rotation needs no signal (as Redis does it).
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)


class _Machine(Surroundings):
    """What reading a configuration may ask of the machine."""

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log

    def read(self, path: str) -> bytes:
        """See `Surroundings`."""
        paths = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
        parts = []
        for name in paths:
            with open(name, "rb") as file:
                parts.append(file.read())
        return b"".join(parts)

    def change_dir(self, path: str) -> str:
        """See `Surroundings`."""
        os.chdir(path)
        return os.getcwd()

    def check_log(self, path: str) -> None:
        """See `Surroundings`."""
        with open(path, "ab"):
            pass

    def check_user(self, argv: list[bytes]) -> tuple[int, bytes] | None:
        """See `Surroundings`."""
        return check_user_line(argv)

    def command_names(self) -> Collection[bytes] | None:
        """See `Surroundings`."""
        return COMMANDS.keys()

    def log(self, level: str, text: str) -> None:
        """See `Surroundings`."""
        self._log(level, text)


def configure(
    arguments: list[str], log: Callable[[str, str], None] | None = None, stdin: IO[bytes] | None = None
) -> Config:
    """Return the configuration that redis-server's arguments describe. Raises FatalConfigError."""
    config = Config()
    config.dir = os.getcwd()
    command_line = parse_command_line(arguments)
    text = stdin.read() if command_line.stdin and stdin is not None else None
    if command_line.config_file is not None:
        config.config_file = command_line.config_file = os.path.abspath(command_line.config_file)
    load_config(config, command_line, _Machine(log or (lambda level, text: None)), text)
    return config


def main(arguments: list[str]) -> int:
    """Run a server with redis-server's arguments; returns the exit status."""
    first = arguments[0] if arguments else ""
    if first in ("-v", "--version"):
        print(version_line())
        return 0
    if first in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if "--sentinel" in arguments or first in ("--test-memory", "--check-system"):
        wanted = "--sentinel" if "--sentinel" in arguments else first
        print(f"redis-tutor serve does not take {wanted}: it is a server only.", file=sys.stderr)
        return 1
    log = Log()
    directory = os.getcwd()  # which `dir` may leave
    try:
        config = configure(arguments, log, sys.stdin.buffer)
    except FatalConfigError as error:
        if error.logged:
            log("#", to_str(error.text))
        else:
            sys.stderr.buffer.write(error.text)
            sys.stderr.flush()
        return 1
    log.path = config.logfile
    log.config = config
    if config.daemonize and config.supervised == "no":
        _daemonize()
    log("*", "oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
    log(
        "*",
        f"Redis version={VERSION}, bits={ARCH_BITS}, commit={GIT_SHA1}, modified={GIT_DIRTY}, pid={os.getpid()}, "
        "just started",
    )
    if arguments:
        log("*", "Configuration loaded")
    else:
        log(
            "#",
            "Warning: no config file specified, using the default config. In order to specify a config file use "
            "redis-tutor serve /path/to/redis.conf",
        )
    log.role = "S" if config.replicaof is not None else "M"
    log("*", "monotonic clock: POSIX clock_gettime")
    _make_room_for_clients(config, log)
    if config.daemonize or config.pidfile:
        _write_pidfile(config, log)
    _introduce(config, log)
    _check_backlog(config, log)
    node = Node(config, int.from_bytes(os.urandom(32), "big"), time.time_ns() // 1000)
    loop = Loop(node, log)
    warnings = load_modules(config) or load_users(node)
    loop.flush_log()
    for warning in warnings:
        log("#", warning)
    if warnings:
        return 1
    kinds = _listen(loop, config, log)
    if kinds is None:
        return 1
    loop.set_title = set_title
    if config.set_proc_title:
        loop.entitle()
    log("*", "Server initialized")
    set_oom_score(node)
    _on_signals(loop, log)
    loop.on_wake = crash.Watchdog(lambda: loop.current_node, log.raw).cron
    if config.crash_log_enabled:
        _report_crashes(loop, log)
    try:
        node.start(time.time_ns() // 1000)
    except LoadError as error:
        loop.flush_log()
        if loop.exit_status is not None:
            return loop.exit_status  # told to end while it loaded
        if error.last_words:
            log("#", error.last_words)
        return 1
    loop.flush_log()
    for kind in kinds:
        log("*", f"Ready to accept connections {kind}")
    _notify_supervisor(config)
    gc.collect()
    gc.freeze()
    # What the server keeps holds no cycles; without collections a large data set costs no pauses.
    gc.set_threshold(100_000, 50, 1000)
    status = loop.run()
    if config.pidfile:
        with contextlib.suppress(OSError):
            os.unlink(config.pidfile)
    if loop.restart_after_us is not None:
        time.sleep(loop.restart_after_us / 1e6)
        os.chdir(directory)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return status


LOGO = """\

      .-----.      Redis {version} ({sha}/{dirty}) {bits} bit
    .'-------'.    redis-tutor
    |'-------'|
    |'-------'|    Running in {mode} mode
    |'-------'|    Port: {port}
     '-------'     PID: {pid}

"""


def _introduce(config: Config, log: Log) -> None:
    """Say what runs: in one line, or with the logo on a terminal and where `always-show-logo` asks for it."""
    mode = "cluster" if config.cluster_enabled else "standalone"
    port = config.port or config.tls_port
    on_terminal = not config.syslog_enabled and not config.logfile and os.isatty(1)
    if not on_terminal and not config.always_show_logo:
        log("*", f"Running mode={mode}, port={port}.")
        return
    if log.shows("*"):
        log.raw(
            LOGO.format(
                version=VERSION,
                sha=GIT_SHA1,
                dirty=GIT_DIRTY,
                bits=ARCH_BITS,
                mode=mode,
                port=port,
                pid=os.getpid(),
            )
        )


def _listen(loop: Loop, config: Config, log: Log) -> list[str] | None:
    """Open the ports that the configuration names; returns what kinds, or None when one could not be had."""
    kinds: list[str] = []
    if config.tls_port or config.tls_replication or config.tls_cluster:
        try:
            loop.tls.get(config, server=True)
        except OSError as error:
            log("#", str(error))
            log("#", "Failed to configure TLS. Check logs for more info.")
            return None
    for kind, port in (("tcp", config.port), ("tls", config.tls_port)):
        if not port:
            continue
        opened = 0
        for bind in config.bind:
            optional = bind.startswith("-")
            host = {"*": "0.0.0.0", "::*": "::"}.get(bind.removeprefix("-"), bind.removeprefix("-"))
            try:
                loop.listen(kind, host, port, config.tcp_backlog)
                opened += 1
            except OSError as error:
                unknown = isinstance(error, socket.gaierror)
                reason = error.strerror if unknown else f"bind: {os.strerror(error.errno or 0)}"
                name = bind.removeprefix("-")
                log("#", f"Warning: Could not create server TCP listening socket {name}:{port}: {reason}")
                if error.errno in _NO_SUCH_NETWORK or (optional and error.errno == errno.EADDRNOTAVAIL):
                    continue
                opened = 0
                break
        if not config.bind:
            continue  # told to listen on no address: a unix socket may still be there
        if not opened:
            log("#", f"Failed listening on port {port} ({kind}), aborting.")
            return None
        kinds.append(kind)
    if config.unixsocket:
        try:
            loop.listen("unix", config.unixsocket, 0, config.tcp_backlog, config.unixsocketperm)
        except OSError as error:
            log("#", f"Failed opening Unix socket: {_unix_reason(config.unixsocket, error)}")
            return None
        kinds.append("unix")
    if not kinds:
        log("#", "Configured to not listen anywhere, exiting.")
        return None
    return kinds


def _unix_reason(path: str, error: OSError) -> str:
    size = len(os.fsencode(path))
    if error.errno is None and size >= _UNIX_PATH_BYTES:  # Python looks before it asks the system
        return f"unix socket path too long ({size}), must be under {_UNIX_PATH_BYTES}"
    return f"bind: {error.strerror or error}"


def _check_backlog(config: Config, log: Log) -> None:
    """Warn when the system cuts the queue of connections shorter than `tcp-backlog` asks for (Linux tells)."""
    try:
        with open(_SOMAXCONN) as file:
            most = int(file.read())
    except (OSError, ValueError):
        return
    if 0 < most < config.tcp_backlog:
        log(
            "#",
            f"WARNING: The TCP backlog setting of {config.tcp_backlog} cannot be enforced because {_SOMAXCONN} is "
            f"set to the lower value of {most}.",
        )


def _make_room_for_clients(config: Config, log: Log) -> None:
    """Take fewer clients where the machine has not enough files for them."""
    allow_open_files()
    limit = open_files_max()
    if limit is None or config.maxclients + RESERVED_FILES <= limit:
        return
    log(
        "#",
        f"You requested maxclients of {config.maxclients} requiring at least "
        f"{config.maxclients + RESERVED_FILES} max file descriptors.",
    )
    config.maxclients = max(1, limit - RESERVED_FILES)
    log(
        "#",
        f"Current maximum open files is {limit}. maxclients has been reduced to {config.maxclients} to compensate "
        "for low ulimit. If you need higher maxclients increase 'ulimit -n'.",
    )


def _on_signals(loop: Loop, log: Log) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        name = {signal.SIGTERM: "term", signal.SIGINT: "int"}[signal.Signals(number)]
        if loop.signals and number == signal.SIGINT:  # the first is still being seen to: it saves
            log.raw(f"{os.getpid()}:signal-handler ({int(time.time())}) You insist... exiting now.\n")
            with contextlib.suppress(OSError):
                os.unlink(temporary_name("rdb", os.getpid()))
            os._exit(1)
        log.raw(
            f"{os.getpid()}:signal-handler ({int(time.time())}) Received SIG{name.upper()} scheduling shutdown...\n"
        )
        loop.wake_up(name)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # until there is a watchdog


def _report_crashes(loop: Loop, log: Log) -> None:
    def on_crash(effect: Exit) -> None:
        crash.report(loop.current_node, effect.crash, None, log.raw)
        if effect.signal:
            crash.die(effect.signal)

    loop.on_crash = on_crash
    crash.watch_for_faults(loop.current_node, log.raw)


def _daemonize() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _write_pidfile(config: Config, log: Log) -> None:
    config.pidfile = config.pidfile or "/var/run/redis.pid"
    try:
        with open(config.pidfile, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        log("#", f"Failed to write PID file: {error.strerror}")


def _notify_supervisor(config: Config) -> None:
    """Tell systemd that the server is ready (`supervised systemd`, or `auto` under systemd)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or config.supervised not in ("systemd", "auto"):
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"STATUS=Ready to accept connections\nREADY=1\n", address)


__all__ = ["ALLOCATOR", "configure", "main"]
