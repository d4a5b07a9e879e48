"""DEBUG RESTART: the same process begins anew, as it was first started."""

import os

from tests.clients.ours import serve
from tests.waiting import wait_until
from tutor.client import Connection, LinkError


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
    with serve(
        "--save", "3600", "1", "--enable-debug-command", "yes", "--dir", str(tmp_path), forked=False
    ) as server:
        before = info(server.port)
        client = Connection.tcp("127.0.0.1", server.port)
        client.call("SET", "key", "value")
        client.send([b"DEBUG", b"RESTART", b"10"])

        def restarted() -> dict[str, str]:
            found = info(server.port)
            return found if found.get("run_id", before["run_id"]) != before["run_id"] else {}

        after = wait_until(restarted, "another run of the server")
        assert after["process_id"] == before["process_id"] == str(server.process.pid)
        client = Connection.tcp("127.0.0.1", server.port)
        assert client.call("GET", "key") == b"value"
        assert os.listdir(tmp_path) == ["dump.rdb"]
        client.close()
