"""openssl in a lesson's shell, beside the real program."""

import re
import shutil
import subprocess

import pytest

from tests.certificates import issue, issued
from tutor.lesson.openssl import Openssl, OpensslError

REAL = shutil.which("openssl")
MADE = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj"


def ours(files, line):
    try:
        return Openssl(files.get, files.__setitem__).run(line.split())
    except OpensslError as error:
        return f"{error}\n"


@pytest.fixture
def real(tmp_path):
    """The real program, in a folder with files: returns what it prints without dots and details of its source."""
    if REAL is None or not re.match(
        "OpenSSL 3.0", subprocess.run([REAL, "version"], capture_output=True, text=True).stdout
    ):
        pytest.skip("openssl 3.0 is not found")

    def run(files, line):
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        done = subprocess.run(
            [REAL, *line.split()], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        for path in tmp_path.iterdir():
            files[path.name] = path.read_bytes()
        rows = [
            row
            for row in (done.stdout + done.stderr).splitlines()
            if not re.match(r"[.+*]+$|[0-9A-F]{16}:error:", row)
        ]
        return "".join(f"{row}\n" for row in rows)

    return run


def in_order(text):
    """The program prints on two streams, whose lines the shell has in one order."""
    return sorted(row for row in text.splitlines() if row != "-----")  # after the key, which the program makes first


@pytest.mark.parametrize(
    "line",
    [
        "verify -CAfile ca.crt redis.crt",
        "verify -CAfile ca.crt redis.crt web.crt",
        "verify -CAfile stranger.crt redis.crt",
        "verify redis.crt",
        "verify ca.crt",
        "verify -CAfile redis.crt redis.crt",
        "verify -CAfile redis.crt deep.crt",
        "verify -CAfile ca.crt ca.crt",
        "verify -CAfile ca.crt namesake.crt",
        "verify -CAfile none redis.crt",
        "x509 -in redis.crt -noout -subject -issuer -dates",
        "x509 -in long.crt -noout -subject -enddate",
        "x509 -in redis.crt -noout -issuer -subject",
        "x509 -in redis.crt",
        "x509 -in none -noout -subject",
        "x509 -in redis.key -noout -subject",
        "x509 -noout -subject -in",
        f"{MADE} /CN=x -keyout x.key -out x.crt -CA ca.crt -CAkey web.key",
        f"{MADE} /CN=x -keyout x.key -out x.crt -CA ca.crt -CAkey none",
        f"{MADE} CN=x -keyout x.key -out x.crt",
        f"{MADE} /CN=x -keyout x.key -out x.crt -days x",
        f"{MADE} /CN=x -keyout x.key -out x.crt",
        f"{MADE} /CN=x -keyout x.key -out x.crt -days",
        "frob",
    ],
)
def test_the_texts_are_those_of_the_program(real, line):
    files = issued()
    issue(files, "long", subject="/C=CH/ST=Bern/L=Thun/O=A/OU=B/CN=long")
    issue(files, "deep", "-CA", "redis.crt", "-CAkey", "redis.key")
    issue(files, "namesake", subject="/CN=ca")
    issue(files, "namesake", "-CA", "namesake.crt", "-CAkey", "namesake.key", subject="/CN=other")
    assert in_order(ours(dict(files), line)) == in_order(real(files, line))


def test_the_program_accepts_what_is_made_here(real):
    files = issued()
    assert real(files, "verify -CAfile ca.crt web.crt") == "web.crt: OK\n"
    for name in ("web", "redis", "ca"):
        public = [
            real(files, line) for line in (f"x509 -in {name}.crt -noout -pubkey", f"pkey -in {name}.key -pubout")
        ]
        assert public[0] == public[1]


def test_what_is_made_looks_like_the_programs(real):
    files = {}
    for run, prefix in ((ours, "ours"), (real, "real")):
        run(files, f"{MADE} /CN=authority -keyout {prefix}-ca.key -out {prefix}-ca.crt")
        run(
            files,
            f"{MADE} /CN=redis -CA {prefix}-ca.crt -CAkey {prefix}-ca.key -keyout {prefix}.key -out {prefix}.crt",
        )

    def described(name):
        text = real(files, f"x509 -in {name} -noout -text")
        text = re.sub(r"(?<=Validity\n)( +Not .*\n)+", "", text)
        return re.sub(r"(?m)^ *(?:[0-9A-Fa-f]{2}:?)+$|(?<=: )0x.*", "-", text)

    for name in ("-ca.crt", ".crt"):
        assert described(f"ours{name}") == described(f"real{name}")
        assert "CA:TRUE" in described(f"ours{name}")


def test_one_authority_reads_the_files_of_the_other(real):
    files = {}
    real(files, f"{MADE} /CN=authority -keyout ca.key -out ca.crt")
    assert ours(files, f"{MADE} /CN=redis -CA ca.crt -CAkey ca.key -keyout redis.key -out redis.crt") == "-----\n"
    assert (
        real(files, "verify -CAfile ca.crt redis.crt")
        == ours(files, "verify -CAfile ca.crt redis.crt")
        == "redis.crt: OK\n"
    )


def test_a_key_can_be_used_again():
    files = issued()
    assert ours(files, "req -x509 -key web.key -subj /CN=again -out again.crt -CA ca.crt -CAkey ca.key") == ""
    assert ours(files, "verify -CAfile ca.crt again.crt") == "again.crt: OK\n"
    assert ours(files, "req -x509 -newkey ec -nodes -subj /CN=shown").startswith(
        "-----\n-----BEGIN CERTIFICATE-----\n"
    )
    assert b"PRIVATE KEY" in files["privkey.pem"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("req -newkey rsa:2048 -nodes -subj /CN=x", "makes certificates, not requests"),
        ("req -x509 -newkey rsa:2048 -subj /CN=x", "add -nodes"),
        ("req -x509 -newkey rsa:2048 -nodes", "add -subj /CN=NAME"),
        ("req -x509 -nodes -subj /CN=x", "which key?"),
        ("req -x509 -newkey rsa:512 -nodes -subj /CN=x", "RSA keys of 1024 to 4096 bits"),
        ("req -x509 -newkey rsa:99999 -nodes -subj /CN=x", "RSA keys of 1024 to 4096 bits"),
        ("req -x509 -newkey dsa:2048 -nodes -subj /CN=x", "of the kinds rsa:2048 and ec"),
        ("req -x509 -newkey ec -nodes -subj /CN=x -CA ca.crt", "add -CAkey FILE"),
        ("req -x509 -newkey ec -nodes -subj /XX=x", "does not know this subject"),
        ("req -x509 -newkey ec -nodes -subj /C=Switzerland", "does not know this subject"),
        ("req -x509 -newkey ec -nodes -subj /CN=x -days 0", "for 1 to 36500 days"),
        ("req -x509 -key none -subj /CN=x", "Could not open file or uri for loading private key from none"),
        ("req -x509 -key ca.crt -subj /CN=x", "Could not read private key from ca.crt"),
        ("req -x509 -config /etc/passwd", "Unknown option or message digest: config"),
        ("x509 -subject", "which file?"),
        ("verify -CAfile ca.crt", "which certificate?"),
        ("x509 -in ca.crt -noout ca.key", "Use -help for summary."),
        ("", "openssl verify -CAfile FILE CERTIFICATE"),
    ],
)
def test_what_cannot_be_done_is_said(line, said):
    files = issued()
    assert said in ours(files, line)
    assert files == issued(), "and nothing is written"
