"""A lesson's little shell: a dozen commands on a machine of the lesson, played by the tutor.

It is no shell of the learner's computer. It knows the files of its machine's server (its data folder, which is also
/var/lib/redis and /etc/redis here) and its log, and can start, stop and kill that server. Nothing outside can be
read, written or run. Output is like that of the programs whose names it uses, cut down to what lessons need.
"""

import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tutor.course.machines import Machines, OurMachine, RealMachine, listens_to_others
from tutor.host import HostError

LOG = "redis-server.log"
LONGEST_SLEEP = 5.0
LARGEST_BYTES = 1 << 26
# redis-cli's options that neither reach a file or server of their own nor go on for ever; those with a value first.
CLI_VALUES = ("-a", "-n", "-r", "-i", "--user", "--pass", "-d", "-D", "--pattern", "--count", "--memkeys-samples")
CLI_FLAGS = (
    "-x", "-2", "-3", "-e", "--raw", "--no-raw", "--json", "--quoted-json", "--csv", "--bigkeys", "--memkeys",
    "--scan", "--pipe", "-v", "--version", "--no-auth-warning", "--quoted-input",
)  # fmt: skip
HELP = """\
This is the lesson's small shell, on a machine of the lesson. It knows:
  ls [-l] [FOLDER]  cat FILE  head -n N FILE  tail -n N FILE  wc -c FILE  xxd FILE  grep TEXT FILE
  cp A B  mv A B  rm A  scp FILE HOST:[FILE]  echo TEXT >> FILE  truncate -s SIZE FILE
  systemctl start|stop|restart|status redis-server      pkill -9 redis-server      pull-the-plug
  redis-cli [OPTIONS] COMMAND      printf TEXT | nc HOST PORT      redis-tutor explain FILE      sleep SECONDS
  COMMAND | head, tail, grep, wc      COMMAND > FILE      COMMAND; COMMAND
The server's files are here (and in /var/lib/redis), its log is redis-server.log.
"""
COMMANDS = (
    "ls", "cat", "head", "tail", "wc", "xxd", "grep", "cp", "mv", "rm", "scp", "echo", "printf", "truncate", "sudo",
    "systemctl", "pkill", "pull-the-plug", "redis-cli", "nc", "redis-tutor", "sleep", "help", "pwd", "hostname",
)  # fmt: skip


PHRASES = (
    "systemctl start redis-server", "systemctl stop redis-server", "systemctl restart redis-server",
    "systemctl status redis-server", "pkill -9 redis-server", "redis-tutor explain ", "redis-cli INFO ",
)  # fmt: skip


class _Failed(Exception):  # noqa: N818
    """What a command says when it cannot do it."""


class Shell:
    """The shell of one machine. `run` returns what a command line prints."""

    def __init__(self, machines: Machines, name: str) -> None:
        self._machines, self._name = machines, name

    @property
    def machine(self) -> OurMachine | RealMachine:
        """The machine."""
        return self._machines.find(self._name)

    @property
    def prompt(self) -> str:
        """The prompt."""
        return f"{self.machine.name}$ "

    def run(self, line: str) -> str:
        """Carry out a line; returns what it prints."""
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
                    return f"{text}{error}\n"
                except (OSError, ValueError) as error:
                    return f"{text}{stage[0]}: {getattr(error, 'strerror', None) or error}\n"
                stage = []
        return text

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

    def _path(self, name: str, command: str) -> Path:
        """Return where a name of the lesson's machine really is; never outside of it."""
        if name in ("/var/log/redis/redis-server.log", LOG):
            return self.machine.log
        for prefix in ("/var/lib/redis/", "/etc/redis/", "/var/lib/redis", "./"):
            if name.startswith(prefix):
                name = name.removeprefix(prefix)
                break
        path = self.machine.folder / (name or ".")
        root = self.machine.folder.resolve()
        if name.startswith("/") or not path.resolve().is_relative_to(root):
            raise _Failed(f"{command}: {name}: this machine has the server's files only")
        return path

    def _read(self, name: str, command: str) -> bytes:
        path = self._path(name, command)
        if path.is_dir():
            raise _Failed(f"{command}: {name}: Is a directory")
        try:
            return self.machine.outward(path.read_bytes()) if _is_text(path) else path.read_bytes()
        except OSError as error:
            raise _Failed(f"{command}: {name}: {error.strerror}") from error

    def _write(self, name: str, text: str, adds: bool) -> None:
        path = self._path(name, "bash")
        data = self.machine.inward(text.encode(errors="surrogateescape"))
        try:
            with path.open("ab" if adds else "wb") as file:
                file.write(data)
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
        }  # fmt: skip
        if name == "help":
            return HELP
        if name == "pwd":
            return "/var/lib/redis\n"
        if name == "hostname":
            return f"{self.machine.address if '-I' in rest else self.machine.name}\n"
        if name == "echo":
            return " ".join(rest) + "\n"
        if name == "printf":
            return (rest[0] if rest else "").encode().decode("unicode_escape")
        if name == "pull-the-plug":
            self.machine.cut_power()
            return "(the power is gone, and comes back; the server is not started)\n"
        if name == "kill":
            raise _Failed("kill: the server's number is not known here: pkill -9 redis-server goes by the name")
        if name not in commands:
            raise _Failed(f"bash: {name}: command not found (help lists what this small shell knows)")
        return commands[name](rest, given)

    def _ls(self, words: list[str], given: str | None) -> str:
        long = any(word.startswith("-") and "l" in word for word in words)
        names = [word for word in words if not word.startswith("-")] or ["."]
        rows: list[str] = []
        for name in names:
            path = self._path(name, "ls")
            if not path.exists():
                raise _Failed(f"ls: cannot access '{name}': No such file or directory")
            for each in sorted(path.iterdir()) if path.is_dir() else [path]:
                shown = name if each == path else each.name
                rows.append(f"{each.stat().st_size:>8} {shown}" if long and each.is_file() else shown)
        return "".join(f"{row}\n" for row in rows)

    def _cat(self, words: list[str], given: str | None) -> str:
        if not words:
            return given or ""
        return "".join(_text(self._read(word, "cat")) for word in words)

    def _some(self, words: list[str], given: str | None, command: str) -> tuple[int, str]:
        count, names = 10, []
        rest = iter(words)
        for word in rest:
            if word in ("-n", "-c"):
                word = next(rest, "10")
                count = int(word) if word.isdigit() else 10
            elif re.fullmatch(r"-n?\d+", word):
                count = int(word.lstrip("-n"))
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
        names = [word for word in words if not word.startswith("-")]
        data = self._read(names[0], "wc") if names else (given or "").encode(errors="surrogateescape")
        number = data.count(b"\n") if "-l" in words else len(data)
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
        flags = {word for word in words if re.fullmatch(r"-[icE]+", word)}
        rest = [word for word in words if word not in flags]
        if not rest:
            raise _Failed("grep: grep TEXT FILE")
        pattern, *names = rest
        text = "".join(_text(self._read(name, "grep")) for name in names) if names else given or ""
        folded = any("i" in flag for flag in flags)
        rows = [
            row for row in text.splitlines() if (pattern.casefold() in row.casefold() if folded else pattern in row)
        ]
        return f"{len(rows)}\n" if any("c" in flag for flag in flags) else "".join(f"{row}\n" for row in rows)

    def _cp(self, words: list[str], given: str | None) -> str:
        self._copy("cp", words)
        return ""

    def _mv(self, words: list[str], given: str | None) -> str:
        self._copy("mv", words).unlink()
        return ""

    def _copy(self, command: str, words: list[str]) -> Path:
        names = [word for word in words if not word.startswith("-")]
        if len(names) != 2:
            raise _Failed(f"{command}: {command} FROM TO")
        source, target = self._path(names[0], command), self._path(names[1], command)
        if not source.is_file():
            raise _Failed(f"{command}: cannot stat '{names[0]}': No such file or directory")
        if target.is_dir():
            target = target / source.name
        target.write_bytes(source.read_bytes())
        return source

    def _rm(self, words: list[str], given: str | None) -> str:
        for name in (word for word in words if not word.startswith("-")):
            path = self._path(name, "rm")
            if path.is_dir():
                if not any("r" in word for word in words if word.startswith("-")):
                    raise _Failed(f"rm: cannot remove '{name}': Is a directory")
                for each in path.iterdir():
                    each.unlink()
                if path != self.machine.folder:
                    path.rmdir()
            elif path.exists():
                path.unlink()
            else:
                raise _Failed(f"rm: cannot remove '{name}': No such file or directory")
        return ""

    def _scp(self, words: list[str], given: str | None) -> str:
        if len(words) != 2:
            raise _Failed("scp: scp FILE HOST:[FILE]")
        source = self._path(words[0], "scp")
        if not source.is_file():
            raise _Failed(f"scp: {words[0]}: No such file or directory")
        host, colon, name = words[1].partition(":")
        try:
            other = self._machines.find(host.rpartition("@")[2])
        except LookupError:
            other = None
        if not colon or other is None:
            known = ", ".join(f"{each.name} ({each.address})" for each in self._machines.machines.values())
            raise _Failed(f"scp: no such host: {host} (there are {known}; it is written HOST:)")
        target = Shell(self._machines, other.name)._path(name or source.name, "scp")
        if target.is_dir():
            target = target / source.name
        target.write_bytes(source.read_bytes())
        return f"{source.name}  100%  {source.stat().st_size}\n"

    def _truncate(self, words: list[str], given: str | None) -> str:
        if len(words) != 3 or words[0] != "-s" or not re.fullmatch(r"-?\d+", words[1]):
            raise _Failed("truncate: truncate -s SIZE FILE (-s -5 takes the last five bytes away)")
        path = self._path(words[2], "truncate")
        if not path.is_file():
            raise _Failed(f"truncate: cannot open '{words[2]}': No such file or directory")
        size = int(words[1])
        if size > LARGEST_BYTES:
            raise _Failed(f"truncate: failed to extend '{words[2]}': No space left on device")
        os.truncate(path, max(0, path.stat().st_size + size) if size < 0 else size)
        return ""

    # -- the server

    def _systemctl(self, words: list[str], given: str | None) -> str:
        if not words:
            raise _Failed("systemctl: systemctl start|stop|restart|status redis-server")
        action, machine = words[0], self.machine
        if action in ("daemon-reload", "enable"):
            return ""
        if action in ("stop", "restart"):
            machine.stop()
        if action in ("start", "restart"):
            try:
                machine.start()
            except HostError as error:
                raise _Failed(f"Job for redis-server.service failed.\n{error}") from error
        elif action == "status":
            state = "active (running)" if machine.running else "inactive (dead)"
            return f"redis-server.service - Advanced key-value store\n     Active: {state}\n"
        elif action != "stop":
            raise _Failed(f"Unknown command verb {action}.")
        return ""

    def _pkill(self, words: list[str], given: str | None) -> str:
        if "redis-server" not in words:
            raise _Failed("pkill: there is only redis-server here")
        if "-9" in words or "-KILL" in words:
            self.machine.kill()
        else:
            self.machine.stop()
        return ""

    def _sleep(self, words: list[str], given: str | None) -> str:
        try:
            seconds = float(words[0])
        except (IndexError, ValueError) as error:
            raise _Failed("sleep: how many seconds?") from error
        time.sleep(max(0.0, min(LONGEST_SLEEP, seconds)))
        self.machine.waited()
        return ""

    def _address(self, host: str, port: str) -> tuple[str, int]:
        found = self.machine.reach(host, int(port) if port.isdigit() else 0)
        for other in self._machines.machines.values():
            if other.address == host and other is not self.machine and not listens_to_others(other):
                found = None
        if found is None:
            raise _Failed(f"Could not connect to Redis at {host}:{port}: Connection refused")
        return found

    def _redis_cli(self, words: list[str], given: str | None) -> str:
        host, port, rest = "127.0.0.1", "6379", []
        todo = list(words)
        while todo and todo[0].startswith("-"):
            word = todo.pop(0)
            if word == "-h" and todo:
                host = todo.pop(0)
            elif word == "-p" and todo:
                port = todo.pop(0)
            elif word in CLI_VALUES and todo:
                rest += [word, todo.pop(0)]
            elif word in CLI_FLAGS:
                rest.append(word)
            else:
                raise _Failed(f"redis-cli: this small shell does not take {word}")
        alone = ("--bigkeys", "--memkeys", "--scan", "--pipe", "-x", "-v", "--version")
        if not todo and not any(word in alone for word in rest) and given is None:
            raise _Failed("(The prompt of redis-cli is the terminal beside this one. Here it wants a command.)")
        real_host, real_port = self._address(host, port)
        if not {"--raw", "--no-raw", "--json", "--csv", "--quoted-json"} & set(rest):
            rest.append("--no-raw")  # as on a terminal
        command = [sys.executable, "-m", "tutor", "cli", "-h", real_host, "-p", str(real_port), *rest]
        command += [self.machine.inward(word.encode()).decode() for word in todo]
        environment = dict(os.environ)
        root = Path(__file__).resolve().parent.parent.parent
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), environment.get("PYTHONPATH"))))
        try:
            done = subprocess.run(
                command,
                input=(given or "").encode(errors="surrogateescape"),
                capture_output=True,
                timeout=10,
                env=environment,
                cwd=self.machine.folder,
            )
        except subprocess.TimeoutExpired as error:
            raise _Failed("(stopped after ten seconds)") from error
        out = self.machine.outward(done.stderr + done.stdout).decode(errors="replace")
        return out.replace(f"{real_host}:{real_port}", f"{host}:{port}").replace("redis-tutor cli", "redis-cli")

    def _nc(self, words: list[str], given: str | None) -> str:
        names = [word for word in words if not word.startswith("-")]
        if len(names) != 2:
            raise _Failed("nc: nc HOST PORT")
        address = self._address(*names)
        try:
            with socket.create_connection(address, 5) as sock:
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
        from tutor.explain import lines_of, spans_of

        data = self._read(words[-1], "redis-tutor explain")
        lines = lines_of(spans_of(data, words[-1]), "--bytes" in words)
        return "".join(f"{line}\n" for line in lines)


def _is_text(path: Path) -> bool:
    return path.suffix in (".conf", ".log", ".aof", ".manifest")


def _text(data: bytes) -> str:
    """Return bytes as a terminal shows them: line ends as such, what cannot be shown as dots."""
    text = data.replace(b"\r\n", b"\n").decode(errors="replace")
    return "".join(each if each.isprintable() or each == "\n" else "." for each in text)
