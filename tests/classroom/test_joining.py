"""Joining a class, and who may see what: over HTTP, against the real hub."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import aiohttp
import pytest

from tests.classroom.conftest import ServedClass
from tests.waiting import PATIENCE_S

LEARNERS_ROUTES = ["/work", "/socket"]
TEACHERS_ROUTES = ["/board", "/board/contents", "/board/events", "/board/names", "/board/join.svg", "/board/look/1"]


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_learner_joins_leaves_and_resumes_with_the_personal_code(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            status, said = await browser.post("/check", {"code": served.code, "name": "  Ada   L. "})
            assert (status, said) == (200, {"name": "Ada L."})
            resume = await browser.join(served.code.lower().replace("-", " "), "Ada L.")
            assert (await browser.get("/work"))[0] == 200
            assert (await browser.get("/"))[0] == 303, "who has joined goes on"
            assert (await browser.post("/leave", {}))[0] == 200
            assert (await browser.get("/work"))[0] == 303
            browser.session.cookie_jar.clear()
            assert (await browser.post("/resume", {"code": resume}))[0] == 200
            assert (await browser.get("/work"))[0] == 200

    go(play())


def test_a_name_is_taken_once(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser, served.browser() as other:
            await browser.join(served.code, "Grace")
            status, said = await other.post("/join", {"code": served.code, "name": "grace"})
            assert status == 403 and "has the name grace" in said["problem"]

    go(play())


@pytest.mark.parametrize("name", ["", "   ", "\x1b\x00", "x" * 41])
def test_names_that_are_refused(served: ServedClass, name: str) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            assert (await browser.post("/join", {"code": served.code, "name": name}))[0] == 403

    go(play())


def test_a_roster_gives_codes_and_is_never_shown_to_learners(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher, served.browser() as learner, served.browser() as thief:
            await teacher.enter_as_teacher(served.link)
            code = (await teacher.do("add", name="Roster Person"))["code"]
            assert "Roster Person" not in "".join([(await learner.get(path))[1] for path in ("/", "/privacy")])
            status, said = await learner.post("/resume", {"code": code})
            assert (status, said) == (200, {"name": "Roster Person"})
            names = (await teacher.get("/board/names"))[1]
            number = int(re.search(r'"(\d+)": "Roster Person"', names)[1])
            assert (await thief.post("/resume", {"code": code}))[0] == 200, "two devices of one learner"
            fresh = (await teacher.do("unbind", learner=number))["code"]
            assert (await thief.get("/work"))[0] == 303, "undone: signed out"
            assert (await thief.post("/resume", {"code": code}))[0] == 403
            assert (await learner.post("/resume", {"code": fresh}))[0] == 200

    go(play())


def test_joining_can_be_closed_and_the_code_changed(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as teacher, served.browser() as learner:
            await teacher.enter_as_teacher(served.link)
            await teacher.do("open", open=False)
            status, said = await learner.post("/join", {"code": served.code, "name": "Late"})
            assert status == 403 and "takes no new learners" in said["problem"]
            await teacher.do("open", open=True)
            await teacher.do("new code")
            digest = await teacher.digest(lambda each: each["code"] != served.code, "another code")
            assert (await learner.post("/join", {"code": served.code, "name": "Late"}))[0] == 403
            assert (await learner.post("/join", {"code": digest["code"], "name": "Late"}))[0] == 200
            served.said = served.said.replace(served.code, digest["code"])

    go(play())


def test_every_start_ends_the_earlier_link_and_no_open_board(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with own_class.browser() as board, own_class.browser() as late:
            earlier = own_class.link
            await board.enter_as_teacher(earlier)
            own_class.end()
            own_class.begin()
            status, said = await late.post("/teacher/enter", {"token": earlier.partition("#")[2]})
            assert status == 401 and "`redis-tutor class link`" in said["problem"]
            assert (await board.get("/board"))[0] == 200, "the board in front of the class stays open"
            await late.enter_as_teacher(own_class.link)
            assert (await late.do("sign out others"))["boards"] == 1
            assert (await board.get("/board"))[0] == 401
            status, _ = await board.post("/teacher/enter", {"token": own_class.link.partition("#")[2]})
            assert status == 401, "the link has ended as well"
            assert (await late.post("/teacher/leave", {}))[0] == 200
            assert (await late.get("/board"))[0] == 401

    go(play())


def test_a_new_link_from_another_terminal_ends_all_boards(own_class: ServedClass) -> None:
    own_class.begin()

    async def play() -> None:
        async with own_class.browser() as board:
            await board.enter_as_teacher(own_class.link)
            done = await asyncio.to_thread(own_class.run, "class", "link")
            assert done.returncode == 0 and done.stdout.startswith("The earlier link and all open boards have ended.")
            async with asyncio.timeout(PATIENCE_S):
                while (await board.get("/board"))[0] != 401:
                    await asyncio.sleep(0)
            await board.enter_as_teacher(done.stdout.split()[-1])
            assert (await board.get("/board"))[0] == 200

    go(play())
    own_class.end()
    assert "is not served" in own_class.run("class", "link").stdout


# -- trust


def test_without_a_token_nothing_is_seen(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            for path in TEACHERS_ROUTES:
                assert (await browser.get(path))[0] == 401, path
            assert (await browser.get("/work"))[0] == 303
            assert (await browser.get("/socket"))[0] == 401
            for path in ("/board/do", "/records", "/leave"):
                assert (await browser.post(path, {}))[0] == 401, path
            for path in ("/static/../hub.py", "/static/%2e%2e/hub.py", "/static/xterm/../../store.py", "/hub.json"):
                assert (await browser.get(path))[0] == 404, path

    go(play())


def test_a_learners_token_opens_nothing_of_the_teachers(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            await browser.join(served.code, "Mallory")
            cookies = {each.key: each.value for each in browser.session.cookie_jar}
            (name,) = cookies
            browser.session.cookie_jar.update_cookies({name.replace("learner", "teacher"): cookies[name]})
            for path in [*TEACHERS_ROUTES, "/board/screen/1"]:
                assert (await browser.get(path))[0] == 401, path
            assert (await browser.post("/board/do", {"action": "say", "text": "hello"}))[0] == 401
            assert (await browser.post("/teacher/enter", {"token": cookies[name]}))[0] == 401
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await browser.session.ws_connect(served.address.replace("http", "ws") + "/board/screen/1")

    go(play())


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1"])
def test_a_foreign_origin_is_refused(served: ServedClass, origin: str) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            status, _ = await browser.post("/join", {"code": served.code, "name": "X"}, Origin=origin)
            assert status == 403
            await browser.join(served.code, f"Origin {origin}")
            url = served.address.replace("http", "ws") + "/socket"
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await browser.session.ws_connect(url, headers={"Origin": origin})

    go(play())


def test_another_host_is_refused(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", ""):
                assert (await browser.get("/", Host=host))[0] in (400, 421), host
            assert (await browser.get("/", Host=f"localhost:{served.port}"))[0] == 200

    go(play())


def test_wrong_codes_are_soon_refused_unseen(served: ServedClass) -> None:
    """Ten thousand guesses: the tenth is the last that is looked at, until some time has passed."""

    async def play() -> None:
        async with served.browser() as browser:
            problems = set()
            for _ in range(400):
                codes = [browser.post("/join", {"code": "AAAAAA", "name": "G"}) for _ in range(25)]
                problems |= {said["problem"] for status, said in await asyncio.gather(*codes) if status != 200}
            assert any("Too many wrong codes" in each for each in problems)
            status, said = await browser.post("/join", {"code": served.code, "name": "Right"})
            assert status == 403 and "Too many wrong codes" in said["problem"], (
                "a right guess is not looked at either"
            )

    own = ServedClass(served.home, port=0)
    assert own.folder == served.folder
    go(play())
    served.end()
    served.begin()  # counts again from the start


def test_every_page_has_headers_that_keep_other_code_out(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser, served.browser() as teacher:
            await teacher.enter_as_teacher(served.link)
            for who, path in ((browser, "/"), (browser, "/teacher"), (teacher, "/board"), (browser, "/board")):
                async with who.session.get(served.address + path) as answer:
                    policy = answer.headers["Content-Security-Policy"]
                    assert "default-src 'none'; script-src 'self';" in policy
                    assert "frame-ancestors 'none'" in policy
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert answer.headers["Referrer-Policy"] == "no-referrer"
                    assert answer.headers["Cache-Control"] == "no-store"
                    text = await answer.text()
                    assert not re.search(r"<script(?! src)|\son\w+=|style=|https?://(?!www.w3)", text), path

    go(play())


def test_cookies_are_for_the_hub_alone(served: ServedClass) -> None:
    async def play() -> None:
        async with (
            served.browser() as browser,
            browser.session.post(f"{served.address}/join", json={"code": served.code, "name": "Cookie"}) as answer,
        ):
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
            assert "Domain" not in cookie

    go(play())


def test_no_secret_is_stored(served: ServedClass) -> None:
    async def play() -> None:
        async with served.browser() as browser:
            resume = await browser.join(served.code, "Hidden")
            token = next(iter(browser.session.cookie_jar)).value
            teacher = served.link.partition("#")[2]
            for path in served.files():
                data = path.read_bytes()
                for secret in (resume.replace("-", ""), resume, token, teacher):
                    assert secret.encode() not in data, path

    go(play())


@pytest.mark.parametrize("body", ["", "[]", "{", '{"code": 1}', "null", '"x"'])
def test_requests_that_cannot_be_read(served: ServedClass, body: str) -> None:
    async def play() -> None:
        async with (
            served.browser() as browser,
            browser.session.post(
                f"{served.address}/join", data=body, headers={"Content-Type": "application/json"}
            ) as answer,
        ):
            assert answer.status == 400, await answer.text()

    go(play())
