"""The history of a prompt: in memory, and in a file of one line each, as redis-cli keeps it.

Where: `REDISCLI_HISTFILE`, else `~/.rediscli_history`; `/dev/null` means no file. The file is redis-cli's own, in its
form, so that both share one past. Unlike redis-cli, which rewrites the file after every line, lines are appended: two
prompts open at once do not lose each other's. The file is for its owner alone (0600).

What tells a secret is neither remembered nor written: AUTH, ACL SETUSER, CONFIG SET of a password, HELLO … AUTH,
MIGRATE … AUTH, and the sandbox's `:connect` with a password in the address.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from tutor.prompt.words import split_args, to_bytes, to_text

HIDDEN = "(redacted)"  # in place of a secret
SIZE = 1000  # lines kept; redis-cli keeps 100 and cuts the shared file to them when it writes

_SECRET_SETTINGS = {b"masterauth", b"masteruser", b"requirepass", b"tls-key-file-pass", b"tls-client-key-file-pass"}


def dotfile(variable: str, name: str) -> Path | None:
    """Return the file that `variable` names, else `name` in the home folder; None for /dev/null or no home."""
    override = os.environ.get(variable)
    if override:
        return None if override == "/dev/null" else Path(override)
    home = os.environ.get("HOME")
    return Path(home, name) if home else None


def default_path() -> Path | None:
    """Return where redis-cli keeps its history, or None if it keeps none."""
    return dotfile("REDISCLI_HISTFILE", ".rediscli_history")


def is_sensitive(argv: Sequence[bytes]) -> bool:
    """Tell whether a command says a secret, so that it must not be kept."""
    words = [word.lower() for word in argv]
    match words:
        case [b"auth", *_] | [b"acl", b"setuser", *_]:
            return True
        case [b"config", b"set", *pairs]:
            return not _SECRET_SETTINGS.isdisjoint(pairs[::2])
        case [b"hello", _, *options]:
            return _hello_tells(options)
        case [b"migrate", _, _, _, _, _, *options]:
            return _migrate_tells(options)
        case [b":connect", address, *_]:
            return b"@" in address
    return False


_SHELL_SECRETS = re.compile(
    r"((?:\brequirepass|\bmasterauth|\bAUTH|(?<!\S)-a|--pass)\s+)(?:'[^']*'|\"[^\"]*\"|\S+)", re.I
)


def redacted(line: str) -> str:
    """Return a line of a prompt or of a shell as others may see it: without the secrets in it."""
    argv = split_args(line) or []
    skip = 1 if len(argv) > 1 and argv[0].isdigit() else 0
    if is_sensitive(argv[skip:]):
        return f"{to_text(argv[skip])} {HIDDEN}"
    return _SHELL_SECRETS.sub(rf"\1{HIDDEN}", line)


def secrets_of(argv: Sequence[bytes]) -> list[str]:
    """Return the secrets in a command, so that other texts can be searched for them."""
    words, lower = [to_text(word) for word in argv], [word.lower() for word in argv]
    if not is_sensitive(argv):
        return []
    match lower:
        case [b"auth", *_]:
            found = words[1:]
        case [b"acl", b"setuser", *_]:
            found = [word[1:] for word in words[3:] if word[:1] in "><#!"]
        case [b"config", b"set", *_]:
            found = [words[at + 1] for at in range(2, len(words) - 1, 2) if lower[at] in _SECRET_SETTINGS]
        case _:  # HELLO and MIGRATE: the words behind AUTH and AUTH2
            found = [word for at, word in enumerate(words) if {b"auth", b"auth2"} & set(lower[max(0, at - 2) : at])]
    return [word for word in found if len(word) > 3 and word.lower() != "default"]


def _hello_tells(options: list[bytes]) -> bool:
    while options:
        if options[0] == b"auth" and len(options) > 2:
            return True
        if options[0] != b"setname" or len(options) < 2:
            return False
        options = options[2:]
    return False


def _migrate_tells(options: list[bytes]) -> bool:
    for i, word in enumerate(options):
        more = len(options) - 1 - i
        if (word == b"auth" and more >= 1) or (word == b"auth2" and more >= 2):
            return True
        if word == b"keys" and more:
            return False
    return False


class LineHistory:
    """Lines of a prompt, oldest first in `lines`. Without a path they live in memory only.

    A file that cannot be read or written is done without: a prompt works on a read-only disk.
    """

    def __init__(self, path: Path | None = None, size: int = SIZE) -> None:
        self.path = path
        self.size = size
        self.lines: list[str] = []
        if path is not None:
            try:
                data = path.read_bytes()
            except OSError:
                return
            lines = [to_text(line.rstrip(b"\r")) for line in data.split(b"\n") if line]
            self.lines = lines[-size:]
            if len(lines) > 2 * size:
                self._rewrite()

    def add(self, line: str) -> bool:
        """Remember a line and append it to the file; False if it is a secret, empty, or the same as the last."""
        argv = split_args(line)
        if argv:
            skip = 1 if len(argv) > 1 and argv[0].isdigit() else 0
            if is_sensitive(argv[skip:]):
                return False
        line = line.replace("\n", " ")
        if not line or (self.lines and self.lines[-1] == line):
            return False
        self.lines.append(line)
        del self.lines[: -self.size]
        self._append(line)
        return True

    def search(self, text: str, before: int | None = None) -> int | None:
        """Return the place in `lines` of the newest line that contains `text`, before the place `before`."""
        end = len(self.lines) if before is None else before
        for i in range(end - 1, -1, -1):
            if text in self.lines[i]:
                return i
        return None

    def starting_with(self, text: str) -> str | None:
        """Return the newest line that starts with `text` and says more; what a suggestion shows."""
        if not text.strip():
            return None
        return next((line for line in reversed(self.lines) if line.startswith(text) and line != text), None)

    def _append(self, line: str) -> None:
        if self.path is None:
            return
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(to_bytes(line) + b"\n")
        except OSError:
            self.path = None

    def _rewrite(self) -> None:
        assert self.path is not None
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(b"".join([to_bytes(line) + b"\n" for line in self.lines]))
            os.replace(temporary, self.path)
        except OSError:
            self.path = None
