"""`redis-tutor serve` and `sentinel`: a node on real ports, started and stopped as redis-server is.

It takes redis-server's arguments, prints its log lines in the same format, and has its exit statuses: 0 after a clean
shutdown, 1 if the configuration is invalid or a port is not available.

https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

import contextlib
import errno
import gc
import glob
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import IO

from engine.boot import Role, RoleSurroundings, StartError, boot, read_config
from engine.commands.reconfigure import RESERVED_FILES, set_oom_score
from engine.config import Config, FatalConfigError, parse_command_line
from engine.config.kinds import to_str
from engine.config.tls import TLS_FAILED, uses_tls
from engine.effects import Exit
from engine.live import crash, programs
from engine.live.clock import SystemClock
from engine.live.facts import allow_open_files, open_files_max
from engine.live.loop import Loop
from engine.live.memory import ProcessMemory, return_memory
from engine.live.signals import Signals
from engine.live.title import set_title
from engine.node import Node
from engine.protocol.version import ALLOCATOR, ARCH_BITS, GIT_DIRTY, GIT_SHA1, VERSION, version_line

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

Sentinel mode:
       redis-tutor sentinel /etc/sentinel.conf
       redis-tutor serve /etc/sentinel.conf --sentinel
"""


class ServerLog:
    """The server's log, in Redis's format: `pid:role day month year time level text`."""

    def __init__(self) -> None:
        self.path = ""
        self.config: Config | None = None  # determines the log level when it is known
        self.role = "C"  # M master, S replica, C child or still starting
        self.enabled = True

    def __call__(self, level: str, text: str) -> None:
        if not self.shows(level):
            return
        now = time.time()
        stamp = time.strftime("%d %b %Y %H:%M:%S", time.localtime(now))
        self.raw(f"{os.getpid()}:{self.role} {stamp}.{int(now * 1000) % 1000:03d} {level} {text}\n")

    def shows(self, level: str) -> bool:
        """Return whether lines of a level are logged."""
        minimum = _LEVELS[self.config.loglevel] if self.config else 2
        return self.enabled and ".-*#".index(level) >= minimum

    def raw(self, line: str) -> None:
        """Write a line unchanged."""
        data = line.encode(errors="surrogateescape")
        if not self.path:
            with contextlib.suppress(OSError):
                os.write(1, data)
            return
        # Opened for every line, as in Redis, so that log rotation needs no signal.
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)


class _Machine(RoleSurroundings):
    """The access of a configuration to the machine."""

    def __init__(self, role: Role, log: Callable[[str, str], None]) -> None:
        super().__init__(role)
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

    def is_executable(self, path: str) -> bool:
        """See `Surroundings`."""
        return os.access(path, os.X_OK)

    def resolve(self, host: str) -> str:
        """See `Surroundings`."""
        return programs.resolve(host)

    def log(self, level: str, text: str) -> None:
        """See `Surroundings`."""
        self._log(level, text)


def configure(
    arguments: list[str],
    log: Callable[[str, str], None] | None = None,
    stdin: IO[bytes] | None = None,
    role: Role | None = None,
    now: int = 0,
) -> Config:
    """Return the configuration for redis-server's arguments. Raises FatalConfigError."""
    command_line = parse_command_line(arguments)
    text = stdin.read() if command_line.stdin and stdin is not None else None
    if command_line.config_file is not None:
        command_line.config_file = os.path.abspath(command_line.config_file)
    machine = _Machine(role or Role(), log or (lambda level, text: None))
    return read_config(command_line, os.getcwd(), machine, now, text)


def main(arguments: list[str], sentinel: bool = False) -> int:
    """Run a server or a Sentinel with redis-server's arguments. Returns the exit status."""
    first = arguments[0] if arguments else ""
    if first in ("-v", "--version"):
        print(version_line())
        return 0
    if first in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if first in ("--test-memory", "--check-system"):
        print(f"redis-tutor serve does not take {first}.", file=sys.stderr)
        return 1
    role = Role()
    if sentinel or "--sentinel" in arguments:
        from engine.sentinel.role import SentinelRole  # which a server does without

        role = SentinelRole()
    clock = SystemClock()
    log = ServerLog()
    log.role = role.letter or log.role
    directory = os.getcwd()  # before `dir` changes it
    try:
        config = configure(arguments, log, sys.stdin.buffer, role, clock.now())
    except FatalConfigError as error:
        if error.logged:
            log("#", to_str(error.text))
        else:
            sys.stderr.buffer.write(error.text)
            sys.stderr.flush()
        return 1
    log.path = config.logfile
    log.config = config
    if role.state_in_file and not _can_keep_state(config, log):
        return 1
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
    log.role = role.letter or ("S" if config.replicaof is not None else "M")
    log("*", "monotonic clock: POSIX clock_gettime")
    _make_room_for_clients(config, log)
    if config.daemonize or config.pidfile:
        _write_pidfile(config, log)
    node = role.node(config, int.from_bytes(os.urandom(32), "big"), clock.now())
    _introduce(node, log)
    _check_backlog(config, log)
    loop = Loop(node, log, clock)
    reserve = crash.MemoryReserve()
    try:
        status = _serve(loop, log)
    except MemoryError:
        reserve.out_of_memory(loop, log, log.raw)
        return 1
    if config.pidfile:
        with contextlib.suppress(OSError):
            os.unlink(config.pidfile)
    if loop.restart_after_us is not None:
        time.sleep(loop.restart_after_us / 1e6)
        os.chdir(directory)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return status


class _LiveStart:
    """The live world during startup (see `boot.Starting`)."""

    def __init__(self, loop: Loop, log: ServerLog) -> None:
        self.loop = loop
        self.log = log
        self.now = loop.now
        self.carry_out = loop.flush_log

    def open_ports(self, config: Config) -> list[str]:
        """See `boot.Starting`."""
        return _listen(self.loop, config, self.log)

    def initialized(self) -> None:
        """See `boot.Starting`."""
        loop, log = self.loop, self.log
        node = loop.current_node
        loop.set_title = set_title
        if node.config.set_proc_title:
            loop.entitle()
        if node.keeps_data:
            log("*", "Server initialized")
        set_oom_score(node)
        signals = Signals(loop, log.raw)
        signals.install()
        node.scripting.on_interpreter = signals.guard
        node.scripting.on_memory_freed = return_memory
        watchdog = crash.Watchdog(lambda: loop.current_node, log.raw)
        memory = ProcessMemory()

        def on_wake() -> None:
            watchdog.cron()
            memory.cron(loop.current_node)

        loop.on_wake = on_wake
        if node.config.crash_log_enabled:
            _report_crashes(loop, log)


def _serve(loop: Loop, log: ServerLog) -> int:
    """Start, then serve clients until the end. Returns the exit status. Raises MemoryError."""
    try:
        boot(loop.current_node, _LiveStart(loop, log))
    except StartError:
        return 1 if loop.exit_status is None else loop.exit_status  # ended during loading
    _notify_supervisor(loop.current_node.config)
    gc.collect()
    gc.freeze()
    # The server's data contains no reference cycles; without garbage collection, large data sets cause no pauses.
    gc.set_threshold(100_000, 50, 1000)
    return loop.run()


LOGO = """\

      .-----.      Redis {version} ({sha}/{dirty}) {bits} bit
    .'-------'.    redis-tutor
    |'-------'|
    |'-------'|    Running in {mode} mode
    |'-------'|    Port: {port}
     '-------'     PID: {pid}

"""


def _can_keep_state(config: Config, log: ServerLog) -> bool:
    """Return whether a Sentinel can write its configuration file; logs the reason if not."""
    if not config.config_file:
        log("#", "Sentinel needs config file on disk to save state. Exiting...")
        return False
    try:
        with open(config.config_file, "r+b"):
            return True
    except OSError as error:
        log("#", f"Sentinel config file {config.config_file} is not writable: {error.strerror}. Exiting...")
        return False


def _introduce(node: Node, log: ServerLog) -> None:
    """Log the version, in one line, or with the logo on a terminal or if `always-show-logo` is set."""
    config, mode = node.config, node.mode
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


def _listen(loop: Loop, config: Config, log: ServerLog) -> list[str]:
    """Open the configured ports. Returns their kinds. Raises StartError."""
    kinds: list[str] = []
    if uses_tls(config):
        try:
            loop.tls.get(config, server=True)
        except OSError as error:
            raise StartError("TLS", (str(error), TLS_FAILED)) from None
    for kind, port in (("tcp", config.port), ("tls", config.tls_port)):
        if port and config.bind:  # without addresses there may still be a Unix socket
            _listen_on(loop, config, log, kind, port, kind)
            kinds.append(kind)
    if config.unixsocket:
        try:
            loop.listen("unix", config.unixsocket, 0, config.tcp_backlog, config.unixsocketperm)
        except OSError as error:
            reason = _unix_reason(config.unixsocket, error)
            raise StartError("a socket cannot be had", (f"Failed opening Unix socket: {reason}",)) from None
        kinds.append("unix")
    if not kinds:
        raise StartError("no port", ("Configured to not listen anywhere, exiting.",))
    cluster = loop.current_node.cluster
    if cluster is not None:
        _listen_on(loop, config, log, "tls-bus" if config.tls_cluster else "bus", cluster.bus_port, "cluster")
    return kinds


def _listen_on(loop: Loop, config: Config, log: ServerLog, kind: str, port: int, name: str) -> None:
    """Open a port on the addresses that the configuration names; raises StartError."""
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
            address = bind.removeprefix("-")
            log("#", f"Warning: Could not create server TCP listening socket {address}:{port}: {reason}")
            if error.errno in _NO_SUCH_NETWORK or (optional and error.errno == errno.EADDRNOTAVAIL):
                continue
            opened = 0
            break
    if not opened:
        raise StartError("a port cannot be had", (f"Failed listening on port {port} ({name}), aborting.",))


def _unix_reason(path: str, error: OSError) -> str:
    size = len(os.fsencode(path))
    if error.errno is None and size >= _UNIX_PATH_BYTES:  # checked by Python before the system call
        return f"unix socket path too long ({size}), must be under {_UNIX_PATH_BYTES}"
    return f"bind: {error.strerror or error}"


def _check_backlog(config: Config, log: ServerLog) -> None:
    """Warn if the system limits the queue of connections to less than `tcp-backlog` (Linux only)."""
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


def _make_room_for_clients(config: Config, log: ServerLog) -> None:
    """Reduce maxclients if the machine does not allow enough open files."""
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


def _report_crashes(loop: Loop, log: ServerLog) -> None:
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


def _write_pidfile(config: Config, log: ServerLog) -> None:
    config.pidfile = config.pidfile or "/var/run/redis.pid"
    try:
        with open(config.pidfile, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        log("#", f"Failed to write PID file: {error.strerror}")


def _notify_supervisor(config: Config) -> None:
    """Notify systemd that the server is ready (`supervised systemd`, or `auto` under systemd)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or config.supervised not in ("systemd", "auto"):
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"STATUS=Ready to accept connections\nREADY=1\n", address)


__all__ = ["ALLOCATOR", "configure", "main"]
