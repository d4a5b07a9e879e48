"""Facts of the process and the machine that INFO reports."""

import os
import platform
import resource
import sys
from typing import Any


def process_facts() -> dict[str, Any]:
    """Return pid, resident set size in bytes, CPU seconds and what the system is called."""
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
        "os": f"{system.sysname} {system.release} {system.machine}",
        "arch_bits": 64 if sys.maxsize > 2**32 else 32,
        "python": platform.python_version(),
        "executable": sys.executable,
        "total_memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "multiplexing": "epoll" if sys.platform.startswith("linux") else "kqueue",
    }


def _rss(peak: int) -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak if sys.platform == "darwin" else peak * 1024
