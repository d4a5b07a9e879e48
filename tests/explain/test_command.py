"""`redis-tutor explain`, as a user calls it."""

import json
from pathlib import Path

from click.testing import CliRunner

from engine.persistence.rdb.writer import write
from engine.protocol.resp import encode_command
from engine.values.hash import HashValue
from tests.persistence.test_rdb_files import filled
from tutor.commandline import cli


def run(path: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["explain", str(path), *options])
    return result.exit_code, result.output


def test_a_snapshot(tmp_path):
    file = tmp_path / "dump.rdb"
    value = HashValue.of([b"name"], [b"Ann" * 20], 512, 64)
    file.write_bytes(b"".join(write(filled([(0, b"user:1", value, None)]))))
    status, output = run(file)
    assert status == 0
    lines = output.splitlines()
    assert lines[0].startswith("       0  52 45 44 49 53")
    assert "db 0 · user:1" in lines
    assert any("decompressed" in line for line in lines)
    assert any('value: "AnnAnn' in line for line in lines)
    assert "CRC-64" in lines[-1]
    status, output = run(file, "--json")
    told = [json.loads(line) for line in output.splitlines()]
    assert bytes.fromhex("".join(span["hex"] for span in told)) == file.read_bytes()
    assert any("inside" in span for span in told)
    assert len(run(file, "--bytes")[1].splitlines()) > len(lines)


def test_an_append_only_file_and_its_manifest(tmp_path):
    file = tmp_path / "appendonly.aof.1.incr.aof"
    file.write_bytes(encode_command([b"SET", b"k", b"v"]))
    assert "command 1 · db 0 · SET k v" in run(file)[1].splitlines()
    manifest = tmp_path / "appendonly.aof.manifest"
    manifest.write_bytes(b"file appendonly.aof.1.incr.aof seq 1 type i\n")
    assert "increment" in run(manifest)[1]


def test_what_cannot_be_read(tmp_path):
    file = tmp_path / "broken"
    file.write_bytes(b"REDIS0011\x00\x05ab")
    status, output = run(file)
    assert status == 1
    assert "ends in the middle" in output
    status, output = run(tmp_path / "missing")
    assert status == 1
    assert "No such file or directory" in output
