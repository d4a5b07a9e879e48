"""A lesson's little shell: a dozen commands on a machine of the lesson, played by the tutor.

It is no shell of the learner's computer. It knows the files of its machine's server (its data folder, which is also
/var/lib/redis and /etc/redis here) and its log, and can start, stop and kill that server. Nothing outside can be
read, written or run. Output is like that of the programs whose names it uses, cut down to what lessons need.
"""

import contextlib
import errno
import os
import posixpath
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from engine.protocol.version import VERSION
from tutor.client import Connection, LinkError
from tutor.cluster.options import BadOptionError, ClusterOptions
from tutor.lesson import benchmark, check_aof, cluster_cli, packages, typed
from tutor.lesson.machines import Machines, Place, RealMachine, SimulatedMachine, listens_to_others
from tutor.lesson.model import SERVER_PORT
from tutor.lesson.openssl import Openssl, OpensslError
from tutor.lesson.printed import printed
from tutor.lesson_server.parent import HostError
from tutor.prompt.words import LINE, shorten

LOG, SENTINEL_LOG = "redis-server.log", "redis-sentinel.log"
TEXT_FILES = (".conf", ".log", ".aof", ".manifest")
LONGEST_SLEEP = 5.0
CLI_SECONDS = 10.0
# What redis-cli itself answers, or what has more than one reply: for this it gets a process of its own.
LONG_COMMANDS = (
    "help", "?", "exit", "quit", "shutdown", "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe",
    "sunsubscribe", "monitor", "sync", "psync",
)  # fmt: skip
LARGEST_BYTES = 1 << 26
# The home folder of the user `ubuntu`: its files are in the machine's one folder, with this in front of their names.
HOME_FOLDER, HOME = "/home/ubuntu", "home~ubuntu~"
SYSTEM_FILES = {f"/{path.replace('~', '/')}": path for path in (packages.KEYRING, packages.SOURCES)}
OF_PACKAGE = (
    "redis-cli",
    "redis-server",
    "redis-tutor",
    "redis-benchmark",
    "redis-check-aof",
)  # there when Redis is installed
# redis-cli's options that neither reach another file or server nor run forever; those with a value first.
CLI_VALUES = (
    "-a", "-n", "-r", "-i", "--user", "--pass", "-d", "-D", "--pattern", "--count", "--memkeys-samples", "--sni",
    "--tls-ciphers",
)  # fmt: skip
CLI_FILES = ("--cacert", "--cert", "--key")  # of the machine
CLI_FLAGS = (
    "-x", "-2", "-3", "-e", "--raw", "--no-raw", "--json", "--quoted-json", "--csv", "--bigkeys", "--memkeys",
    "--hotkeys", "--scan", "--pipe", "-v", "--version", "--no-auth-warning", "--quoted-input", "--tls", "--insecure",
)  # fmt: skip
SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
HELP = """\
This is the lesson's small shell, on a machine of the lesson. It knows:
  ls [-l] [FOLDER]  cat FILE  head -n N FILE  tail -n N FILE  wc -c FILE  xxd FILE  grep [-cinv] TEXT FILE
  cp [-r] A B  mv A B  rm [-r] A  scp FILE HOST:[FILE]  echo TEXT >> FILE  truncate -s SIZE FILE
  sed -i 's/OLD/NEW/' FILE  sed -i '/TEXT/d' FILE     (change a line of a file, and delete one)
  systemctl start|stop|restart|status redis-server      pkill -9 redis-server      pull-the-plug
  redis-cli [OPTIONS] COMMAND      printf TEXT | nc HOST PORT      redis-tutor explain FILE      sleep SECONDS
  redis-benchmark [-h HOST] [-c CLIENTS] [-n REQUESTS] [-P NUMBER] [-r KEYS] [-d BYTES] [-t TESTS | COMMAND] [-q]
  redis-check-aof [--fix] FILE      openssl req|x509|verify OPTIONS (openssl help lists them)
  COMMAND | head, tail, grep, wc      COMMAND > FILE      COMMAND; COMMAND      redis-server -v
The server's files are here (and in /var/lib/redis), its log is redis-server.log. /home/ubuntu is a folder of yours.
On a Sentinel's machine the server is redis-sentinel: sentinel.conf, redis-sentinel.log, redis-cli -p 26379.
"""
COMMANDS = (
    "ls", "cat", "head", "tail", "wc", "xxd", "grep", "cp", "mv", "rm", "scp", "echo", "printf", "truncate", "sudo",
    "systemctl", "pkill", "pull-the-plug", "redis-cli", "redis-server", "nc", "redis-tutor", "sleep", "help", "pwd",
    "hostname", "sed", "tee", "curl", "gpg", "apt-get", "redis-benchmark", "redis-check-aof",
    "openssl",
)  # fmt: skip


PHRASES = (
    "systemctl start redis-server", "systemctl stop redis-server", "systemctl restart redis-server",
    "systemctl status redis-server", "systemctl start redis-sentinel", "pkill -9 redis-sentinel",
    "pkill -9 redis-server", "redis-tutor explain ", "redis-cli INFO ",
)  # fmt: skip


class _Failed(Exception):  # noqa: N818
    """What a command says when it cannot do it."""


class Shell:
    """The shell of one machine. `run` returns what a command line prints."""

    def __init__(self, machines: Machines, name: str) -> None:
        self._machines, self._name = machines, name

    @property
    def machine(self) -> SimulatedMachine | RealMachine:
        """The machine."""
        return self._machines.find(self._name)

    @property
    def log(self) -> str:
        """The name of its server's log."""
        return SENTINEL_LOG if self.machine.sentinel else LOG

    @property
    def service(self) -> str:
        """The name of its server."""
        return "redis-sentinel" if self.machine.sentinel else "redis-server"

    @property
    def prompt(self) -> str:
        """The prompt."""
        return f"{self.machine.name}$ "

    def run(self, line: str) -> str:
        """Carry out a line; returns what it prints."""
        line = line.replace("$(lsb_release -cs)", packages.CODENAME)
        line = SUBSTITUTION.sub(lambda found: self._substituted(found[1]), line)
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>&;")
            lexer.whitespace_split = True
            lexer.commenters = "#"
            words = list(lexer)
        except ValueError as error:
            return f"bash: {error}\n"
        text, stage = "", list[str]()
        for word in [*words, ";"]:
            if word not in (";", "&&"):
                stage.append(word)
            elif stage:
                try:
                    text += self._pipeline(stage)
                except (_Failed, HostError) as error:
                    return f"{text}{shorten(str(error), LINE)}\n"
                except (OSError, ValueError) as error:
                    return f"{text}{shorten(stage[0])}: {getattr(error, 'strerror', None) or error}\n"
                stage = []
        return text

    def _substituted(self, command: str) -> str:
        """Return what stands for `$(command)`: what it prints, in one line. redis-cli prints raw replies there."""
        return " ".join(self.run(re.sub(r"^\s*redis-cli\b", "redis-cli --raw", command)).split())

    def _pipeline(self, words: list[str]) -> str:
        target, adds = "", False
        for mark in (">", ">>"):
            if mark in words:
                at = words.index(mark)
                if at + 2 != len(words):
                    raise _Failed(f"bash: syntax error near `{mark}'")
                target, adds, words = words[at + 1], mark == ">>", words[:at]
        if any(word and set(word) <= set("|<>&;") and word != "|" for word in words):
            raise _Failed("bash: this small shell knows |, ;, > and >> only (help lists its commands)")
        text: str | None = None
        stage: list[str] = []
        for word in [*words, "|"]:
            if word != "|":
                stage.append(word)
                continue
            if not stage:
                if len(words) == 0:
                    return ""
                raise _Failed("bash: syntax error near unexpected token `|'")
            text = self._command(stage, text)
            stage = []
        if target:
            self._write(target, text or "", adds)
            return ""
        return text or ""

    # -- files

    def _path(self, name: str, command: str) -> str:
        """Return the path of a name in the folder of the lesson's machine, "" for the folder; never outside of it."""
        if name in (f"/var/log/redis/{self.log}", self.log):
            return self.log
        if name in SYSTEM_FILES:
            return SYSTEM_FILES[name]
        if name == HOME_FOLDER or name.startswith(f"{HOME_FOLDER}/"):
            inner = name.removeprefix(HOME_FOLDER).strip("/")
            if "/" in inner or inner in (".", ".."):
                raise _Failed(f"{command}: {name}: No such file or directory")
            return HOME + inner
        for prefix in ("/var/lib/redis/", "/etc/redis/", "/var/lib/redis", "./"):
            if name.startswith(prefix):
                name = name.removeprefix(prefix)
                break
        path = posixpath.normpath(name or ".")
        if name.startswith("/") or path == ".." or path.startswith("../"):
            raise _Failed(f"{command}: {name}: this machine has the server's files only")
        return "" if path == "." else path

    def _inside(self, folder: str) -> list[str]:
        """Return the names in a folder; none if there is no such folder."""
        head = f"{folder}/" if folder and folder != HOME else folder
        names = [path.removeprefix(head) for path in self.machine.files() if path.startswith(head)]
        if not folder:
            names = [name for name in names if "~" not in name]
        return sorted({name.partition("/")[0] for name in names})

    def _is_folder(self, path: str) -> bool:
        return path in ("", HOME) or bool(self._inside(path))

    def _data(self, path: str) -> bytes | None:
        """Return what a file holds, the log included."""
        return self.machine.log() if path == self.log else self.machine.read(path)

    def _read(self, name: str, command: str) -> bytes:
        path = self._path(name, command)
        if self._is_folder(path):
            raise _Failed(f"{command}: {name}: Is a directory")
        data = self._data(path)
        if data is None:
            raise _Failed(f"{command}: {name}: No such file or directory")
        return self.machine.outward(data) if path.endswith(TEXT_FILES) else data

    def _put(self, path: str, data: bytes) -> None:
        """Write a file. Raises OSError."""
        if path == self.log:
            raise PermissionError(errno.EACCES, "Permission denied")
        if not self._is_folder(posixpath.dirname(path)):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self.machine.write(path, data)

    def _write(self, name: str, text: str, adds: bool) -> None:
        path = self._path(name, "bash")
        data = self.machine.inward(text.encode(errors="surrogateescape"))
        if self._is_folder(path):
            raise _Failed(f"bash: {name}: Is a directory")
        try:
            self._put(path, (self._data(path) or b"") + data if adds else data)
        except OSError as error:
            raise _Failed(f"bash: {name}: {error.strerror}") from error

    def _command(self, words: list[str], given: str | None) -> str:
        while words and words[0] == "sudo":
            words = words[1:]
        if not words:
            return ""
        name, *rest = words
        commands: dict[str, Callable[[list[str], str | None], str]] = {
            "ls": self._ls, "cat": self._cat, "head": self._head, "tail": self._tail, "wc": self._wc,
            "xxd": self._xxd, "grep": self._grep, "cp": self._cp, "mv": self._mv, "rm": self._rm,
            "scp": self._scp, "truncate": self._truncate, "systemctl": self._systemctl, "pkill": self._pkill,
            "redis-cli": self._redis_cli, "nc": self._nc, "redis-tutor": self._tutor, "sleep": self._sleep,
            "sed": self._sed, "tee": self._tee, "gpg": self._gpg, "apt-get": self._apt, "apt": self._apt,
            "redis-benchmark": self._benchmark, "redis-check-aof": self._check_aof, "openssl": self._openssl,
        }  # fmt: skip
        if name == "help":
            return HELP
        if name in OF_PACKAGE and not self._installed:
            raise _Failed(f"bash: {name}: command not found")
        if name in ("vim", "vi", "nano", "emacs", "ed"):
            raise _Failed(f"bash: {name}: this small shell has no editor: sed -i 's/OLD/NEW/' FILE changes a line")
        if name == "curl":
            return packages.curl(rest)
        if name == "pwd":
            return "/var/lib/redis\n"
        if name == "redis-server" and set(rest) <= {"-v", "--version"} and rest:
            return f"Redis server v={VERSION} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0000000000000000\n"
        if name == "hostname":
            return f"{self.machine.address if '-I' in rest else self.machine.name}\n"
        if name == "echo":
            return " ".join(rest) + "\n"
        if name == "printf":
            return (rest[0] if rest else "").encode().decode("unicode_escape")
        if name == "pull-the-plug":
            self.machine.cut_power()
            return "(The power failed and is back. The server is not running.)\n"
        if name == "kill":
            raise _Failed("kill: the server's number is not known here: pkill -9 redis-server goes by the name")
        if name not in commands:
            raise _Failed(f"bash: {name}: command not found (help lists what this small shell knows)")
        return commands[name](rest, given)

    def _ls(self, words: list[str], given: str | None) -> str:
        long = any(word.startswith("-") and "l" in word for word in words)
        names = [word for word in words if not word.startswith("-")] or ["."]
        sizes = self.machine.files()
        rows: list[str] = []
        for name in names:
            path = self._path(name, "ls")
            if self._is_folder(path):
                found = {shown: _within(path, shown) for shown in self._inside(path)}
            elif (data := self._data(path)) is not None:
                found, sizes = {name: path}, {**sizes, path: len(data)}
            else:
                raise _Failed(f"ls: cannot access '{name}': No such file or directory")
            rows += [f"{sizes[at]:>8} {shown}" if long and at in sizes else shown for shown, at in found.items()]
        return "".join(f"{row}\n" for row in rows)

    def _cat(self, words: list[str], given: str | None) -> str:
        _, names = _options("cat", words, "", "cat FILE")
        if not names:
            return given or ""
        return "".join(_text(self._read(name, "cat")) for name in names)

    def _some(self, words: list[str], given: str | None, command: str) -> tuple[int, str]:
        count, names = 10, []
        rest = iter(words)
        for word in rest:
            if word in ("-n", "-c"):
                word = next(rest, "10")
                count = int(word) if word.isdigit() else 10
            elif re.fullmatch(r"-n?\d+", word):
                count = int(word.lstrip("-n"))
            elif word.startswith("-") and word != "-":
                raise _Failed(f"{command}: this small shell does not take {word}: {command} -n N FILE")
            else:
                names.append(word)
        text = "".join(_text(self._read(name, command)) for name in names) if names else given or ""
        return count, text

    def _head(self, words: list[str], given: str | None) -> str:
        count, text = self._some(words, given, "head")
        return "".join(text.splitlines(keepends=True)[:count])

    def _tail(self, words: list[str], given: str | None) -> str:
        count, text = self._some(words, given, "tail")
        return "".join(text.splitlines(keepends=True)[-count:])

    def _wc(self, words: list[str], given: str | None) -> str:
        flags, names = _options("wc", words, "clw", "wc -c|-l|-w FILE")
        data = self._read(names[0], "wc") if names else (given or "").encode(errors="surrogateescape")
        number = data.count(b"\n") if "l" in flags else len(data.split()) if "w" in flags else len(data)
        return f"{number} {names[0]}\n" if names else f"{number}\n"

    def _xxd(self, words: list[str], given: str | None) -> str:
        names = [word for word in words if not word.startswith("-") and not word.isdigit()]
        if not names:
            raise _Failed("xxd: which file?")
        data = self._read(names[0], "xxd")[:256]
        rows = []
        for at in range(0, len(data), 16):
            part = data[at : at + 16]
            pairs = " ".join(part[i : i + 2].hex() for i in range(0, len(part), 2))
            shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
            rows.append(f"{at:08x}: {pairs:<39}  {shown}\n")
        return "".join(rows)

    def _grep(self, words: list[str], given: str | None) -> str:
        usage = "grep [-cinvF] TEXT FILE"
        flags, rest = _options("grep", words, "cinvF", usage)
        if not rest:
            raise _Failed(f"grep: {usage}")
        pattern, *names = rest
        # In a basic expression these are themselves, and a star at the beginning as well.
        pattern = re.sub(r"([+?(){}|]|^\*)", r"\\\1", pattern) if "F" not in flags else re.escape(pattern)
        try:
            found = re.compile(pattern, re.I if "i" in flags else 0)
        except re.error as error:
            raise _Failed(f"grep: {error}") from error
        texts = [(name, _text(self._read(name, "grep"))) for name in names] or [("", given or "")]
        rows: list[str] = []
        for name, text in texts:
            where = f"{name}:" if len(names) > 1 else ""
            chosen = [
                (number, row)
                for number, row in enumerate(text.splitlines(), 1)
                if (found.search(row) is None) == ("v" in flags)
            ]
            if "c" in flags:
                rows.append(f"{where}{len(chosen)}\n")
            else:
                rows += [f"{where}{f'{number}:' if 'n' in flags else ''}{row}\n" for number, row in chosen]
        return "".join(rows)

    def _cp(self, words: list[str], given: str | None) -> str:
        self._copy("cp", words)
        return ""

    def _mv(self, words: list[str], given: str | None) -> str:
        for source, target in self._copy("mv", ["-r", *words]):
            if source != target:
                self.machine.remove(source)
        return ""

    def _copy(self, command: str, words: list[str]) -> list[tuple[str, str]]:
        """Copy a file, or a folder with -r; returns what was copied to where."""
        names = [word for word in words if not word.startswith("-")]
        if len(names) != 2:
            raise _Failed(f"{command}: {command} FROM TO")
        source, target = self._path(names[0], command), self._path(names[1], command)
        if source and self._is_folder(source):
            if not any(re.fullmatch(r"-[aprR]*[arR][aprR]*", word) for word in words):
                raise _Failed(f"{command}: -r not specified; omitting directory '{names[0]}'")
            return self._copy_folder(command, source, target)
        return [self._copy_file(command, names[0], source, target)]

    def _copy_folder(self, command: str, source: str, target: str) -> list[tuple[str, str]]:
        if self._is_folder(target):
            target = _within(target, posixpath.basename(source))
        if self._data(target) is not None:
            raise _Failed(f"{command}: cannot overwrite non-directory '{target}' with directory '{source}'")
        if f"{target}/".startswith(f"{source}/"):
            raise _Failed(f"{command}: cannot copy a directory, '{source}', into itself, '{target}'")
        pairs = [
            (path, f"{target}/{path.removeprefix(f'{source}/')}")
            for path in self.machine.files()
            if path.startswith(f"{source}/")
        ]
        for path, copy in pairs:
            self.machine.write(copy, self._data(path) or b"")
        return pairs

    def _copy_file(self, command: str, name: str, source: str, target: str) -> tuple[str, str]:
        data = self._data(source)
        if data is None:
            raise _Failed(f"{command}: cannot stat '{name}': No such file or directory")
        if self._is_folder(target):
            target = _within(target, posixpath.basename(source).removeprefix(HOME))
        self._put(target, data)
        return source, target

    def _rm(self, words: list[str], given: str | None) -> str:
        for name in (word for word in words if not word.startswith("-")):
            path = self._path(name, "rm")
            if self._is_folder(path):
                if not any("r" in word for word in words if word.startswith("-")):
                    raise _Failed(f"rm: cannot remove '{name}': Is a directory")
                for each in self.machine.files():
                    if not path or each.startswith(f"{path}/"):
                        self.machine.remove(each)
            elif path != self.log and self.machine.read(path) is not None:
                self.machine.remove(path)
            else:
                raise _Failed(f"rm: cannot remove '{name}': No such file or directory")
        return ""

    def _scp(self, words: list[str], given: str | None) -> str:
        if len(words) != 2:
            raise _Failed("scp: scp FILE HOST:[FILE]")
        source = self._path(words[0], "scp")
        data = self._data(source)
        if data is None:
            raise _Failed(f"scp: {words[0]}: No such file or directory")
        host, colon, name = words[1].partition(":")
        try:
            other = self._machines.find(host.rpartition("@")[2])
        except LookupError:
            other = None
        if not colon or other is None:
            known = ", ".join(f"{each.name} ({each.address})" for each in self._machines.machines.values())
            raise _Failed(f"scp: no such host: {host} (there are {known}; it is written HOST:)")
        there = Shell(self._machines, other.name)
        target = there._path(name or posixpath.basename(source), "scp")
        if host.startswith("ubuntu@") and name and not target.startswith(HOME):
            raise _Failed(f'scp: dest open "{name}": Permission denied')  # the folder belongs to the user redis
        if there._is_folder(target):
            target = _within(target, posixpath.basename(source))
        there._put(target, data)
        return f"{posixpath.basename(source)}  100%  {len(data)}\n"

    def _truncate(self, words: list[str], given: str | None) -> str:
        if len(words) != 3 or words[0] != "-s" or not re.fullmatch(r"-?\d+", words[1]):
            raise _Failed("truncate: truncate -s SIZE FILE (-s -5 takes the last five bytes away)")
        path = self._path(words[2], "truncate")
        data = self._data(path)
        if data is None:
            raise _Failed(f"truncate: cannot open '{words[2]}': No such file or directory")
        size = int(words[1])
        if size > LARGEST_BYTES:
            raise _Failed(f"truncate: failed to extend '{words[2]}': No space left on device")
        size = max(0, len(data) + size) if size < 0 else size
        self._put(path, data[:size].ljust(size, b"\0"))
        return ""

    def _sed(self, words: list[str], given: str | None) -> str:
        in_place = "-i" in words
        script, *names = [word for word in words if word != "-i"] or [""]
        found = re.fullmatch(r"s(.)(.+?)(?<!\\)\1(.*)\1(g?)|/(.+)/d", script)
        if found is None or (in_place and len(names) != 1):
            raise _Failed("sed: sed -i 's/OLD/NEW/' FILE, or sed -i '/TEXT/d' FILE")
        text = "".join(_text(self._read(name, "sed")) for name in names) if names else given or ""
        pattern = re.sub(r"([+?(){}|])", r"\\\1", found[2] or found[5])  # in a basic expression these are themselves
        rows = text.splitlines(keepends=True)
        try:
            if found[5]:
                rows = [row for row in rows if not re.search(pattern, row.rstrip("\n"))]
            else:
                new, times = found[3].replace(f"\\{found[1]}", found[1]), 0 if found[4] else 1
                rows = [
                    re.sub(pattern.replace(f"\\{found[1]}", found[1]), lambda _: new, row, count=times)
                    for row in rows
                ]
        except re.error as error:
            raise _Failed(f"sed: -e expression #1: {error}") from error
        if not in_place:
            return "".join(rows)
        self._write(names[0], "".join(rows), False)
        return ""

    def _tee(self, words: list[str], given: str | None) -> str:
        for name in (word for word in words if not word.startswith("-")):
            self._write(name, given or "", "-a" in words)
        return given or ""

    def _gpg(self, words: list[str], given: str | None) -> str:
        if "--dearmor" not in words or "-o" not in words[:-1]:
            raise _Failed("gpg: gpg --dearmor -o FILE")
        if packages.KEY_BEGIN not in (given or ""):
            raise _Failed("gpg: no valid OpenPGP data found.")
        self._put(self._path(words[words.index("-o") + 1], "gpg"), packages.KEY_BYTES)
        return ""

    # -- the server

    @property
    def _installed(self) -> bool:
        return self._machines.specs[self.machine.name].installed or self.machine.read(packages.PROGRAM) is not None

    def _apt(self, words: list[str], given: str | None) -> str:
        return packages.Apt(self.machine.read, self.machine.write, self.machine.start).run(words)

    def _systemctl(self, words: list[str], given: str | None) -> str:
        if not words:
            raise _Failed(f"systemctl: systemctl start|stop|restart|status {self.service}")
        action, machine = words[0], self.machine
        unit = words[1].removesuffix(".service") if len(words) > 1 else self.service
        if unit not in (self.service, "redis") and action in ("start", "stop", "restart", "status"):
            raise _Failed(f"Failed to {action} {unit}.service: Unit {unit}.service not found.")
        if action == "daemon-reload":
            return ""
        if not self._installed:
            raise _Failed(f"Unit {unit}.service could not be found.")
        if action == "enable" and "--now" not in words:
            return ""
        if action in ("stop", "restart"):
            machine.stop()
        if action in ("start", "restart", "enable"):
            try:
                machine.start()
            except HostError as error:
                raise _Failed(f"Job for {self.service}.service failed.\n{error}") from error
        elif action == "status":
            state = "active (running)" if machine.running else "inactive (dead)"
            return f"{self.service}.service - Advanced key-value store\n     Active: {state}\n"
        elif action != "stop":
            raise _Failed(f"Unknown command verb {action}.")
        return ""

    def _pkill(self, words: list[str], given: str | None) -> str:
        if self.service not in words:
            raise _Failed(f"pkill: there is only {self.service} here")
        if "-9" in map(typed.signal, words):
            self.machine.kill()
        else:
            self.machine.stop()
        return ""

    def _sleep(self, words: list[str], given: str | None) -> str:
        try:
            seconds = float(words[0])
        except (IndexError, ValueError) as error:
            raise _Failed("sleep: how many seconds?") from error
        self.machine.pass_time(max(0.0, min(LONGEST_SLEEP, seconds)))
        return ""

    def _address(self, host: str, port: str) -> Place:
        found = self.machine.reach(host, int(port) if port.isdigit() else 0)
        for other in self._machines.machines.values():
            if other.address == host and other is not self.machine and not listens_to_others(other):
                found = None
        if found is None:
            raise _Failed(f"Could not connect to Redis at {host}:{port}: Connection refused")
        return found

    def _redis_cli(self, words: list[str], given: str | None) -> str:
        host, port, rest, files = "127.0.0.1", str(SERVER_PORT), list[str](), dict[str, str]()
        todo = list(words)
        cluster, follow = ClusterOptions(), False
        while todo and (todo[0].startswith("-") or cluster.name):
            try:
                if cluster.take(todo):
                    continue
            except BadOptionError as error:
                raise _Failed(str(error) or "redis-cli: --cluster help lists the commands") from error
            word = todo.pop(0)
            if word == "-c":
                follow = True
            elif word == "-h" and todo:
                host = todo.pop(0)
            elif word == "-p" and todo:
                port = todo.pop(0)
            elif word in CLI_VALUES and todo:
                rest += [word, todo.pop(0)]
            elif word in CLI_FILES and todo:
                files[word] = todo.pop(0)
            elif word in CLI_FLAGS:
                rest.append(word)
            else:
                raise _Failed(f"redis-cli: this small shell does not take {word}")
        if cluster.name:
            if files or "--tls" in rest:
                raise _Failed("redis-cli: in this small shell, --cluster does not go with TLS")
            pairs = dict(pairwise(rest))
            cluster.user = pairs.get("--user")
            cluster.password = pairs.get("-a") or pairs.get("--pass")
            return cluster_cli.manage(cluster, self.machine, self._reach, given)
        alone = ("--bigkeys", "--memkeys", "--hotkeys", "--scan", "--pipe", "-x", "-v", "--version")
        if not todo and not any(word in alone for word in rest) and given is None:
            raise _Failed("(For the prompt of redis-cli, use its terminal. Here, add a command.)")
        place = self._address(host, port)
        if todo and not rest and not files and todo[0].lower() not in LONG_COMMANDS and not todo[0].isdigit():
            return self._call(place, todo, follow)
        if follow:
            raise _Failed("redis-cli: in this small shell, -c goes with a single command and no other options")
        if not {"--raw", "--no-raw", "--json", "--csv", "--quoted-json"} & set(rest):
            rest.append("--no-raw")  # as on a terminal
        command = [sys.executable, "-m", "tutor", "cli"]
        command += ["-s", place, *rest] if isinstance(place, str) else ["-h", place[0], "-p", str(place[1]), *rest]
        environment = dict(os.environ)
        root = Path(__file__).resolve().parent.parent.parent
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), environment.get("PYTHONPATH"))))
        with tempfile.TemporaryDirectory(prefix="redis-tutor-") as folder:
            command += self._copied(files, folder)
            command += [self.machine.inward(word.encode()).decode() for word in todo]
            try:
                done = subprocess.run(
                    command,
                    input=(given or "").encode(errors="surrogateescape"),
                    capture_output=True,
                    timeout=CLI_SECONDS,
                    env=environment,
                    cwd="/",
                )
            except subprocess.TimeoutExpired as error:
                raise _Failed("(stopped after ten seconds)") from error
        out = self.machine.outward(done.stderr + done.stdout).decode(errors="replace")
        real = place if isinstance(place, str) else f"{place[0]}:{place[1]}"
        return out.replace(real, f"{host}:{port}").replace("redis-tutor cli", "redis-cli")

    def _copied(self, files: dict[str, str], folder: str) -> list[str]:
        """Return options of redis-cli that name copies of files in a folder; a missing file stays missing."""
        options: list[str] = []
        for option, name in files.items():
            data, copy = self._data(self._path(name, "redis-cli")), os.path.join(folder, option)
            if data is not None:
                Path(copy).write_bytes(data)
            options += [option, copy]
        return options

    def _openssl(self, words: list[str], given: str | None) -> str:
        def write(name: str, data: bytes) -> None:
            try:
                self._put(self._path(name, "openssl"), data)
            except OSError as error:
                raise _Failed(f'Can\'t open "{name}" for writing, {error.strerror}') from error

        try:
            return Openssl(lambda name: self._data(self._path(name, "openssl")), write).run(words)
        except OpensslError as error:
            raise _Failed(str(error)) from error

    def _reach(self, host: str, port: str) -> Place:
        """Return where a server is. Raises LinkError."""
        try:
            return self._address(host, port)
        except _Failed:
            raise LinkError("Connection refused") from None

    def _call(self, place: Place, words: list[str], follow: bool) -> str:
        """Return what redis-cli prints for a command without options: the same code, without a process of its own."""
        argv = cluster_cli.inward_words(self.machine, [word.encode(errors="surrogateescape") for word in words])
        try:
            if follow:
                argv, reply = cluster_cli.call(self.machine, self._reach, place, argv, follow)
            else:
                with contextlib.closing(_connected(place)) as connection:
                    connection.send(argv)
                    reply = connection.read()
        except LinkError as error:
            return f"Error: {error}\n"
        return self.machine.outward(printed(argv, reply).encode(errors="surrogateescape")).decode(errors="replace")

    def _benchmark(self, words: list[str], given: str | None) -> str:
        try:
            asked = benchmark.parse(words)
        except benchmark.BadOptionsError as error:
            raise _Failed(str(error)) from error
        place = self._address(asked.host, asked.port)
        return self.machine.outward(benchmark.run(asked, lambda: _connected(place)).encode()).decode()

    def _check_aof(self, words: list[str], given: str | None) -> str:
        names = [word for word in words if word != "--fix"]
        if len(names) != 1 or names[0].startswith("-"):
            raise _Failed(check_aof.USAGE)

        def read(name: str) -> bytes | None:
            path = self._path(name, "redis-check-aof")
            if self._is_folder(path):
                raise _Failed(f"Cannot open file {name}: Is a directory")
            return self._data(path)

        found = check_aof.check(names[0], read, "--fix" in words)
        for name, data in found.cut.items():
            self._put(self._path(name, "redis-check-aof"), data)
        return found.text

    def _nc(self, words: list[str], given: str | None) -> str:
        names = [word for word in words if not word.startswith("-")]
        if len(names) != 2:
            raise _Failed("nc: nc HOST PORT")
        place = self._address(*names)
        try:
            with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as sock:
                sock.settimeout(5)
                sock.connect(place)
                sock.sendall((given or "").encode(errors="surrogateescape"))
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
                data = b""
                with contextlib.suppress(OSError):
                    while part := sock.recv(65536):
                        data += part
        except OSError as error:
            raise _Failed(f"nc: {error.strerror or error}") from error
        return _text(self.machine.outward(data))

    def _tutor(self, words: list[str], given: str | None) -> str:
        if len(words) < 2 or words[0] != "explain":
            raise _Failed("redis-tutor: redis-tutor explain FILE")
        from tutor.explain.files import lines_of, spans_of

        data = self._read(words[-1], "redis-tutor explain")
        lines = lines_of(spans_of(data, words[-1]), "--bytes" in words)
        return "".join(f"{line}\n" for line in lines)


def _connected(place: Place) -> Connection:
    """Return a connection to a server. Raises LinkError."""
    if isinstance(place, str):
        return Connection.unix(place, timeout=CLI_SECONDS)
    return Connection.tcp(*place, timeout=CLI_SECONDS)


def _options(command: str, words: list[str], known: str, usage: str) -> tuple[str, list[str]]:
    """Return the letters of options and the other words. An option that is not known is refused, not ignored."""
    letters, rest = "", list[str]()
    for at, word in enumerate(words):
        if word == "--":
            return letters, [*rest, *words[at + 1 :]]
        if word == "-" or not word.startswith("-"):
            rest.append(word)
        elif set(word[1:]) <= set(known):
            letters += word[1:]
        else:
            raise _Failed(f"{command}: this small shell does not take {word}: {usage}")
    return letters, rest


def _within(folder: str, name: str) -> str:
    """Return the path of a name in a folder."""
    return HOME + name if folder == HOME else f"{folder}/{name}".lstrip("/")


def _text(data: bytes) -> str:
    """Return bytes as a terminal shows them: line ends as such, what cannot be shown as dots."""
    text = data.replace(b"\r\n", b"\n").decode(errors="replace")
    return "".join(each if each.isprintable() or each == "\n" else "." for each in text)
