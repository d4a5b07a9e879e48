"""Reading redis.conf and the command line of redis-server.

A file consists of lines of `directive argument …` with Redis's quoting; a command line is converted to such lines and
appended to the file's, so that it overrides the file. This module opens nothing: everything that it needs from the
machine (other files, the working directory) goes through `Surroundings`.

https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

from collections.abc import Collection

from engine.config.directives import Config
from engine.config.kinds import MULTI_ARG, BadValueError, to_bytes, to_str
from engine.protocol.quoting import quote
from engine.protocol.resp import split_args
from engine.protocol.version import VERSION

HZ_MIN = 1
HZ_MAX = 500

_GONE = frozenset((b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands"))


class FatalConfigError(Exception):
    """The server cannot start with this configuration.

    `text` is the message of redis-server: a warning in the log if `logged`, otherwise written to standard error.
    """

    def __init__(self, text: bytes, logged: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.logged = logged


class Surroundings:
    """The access to the machine needed to read a configuration. This one has no files and accepts any directory."""

    def read(self, path: str) -> bytes:
        """Return the contents of a file, or of all files that match a pattern; raises OSError with its filename."""
        raise FileNotFoundError(2, "No such file or directory", path)

    def change_dir(self, path: str) -> str:
        """Change the working directory and return its absolute path; raises OSError."""
        return path

    def check_log(self, path: str) -> None:
        """Check that the log file is writable; raises OSError."""

    def check_user(self, argv: list[bytes]) -> tuple[int, bytes] | None:
        """Return the index of the wrong argument of a `user` line, and why; None if valid. `argv[0]` is `user`."""
        return None

    def command_names(self) -> Collection[bytes] | None:
        """Return the lowercase names of all commands, or None to accept any name in rename-command."""
        return None

    def take_sentinel_line(self, number: int, text: bytes, argv: list[bytes]) -> bool:
        """Parse a `sentinel` line and its number. Returns False if the process is not a Sentinel."""
        return False

    def is_executable(self, path: str) -> bool:
        """Return whether a file is executable."""
        return False

    def resolve(self, host: str) -> str:
        """Return the IP address of a host name; raises OSError."""
        raise OSError(2, "No such host")

    def log(self, level: str, text: str) -> None:
        """Write a line to the log; levels as in `engine.effects.Log`."""


DUPLICATE_USER = b"Duplicate user found. A user can only be defined once in config files"


class _LineError(Exception):
    """The reason why the current line is invalid."""


class ConfigReader:
    """Parses text into a configuration. Directives that were read before an invalid line stay."""

    def __init__(self, config: Config, surroundings: Surroundings) -> None:
        self.config = config
        self.surroundings = surroundings
        self.met: dict[str, None] = {}  # cumulative directives that have replaced their default

    def read(self, text: bytes) -> None:
        """Parse a text; raises `FatalConfigError`."""
        for number, raw in enumerate(_as_c_reads(text).split(b"\n"), 1):
            line = raw.strip(b" \t\r\n")
            if not line or line.startswith(b"#"):
                continue
            argv = split_args(line)
            try:
                if argv is None:
                    raise _LineError(b"Unbalanced quotes in configuration line")
                if argv and argv[0].lower() == b"sentinel":
                    if not self.surroundings.take_sentinel_line(number, line, argv) and len(argv) > 1:
                        raise _LineError(b"sentinel directive while not in sentinel mode")
                elif argv:
                    self._line(argv)
            except (_LineError, BadValueError) as error:
                why = error.text if isinstance(error, BadValueError) else error.args[0]
                raise fatal_line(number, line, why) from None
        self._sane()

    def read_file(self, path: str) -> None:
        """Read a file; raises `FatalConfigError`."""
        self.read(self.text_of(path))

    def text_of(self, path: str) -> bytes:
        """Return the contents of a configuration file; raises `FatalConfigError`."""
        try:
            return self.surroundings.read(path)
        except OSError as error:
            name = to_bytes(str(error.filename or path))
            text = b"Fatal error, can't open config file '%b': %b" % (name, _reason(error))
            raise FatalConfigError(text, logged=True) from None

    def _line(self, argv: list[bytes]) -> None:
        name = argv[0].lower()
        directive = self.config.NAMES.get(name)
        if directive is not None:
            args = argv[1:]
            if not directive.flags & MULTI_ARG:
                if len(args) != 1:
                    raise _LineError(b"wrong number of arguments")
            elif len(args) == 1 and args[0]:
                args = split_args(args[0]) or []
            value = directive.read(args, self.config)
            if directive.name == "dir":
                try:
                    value = self.surroundings.change_dir(value)
                except OSError as error:
                    raise _LineError(_reason(error)) from None
            if directive.cumulative:
                if directive.name in self.met and args != [b""]:
                    value = getattr(self.config, directive.attribute) + value
                self.met[directive.name] = None
            warning = directive.warning(value)
            if warning:
                self.surroundings.log("#", warning)
            setattr(self.config, directive.attribute, value)
        elif name in _GONE and len(argv) == 2:
            pass
        elif name == b"include" and len(argv) == 2:
            self.read_file(to_str(argv[1]))
        elif name == b"rename-command" and len(argv) == 3:
            self._rename(argv[1], argv[2])
        elif name == b"user" and len(argv) >= 2:
            wrong = self.surroundings.check_user([name, *argv[1:]])
            if any(user[0] == argv[1] for user in self.config.users):
                wrong = 1, DUPLICATE_USER
            if wrong is not None:
                raise _LineError(
                    b"Error in user declaration '%b': %b" % (argv[wrong[0]] if wrong[0] else name, wrong[1])
                )
            self.config.users.append(argv[1:])
        elif name == b"loadmodule" and len(argv) >= 2:
            self.config.modules.append(argv[1:])
        elif b"." in name:
            if len(argv) < 2:
                raise _LineError(b"Module config specified without value")
            self.config.module_directives[name] = b" ".join(argv[1:])
        else:
            raise _LineError(b"Bad directive or wrong number of arguments")

    def _rename(self, old: bytes, new: bytes) -> None:
        known = self.surroundings.command_names()
        if known is not None:
            names = dict.fromkeys(known)
            for before, after in [*self.config.renamed_commands, (old.lower(), b"")]:
                if before not in names:
                    raise _LineError(b"No such command in rename-command")
                del names[before]
                if after:
                    names[after] = None
            if new.lower() in names:
                raise _LineError(b"Target command name already exists")
        self.config.renamed_commands.append((old.lower(), new.lower()))

    def _sane(self) -> None:
        """Check dependencies between directives at the end of each text."""
        config = self.config
        if config.logfile:
            try:
                self.surroundings.check_log(config.logfile)
            except OSError as error:
                raise FatalConfigError(_BANNER + b"Can't open the log file: %b\n" % _reason(error)) from None
        if config.cluster_enabled and config.replicaof is not None:
            raise FatalConfigError(_BANNER + b"replicaof directive not allowed in cluster mode\n")
        if config.cluster_enabled and config.databases > 1:
            self.surroundings.log(
                "#",
                f"WARNING: Changing databases number from {config.databases} to 1 since we are in cluster mode",
            )
            config.databases = 1
        config.hz = sane_hz(config.hz)


_BANNER = b"\n*** FATAL CONFIG FILE ERROR (Redis %b) ***\n" % VERSION.encode()


def fatal_line(number: int, line: bytes, why: bytes) -> FatalConfigError:
    """Return the error for a line of the file."""
    return FatalConfigError(
        _BANNER + b"Reading the configuration file, at line %d\n>>> '%b'\n%b\n" % (number, line, why)
    )


def sane_hz(hz: int) -> int:
    """Return `hz` within its limits."""
    return max(HZ_MIN, min(HZ_MAX, hz))


def _reason(error: OSError) -> bytes:
    return to_bytes(error.strerror or str(error))


def _as_c_reads(text: bytes) -> bytes:
    """Drop the rest of each line that contains a NUL byte."""
    if b"\0" not in text:
        return text
    return b"".join(line.partition(b"\0")[0] for line in text.splitlines(keepends=True))


class CommandLine:
    """What the arguments of redis-server request."""

    def __init__(self) -> None:
        self.config_file: str | None = None
        self.stdin = False
        self.options = b""
        self.given = False  # there were any arguments


def parse_command_line(args: list[str]) -> CommandLine:
    """Parse the arguments of `redis-server` (without its name), except `-v` and similar options.

    An argument that starts with `--` is the name of a directive, unless the previous directive still lacks a value;
    the arguments after it are values. `--port 6380` as a single argument is a name and its value.
    """
    result = CommandLine()
    result.given = bool(args)
    position = 0
    if args and not args[0].startswith("-"):
        result.config_file = args[0]
        position = 1
    options = b""
    complete = True  # the last directive has at least one value
    last = len(args) - 1
    for i in range(position, len(args)):
        arg = to_bytes(args[i])
        if arg == b"-" and i in (0, last):
            result.stdin = True
        elif complete and arg.startswith(b"--"):
            options += b"\n" * bool(options) + arg[2:] + b" "
            if len(split_args(arg) or ()) != 1:
                continue
            complete = False
            name = arg.lower()
            if name in (b"--save", b"--sentinel"):
                # Neither needs a value before the next name or at the end.
                before_name = i < last and args[i + 1].startswith("--")
                if before_name:
                    complete = True
                if name == b"--save" and (before_name or i == last):
                    options += b'""'
        else:
            options += quote(arg) + b" "
            complete = True
    result.options = options
    return result


def load_config(
    config: Config, command_line: CommandLine, surroundings: Surroundings, stdin: bytes | None = None
) -> None:
    """Read everything that a command line refers to into a configuration; raises `FatalConfigError`.

    `stdin` is the contents of standard input if the command line asks for it. Later lines override earlier ones: the
    file comes first, then standard input, then the options.
    """
    if not command_line.given:
        return
    reader = ConfigReader(config, surroundings)
    text = b""
    if command_line.config_file is not None:
        text = reader.text_of(command_line.config_file)
    if command_line.stdin:
        surroundings.log("*", "Reading config from stdin")
        text += stdin or b""
    reader.read(text + b"\n" + command_line.options)


def parse(text: bytes, surroundings: Surroundings | None = None) -> Config:
    """Return the configuration that a redis.conf describes; raises `FatalConfigError`."""
    config = Config()
    ConfigReader(config, surroundings or Surroundings()).read(text)
    return config
