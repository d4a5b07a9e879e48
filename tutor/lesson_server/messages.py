"""Messages between the processes of the tutor: pickles, each preceded by its length, with open files beside them.

Both ends are this program.
"""

import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any

DESCRIPTORS_MAX = 8


def send_message(channel: socket.socket, message: Any, descriptors: Sequence[int] = ()) -> None:
    """Send a message with file descriptors. Raises OSError."""
    data = pickle.dumps(message, protocol=5)
    data = struct.pack("!I", len(data)) + data
    if descriptors:
        data = data[socket.send_fds(channel, [data], descriptors) :]
    channel.sendall(data)


def receive_call(channel: socket.socket) -> tuple[Any, list[int]]:
    """Receive a message with its descriptors; raises EOFError when the other end has closed."""
    head, descriptors, _, _ = socket.recv_fds(channel, 4, DESCRIPTORS_MAX)
    if not head:
        raise EOFError
    (size,) = struct.unpack("!I", head + _exactly(channel, 4 - len(head)))
    return pickle.loads(_exactly(channel, size)), descriptors


def receive_message(channel: socket.socket) -> Any:
    """Receive one message; raises EOFError when the other end is gone."""
    (size,) = struct.unpack("!I", _exactly(channel, 4))
    return pickle.loads(_exactly(channel, size))


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = channel.recv(min(1 << 20, size - len(data)))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
