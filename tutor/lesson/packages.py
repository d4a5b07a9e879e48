"""The package manager of a lesson's machine: the part of apt that installing Redis needs, with Debian's output.

The list of installed packages is a file on the machine, so undo and the journal treat it like every other change.
"""

from collections.abc import Callable

from engine.protocol.version import VERSION

CODENAME = "bookworm"
KEY_URL, REPOSITORY = "https://packages.redis.io/gpg", "https://packages.redis.io/deb"
KEY_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
KEY = f"{KEY_BEGIN}\n\nmQINBA==\n-----END PGP PUBLIC KEY BLOCK-----\n"
KEY_BYTES = b"\x99\x02\r\x04"  # what gpg --dearmor makes of it
KEYRING, SOURCES = "usr~share~keyrings~redis-archive-keyring.gpg", "etc~apt~sources.list.d~redis.list"
LISTS, PROGRAM = "var~lib~apt~lists", "usr~bin~redis-server"
READING = "Reading package lists... Done\n"
PACKAGES = {"redis-server": ("redis-server", "redis-tools"), "redis": ("redis",), "redis-tools": ("redis-tools",)}
RELEASE = f"6:{VERSION}-1rl1~{CODENAME}1"


def curl(words: list[str]) -> str:
    """Return what curl prints. The machines can reach only the address of the repository's key."""
    addresses = [word for word in words if not word.startswith("-")]
    if addresses == [KEY_URL]:
        return KEY
    host = addresses[0].partition("://")[2].partition("/")[0] if addresses else ""
    return f"curl: (6) Could not resolve host: {host}\n" if host else "curl: no URL specified\n"


class Apt:
    """apt-get on one machine; `start` starts the service, as the package does when it is installed."""

    def __init__(
        self,
        read: Callable[[str], bytes | None],
        write: Callable[[str, bytes], None],
        start: Callable[[], object],
    ) -> None:
        self._read, self._write, self._start = read, write, start

    def run(self, words: list[str]) -> str:
        """Return what `apt-get WORDS` prints."""
        names = [word for word in words if not word.startswith("-")]
        if names == ["update"]:
            return self._update()
        if names[:1] == ["install"] and len(names) > 1:
            return self._install(names[1:])
        return "E: this small shell knows only apt-get update and apt-get install PACKAGE\n"

    def _update(self) -> str:
        source = (self._read(SOURCES) or b"").decode(errors="replace")
        if f"{REPOSITORY} {CODENAME} main" not in source:
            return READING
        text = f"Get:1 {REPOSITORY} {CODENAME} InRelease [3,962 B]\n"
        if self._read(KEYRING) == KEY_BYTES and f"/{KEYRING.rpartition('~')[2]}]" in source:
            self._write(LISTS, b"redis\n")
            return text + READING
        reason = "The following signatures couldn't be verified because the public key is not available"
        return (
            f"{text}{READING}W: GPG error: {REPOSITORY} {CODENAME} InRelease: {reason}: NO_PUBKEY 5F4349D6BF53AA0C\n"
        )

    def _install(self, names: list[str]) -> str:
        text = f"{READING}Building dependency tree... Done\n"
        for name in names:
            if name not in PACKAGES or self._read(LISTS) is None:
                return f"{text}E: Unable to locate package {name}\n"
        installed = (self._read(PROGRAM) or b"").decode().split()
        wanted = [each for name in names for each in PACKAGES[name] if each not in installed]
        if "redis" in wanted and "redis-server" not in installed:
            wanted = [*PACKAGES["redis-server"], *wanted]
        if not wanted:
            return f"{text}{names[0]} is already the newest version ({RELEASE}).\n"
        text += f"The following NEW packages will be installed:\n  {' '.join(wanted)}\n"
        text += "".join(f"Setting up {name} ({RELEASE}) ...\n" for name in wanted)
        self._write(PROGRAM, " ".join([*installed, *wanted]).encode())
        if "redis-server" in wanted:
            self._start()
        return text
