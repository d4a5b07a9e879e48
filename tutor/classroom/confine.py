"""What a learner's process may do on the machine of the hub.

Every process of a learner inherits this: it is applied before the tutor starts. Limits on memory, files and disk come
from `setrlimit`. On Linux with Landlock, the process can open the program's files, and write nothing outside its own
folders: not the store, not another learner's folder. (Landlock is a system call without a function in Python.)
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NICE = 5  # the hub comes first
FILES = 256
_MB = 1 << 20
_M_ARENA_MAX = -8  # of mallopt(3)

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15}  # how many rights on files each version knows
_SCOPES = 3  # abstract Unix sockets and signals stay among the learner's own processes
_IOCTL_DEV = 1 << 15
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | _IOCTL_DEV


@dataclass(frozen=True, slots=True)
class Limits:
    """What each process of a learner may use."""

    memory_mb: int
    disk_mb: int


def limit(limits: Limits) -> None:
    """Limit this process and all that it will start."""
    with contextlib.suppress(AttributeError, OSError):
        # At its limit, glibc's malloc tries to make another arena for every block, which takes a thousand times as
        # long: a script with a growing table was not refused for minutes. With one arena it fails at once.
        _libc().mallopt(_M_ARENA_MAX, 1)
    wanted = {
        resource.RLIMIT_DATA: limits.memory_mb * _MB,
        resource.RLIMIT_NOFILE: FILES,
        resource.RLIMIT_FSIZE: limits.disk_mb * _MB,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.getrlimit(kind)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))
    with contextlib.suppress(OSError):
        os.nice(NICE)
    os.umask(0o077)


def reset_signals() -> None:
    """Have signals end this process, also where the hub was started with `nohup`, which ignores SIGHUP."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python has it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit fails with an error
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def program_paths() -> list[Path]:
    """Return what the tutor reads: Python, its packages, and the program."""
    root = Path(__file__).resolve().parents[2]
    found = [Path(each) for each in (sys.prefix, sys.base_prefix, sys.exec_prefix, "/usr", "/lib", "/lib64", "/etc")]
    found += [Path(each) for each in ("/bin", "/proc", "/sys/devices/system/cpu", "/run/systemd/resolve")]
    found += [root / name for name in ("engine", "tutor", "lessons")]
    found += [Path(each) for each in sys.path if "site-packages" in each or "dist-packages" in each]
    return [each for each in dict.fromkeys(path.resolve() for path in found) if each.exists()]


def landlock_version() -> int:
    """Return the version of Landlock that this system has; 0: none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION)))


def restrict_files(own: Sequence[Path], readable: Sequence[Path]) -> bool:
    """Let this process and all that it will start write in `own` and read `readable`; returns whether it works."""
    version = landlock_version()
    if not version:
        return False
    libc = _libc()
    count = _RIGHTS_BY_VERSION.get(version, 16 if version >= 5 else 15)
    every = (1 << count) - 1
    attributes = struct.pack("=QQQ", every, 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if rules < 0:
        return False
    try:
        _allow(libc, rules, [Path(__file__).resolve().parents[2]], _READ_DIR)  # Python looks for modules there
        reads = _EXECUTE | _READ_FILE | _READ_DIR
        _allow(libc, rules, readable, reads & every)
        _allow(libc, rules, own, every)
        devices = [Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")]
        _allow(libc, rules, devices, (_READ_FILE | _WRITE_FILE | _READ_DIR | _IOCTL_DEV) & every)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            return False
        return not libc.syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, paths: Sequence[Path], rights: int) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            allowed = rights if path.is_dir() else rights & _ON_FILES
            libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0)
        finally:
            os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
