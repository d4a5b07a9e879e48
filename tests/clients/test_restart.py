"""DEBUG RESTART: the same process begins anew, as it was first started."""

import os
import time

from tests.clients.ours import serve
from tutor.client import Connection, LinkError

DEADLINE_S = 20.0


def info(port: int) -> dict[str, str]:
    """Return INFO of whoever listens there; nothing while nobody does."""
    try:
        connection = Connection.tcp("127.0.0.1", port)
        text = connection.call("INFO", "server")
        connection.close()
    except LinkError:
        return {}
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


def test_a_server_restarts_in_its_place_with_its_data(tmp_path) -> None:
    with serve("--save", "3600", "1", "--enable-debug-command", "yes", "--dir", str(tmp_path)) as server:
        before = info(server.port)
        client = Connection.tcp("127.0.0.1", server.port)
        client.call("SET", "key", "value")
        client.send([b"DEBUG", b"RESTART", b"10"])
        end = time.monotonic() + DEADLINE_S
        after: dict[str, str] = {}
        while after.get("run_id", before["run_id"]) == before["run_id"] and time.monotonic() < end:
            time.sleep(0.02)
            after = info(server.port)
        assert after["run_id"] != before["run_id"]
        assert after["process_id"] == before["process_id"] == str(server.process.pid)
        client = Connection.tcp("127.0.0.1", server.port)
        assert client.call("GET", "key") == b"value"
        assert os.listdir(tmp_path) == ["dump.rdb"]
        client.close()
