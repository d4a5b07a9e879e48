"""Properties of the process and the machine, for INFO."""

import contextlib
import os
import resource
import sys
import time

from engine.core import ProcessFacts


def process_facts() -> ProcessFacts:
    """Return the process ID, the resident set size in bytes, CPU time in seconds and the name of the system."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    system = os.uname()
    return {
        "pid": os.getpid(),
        "rss": _rss(own.ru_maxrss),
        "cpu_sys": own.ru_stime,
        "cpu_user": own.ru_utime,
        "cpu_sys_children": children.ru_stime,
        "cpu_user_children": children.ru_utime,
        "utc_offset_s": time.localtime().tm_gmtoff,
        "os": f"{system.sysname} {system.release} {system.machine}",
        "arch_bits": 64 if sys.maxsize > 2**32 else 32,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "total_memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "open_files_max": open_files_max(),
        "multiplexing": "epoll" if sys.platform.startswith("linux") else "kqueue",
    }


def open_files_max() -> int | None:
    """Return the maximum number of open files of the process; None if unlimited."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def allow_open_files() -> None:
    """Raise the limit of open files to its maximum, because each client needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _rss(peak: int) -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak if sys.platform == "darwin" else peak * 1024
