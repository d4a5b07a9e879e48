"""Programs, executable files and host names, for Sentinel."""

import os
import signal
import socket
import subprocess
from typing import Any

from engine import effects as fx


def resolve(host: str) -> str:
    """Return the first IP address of a host name; raises OSError."""
    try:
        address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]
    except UnicodeError:
        raise OSError(f"{host!r} is no name of a host") from None
    return str(address)


class Programs:
    """The programs that a process has started."""

    def __init__(self) -> None:
        self.children: dict[int, subprocess.Popen[bytes]] = {}

    def run_now(self, effect: fx.Effect) -> Any:
        """Execute an effect of this kind. Returns its result, including an OSError."""
        try:
            return self._run(effect)
        except OSError as error:
            return error

    def _run(self, effect: fx.Effect) -> Any:
        if isinstance(effect, fx.Resolve):
            return resolve(effect.host)
        if isinstance(effect, fx.CheckExecutable):
            if not os.access(effect.path, os.X_OK):
                raise PermissionError(13, "Permission denied", effect.path)
            return None
        if isinstance(effect, fx.Spawn):
            child = subprocess.Popen(effect.argv)
            self.children[child.pid] = child
            return child.pid
        if isinstance(effect, fx.Reap):
            return self._reap()
        assert isinstance(effect, fx.KillProgram)
        if effect.pid in self.children:
            self.children[effect.pid].send_signal(signal.SIGKILL)
        return None

    def _reap(self) -> list[fx.Reaped]:
        ended = []
        for pid, child in list(self.children.items()):
            status = child.poll()
            if status is not None:
                del self.children[pid]
                ended.append(fx.Reaped(pid, max(status, 0), max(-status, 0)))
        return ended


PROGRAM_EFFECTS = (fx.Resolve, fx.CheckExecutable, fx.Spawn, fx.Reap, fx.KillProgram)
