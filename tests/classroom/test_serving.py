"""`redis-tutor class`: making, serving and removing, TLS, and what goes wrong."""

import asyncio
import shutil
import socket
import sqlite3
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.classroom.browser import Browser
from tests.classroom.conftest import ServedClass, made
from tests.classroom.test_terminals import joined, open_first
from tests.waiting import PATIENCE_S
from tutor.classroom.store import ClassStore, StoredRecord


def refused(own: ServedClass, *options: str) -> str:
    done = own.run("class", "serve", "test", *options)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done
    return done.stderr.removeprefix("redis-tutor: ").strip()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that nobody trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    return cert, key


@pytest.mark.parametrize(
    "name, problem",
    [("test", "already exists"), ("../x", "is not a name"), ("", "is not a name"), ("x" * 41, "is not a name")],
)
def test_names_that_a_class_cannot_have(own_class: ServedClass, name: str, problem: str) -> None:
    done = own_class.run("class", "new", name)
    assert done.returncode == 1 and problem in done.stderr


def test_a_class_that_is_not_there(tmp_path: Path) -> None:
    own = ServedClass(tmp_path / "home")
    assert "there is no class" in own.run("class", "serve").stderr
    assert "there is no class" in own.run("class", "stop", "x").stderr
    assert own.run("class", "list").stdout == ""


@pytest.mark.parametrize(
    "settings, problem",
    [
        ("port: 99999", "port"),
        ("prot: 1", "unknown field `prot`"),
        ("- a", "array"),
        ("a: [", "expected"),
        ("lessons: [no-such-lesson]", "there is no lesson 'no-such-lesson'"),
        ("deadline: 2027-01-01T10:00:00", "has no time zone"),
        ("deadline: soon", "is not a time"),
        ("cert: x.pem", "TLS needs both"),
        ("bind: 203.0.113.9", "cannot listen on 203.0.113.9"),
    ],
)
def test_settings_with_mistakes(own_class: ServedClass, settings: str, problem: str) -> None:
    (own_class.folder / "class.yaml").write_text(settings)
    assert problem in refused(own_class, "--port", "0")


def test_a_port_that_is_taken(own_class: ServedClass) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refused(own_class, "--port", str(port))


def test_certificates_that_cannot_be_used(
    own_class: ServedClass, tmp_path: Path, certificate: tuple[str, str]
) -> None:
    cert, key = certificate
    broken = tmp_path / "broken.pem"
    broken.write_text("nonsense")
    assert "cannot be used" in refused(own_class, "--port", "0", "--cert", str(broken), "--key", key)
    assert "No such file" in refused(own_class, "--port", "0", "--cert", str(tmp_path / "none"), "--key", key)
    assert "TLS needs both" in refused(own_class, "--port", "0", "--cert", cert)


def test_a_store_of_a_newer_version(own_class: ServedClass) -> None:
    ClassStore(own_class.folder / "store.sqlite3").close()
    base = sqlite3.connect(own_class.folder / "store.sqlite3")
    base.execute("PRAGMA user_version=7")
    base.close()
    assert "was written by a newer redis-tutor" in refused(own_class, "--port", "0")


def test_a_class_has_one_hub(served: ServedClass) -> None:
    assert f"is served already at {served.address}" in refused(served, "--port", "0")


def test_with_tls_cookies_are_secure(own_class: ServedClass, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    own_class.begin("--cert", cert, "--key", key)
    address = own_class.address.replace("http", "https")

    async def play() -> None:
        trusted = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=cert))
        async with Browser(address) as browser:
            await browser.session.close()
            browser.session = aiohttp.ClientSession(
                connector=trusted, cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Origin": address}
            )
            async with browser.session.post(
                f"{address}/join", json={"code": own_class.code, "name": "Tls"}
            ) as answer:
                cookie = answer.headers["Set-Cookie"]
                assert cookie.startswith("__Host-redis-tutor-") and "Secure" in cookie
                assert answer.headers["Strict-Transport-Security"]
            status, _ = await browser.post("/leave", {}, Origin=address.replace("https", "http"))
            assert status == 403
            async with browser.page() as page:
                await page.show("lessons done")

    asyncio.run(play())
    assert f"Learners: {address} " in own_class.said and f"Teacher:  {address}/teacher#" in own_class.said


def test_a_learner_is_forgotten(tmp_path: Path) -> None:
    own = made(tmp_path / "home")
    store = ClassStore(own.folder / "store.sqlite3")
    ada = store.add_learner("Ada Lovelace", "code").result()
    store.append([StoredRecord(ada.id, "box", 1, 1, {"row": {"line": "SET adaskey 1"}})]).result()
    store.close()
    home = own.folder / "learners" / str(ada.id)
    home.mkdir(parents=True)
    assert own.run("class", "forget", "Nobody").returncode == 1
    assert own.run("class", "forget", "Ada Lovelace").returncode == 0
    assert not home.exists()
    assert b"adaskey" not in b"".join(path.read_bytes() for path in own.files())


@pytest.mark.long
def test_while_the_store_cannot_write_results_wait(own_class: ServedClass) -> None:
    """Another program holds the store's lock: the learner works on and is told; later everything is stored."""
    own_class.begin()

    async def play() -> None:
        async with own_class.browser() as teacher, joined(own_class, "Waiting") as (_, page):
            await teacher.enter_as_teacher(own_class.link)
            await open_first(page)
            await page.until(lambda: page.told.get("saved"), "the beginning is saved")
            base = sqlite3.connect(own_class.folder / "store.sqlite3", isolation_level=None)
            base.execute("BEGIN IMMEDIATE")
            before = page.told["saved"]
            await page.type("ECHO stored-later\r")
            await page.show('"stored-later"')
            await teacher.digest(lambda each: "locked" in each["trouble"], "the board tells")
            assert page.told["saved"] == before
            await page.until(lambda: page.told.get("trouble") is True, "the learner is told")
            base.execute("ROLLBACK")
            base.close()
            await page.until(lambda: page.told["saved"] > before, "it is saved")
            await page.until(lambda: page.told.get("trouble") is False, "the learner is told")

    asyncio.run(play())
    own_class.end()
    store = ClassStore(own_class.folder / "store.sqlite3")
    lines = [each.body["row"].get("line") for each in store.records().result() if "row" in each.body]
    store.close()
    assert lines.count("ECHO stored-later") == 1


@pytest.mark.long
def test_endless_scripts_in_ten_lessons_leave_the_others_alone(served: ServedClass) -> None:
    async def play() -> None:
        async def spin(number: int, spinning: asyncio.Event) -> None:
            async with joined(served, f"Spinner {number}") as (_, page):
                await open_first(page)
                await page.type('EVAL "while true do end" 0\r')
                await page.show("while true")
                ready.release()
                await spinning.wait()

        ready, over = asyncio.Semaphore(0), asyncio.Event()
        tasks = [asyncio.create_task(spin(number, over)) for number in range(10)]
        for _ in tasks:
            await ready.acquire()
        async with joined(served, "Calm") as (_, page):
            await open_first(page)
            await page.type("ECHO calm\r")
            await page.show('"calm"')
        over.set()
        await asyncio.gather(*tasks)

    asyncio.run(play())
