"""A class that is kept in a real Redis or Valkey: the same as in a file, moved between both, and with two hubs."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.classroom.conftest import ServedClass, made
from tests.classroom.test_terminals import COURSE, joined, open_first
from tests.real import Program, RealServer, find_servers, free_port, missing, start_server
from tests.share import EVERYTHING
from tests.waiting import PATIENCE_S, wait_until
from tutor.classroom.redis_store import RedisStore, connector, without_password
from tutor.classroom.store import AnyStore, ClassStore, StoredRecord, StoreError

pytestmark = pytest.mark.long

APPEND_ONLY = ("--appendonly", "yes", "--appendfsync", "everysec")


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def program() -> Program:
    """A server of 7.2 or later."""
    for each in find_servers():
        if each.version >= (7, 2):
            return each
    missing("a real server of 7.2 or later")
    raise AssertionError


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with start_server(*APPEND_ONLY, program=program()) as started:
        yield started


@pytest.fixture
def url(server: RealServer) -> str:
    redis.Redis(port=server.port).flushall()
    return f"redis://127.0.0.1:{server.port}"


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    """A store of either kind."""
    if request.param == "file":
        opened: AnyStore = ClassStore(tmp_path / "store.sqlite3")
    else:
        opened = RedisStore(request.getfixturevalue("url"), "test")
    yield opened
    opened.close()


def record(learner: int, n: int, source: str = "box", **body: object) -> StoredRecord:
    return StoredRecord(learner, source, n, 1000 + n, dict(body))


# -- both stores


def test_a_record_that_arrives_twice_is_stored_once(store: AnyStore) -> None:
    ada = store.add_learner("Ada", "a").result()
    store.append([record(ada.id, 1, row="a"), record(ada.id, 2, row="b")]).result()
    store.append([record(ada.id, 2, row="b"), record(ada.id, 3, row="c"), record(ada.id, 1, "other")]).result()
    rows = [(each.source, each.n, each.body) for each in store.records(ada.id).result()]
    assert rows == [("box", 1, {"row": "a"}), ("box", 2, {"row": "b"}), ("box", 3, {"row": "c"}), ("other", 1, {})]
    assert store.last_numbers().result() == {(ada.id, "box"): 3, (ada.id, "other"): 1}
    assert [each.n for each in store.records().result()] == [1, 2, 3, 1]


def test_learners_their_codes_and_tokens(store: AnyStore) -> None:
    ada = store.add_learner("Ada É ☃", "digest-a").result()
    bob = store.add_learner("Bob", "digest-b", roster=True).result()
    assert (ada.id, bob.id, bob.joined) == (1, 2, 0)
    assert store.learner_of_code("digest-a").result() == ada
    assert store.learner_of_code("digest-b").result().joined
    assert store.learner_of_code("digest-c").result() is None
    store.rename(bob.id, "Robert").result()
    assert [each.name for each in store.learners().result()] == ["Ada É ☃", "Robert"]
    ends = time.time() + 60
    store.add_token("t", "learner", ada.id, ends).result()
    store.add_token("link", "link", None, ends).result()
    store.add_token("board", "teacher", None, ends).result()
    store.add_token("old", "learner", ada.id, time.time() - 1).result()
    assert store.tokens().result()["t"] == ("learner", ada.id, ends)
    assert set(store.tokens().result()) == {"t", "link", "board"}
    store.revoke_all(["link", "teacher"], "board").result()
    assert set(store.tokens().result()) == {"t", "board"}
    store.change_code(ada.id, "digest-d").result()
    assert set(store.tokens().result()) == {"board"}
    assert store.learner_of_code("digest-a").result() is None
    assert store.learner_of_code("digest-d").result().id == ada.id


def test_who_is_forgotten_is_nowhere(store: AnyStore, request: pytest.FixtureRequest) -> None:
    ada, bob = (store.add_learner(name, name).result() for name in ("Adalovelace", "Bob"))
    store.append([record(ada.id, 1, line="SET adaskey 1"), record(bob.id, 1)]).result()
    store.add_token("t", "learner", ada.id, time.time() + 60).result()
    store.forget(ada.id).result()
    assert [each.id for each in store.learners().result()] == [bob.id]
    assert (store.records(ada.id).result(), store.tokens().result()) == ([], {})
    store.append([record(ada.id, 2, line="SET adaskey 2")]).result() if store.shared else None
    if store.shared:  # what another hub had still on the way is not stored either
        client = redis.Redis.from_url(request.getfixturevalue("url"))
        kept = [client.hgetall(f"redis-tutor:{{test}}:{name}") for name in ("learners", "codes", "last", "tokens")]
        assert "Ada" not in str(kept) and list(kept[2]) == [b"2 box"]
        assert not client.exists("redis-tutor:{test}:records:1")
        assert store.records(ada.id).result() == []


def test_settings(store: AnyStore) -> None:
    assert store.setting("open").result() is None
    store.set("open", False).result()
    store.set("open", True, first=True).result()
    assert store.setting("open").result() is False


def test_news_are_what_others_have_done(store: AnyStore, request: pytest.FixtureRequest) -> None:
    other: AnyStore = (
        RedisStore(request.getfixturevalue("url"), "test") if store.shared else ClassStore(store.path)  # type: ignore[union-attr]
    )
    ada = store.add_learner("Ada", "a").result()
    store.append([record(ada.id, 1)]).result()
    store.records().result()
    store.news().result()
    assert store.news().result() is None
    store.append([record(ada.id, 2)]).result()
    assert store.news().result() is None, "what one does oneself is no news"
    other.add_learner("Bob", "b").result()
    other.append([record(ada.id, 3), record(2, 1)]).result()
    other.set("stops", {"x": 1}).result()
    news = store.news().result()
    assert [each.name for each in news.learners] == ["Ada", "Bob"] and news.settings == {"stops": {"x": 1}}
    assert {(each.learner, each.n) for each in news.records} >= {(1, 3), (2, 1)}
    assert store.news().result() is None
    other.close()


def test_a_class_is_moved_whole(tmp_path: Path, url: str) -> None:
    source, target = ClassStore(tmp_path / "one"), RedisStore(url, "test")
    ada = source.add_learner("Ada", "a").result()
    source.add_learner("Bob", "b", roster=True).result()
    source.add_token("t", "learner", ada.id, time.time() + 60).result()
    source.set("join_code", "ABC").result()
    source.append([record(ada.id, n, text="x" * n) for n in range(1, 1200)]).result()
    moved = source.everything().result()
    target.fill(moved).result()
    back = ClassStore(tmp_path / "two")
    back.fill(target.everything().result()).result()
    assert back.everything().result() == moved == target.everything().result()
    assert back.add_learner("Eve", "e").result().id == target.add_learner("Eve", "e").result().id == 3
    with pytest.raises(StoreError, match="already"):
        target.fill(moved).result()
    with pytest.raises(StoreError, match="already"):
        back.fill(moved).result()
    for each in (source, target, back):
        each.close()


# -- addresses and servers


@pytest.mark.parametrize(
    "address, problem",
    [
        ("http://x", "is not the address of a store"),
        ("redis+sentinel://127.0.0.1:1", "needs the name of the master"),
        ("redis+sentinel://127.0.0.1/m", "is not host:port"),
        ("redis+cluster://127.0.0.1:x", "is not host:port"),
        ("redis://127.0.0.1:x", "redis://127.0.0.1:x: "),
    ],
)
def test_addresses_that_are_none(address: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem):
        connector(address)


def test_no_password_is_shown() -> None:
    assert without_password("redis://ada:secret@h:1/0") == "redis://ada:***@h:1/0"
    with pytest.raises(StoreError) as caught:
        RedisStore(f"redis://:secret@127.0.0.1:{free_port()}", "test")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_too_old_or_keeps_nothing(server: RealServer) -> None:
    old = next((each for each in find_servers() if each.version < (7, 2)), None)
    if old is not None:
        with start_server(program=old) as started, pytest.raises(StoreError, match="a class needs"):
            RedisStore(f"redis://127.0.0.1:{started.port}", "test")
    with start_server("--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru", program=program()) as started:
        store = RedisStore(f"redis://127.0.0.1:{started.port}", "test")
        assert any("append-only" in each for each in store.notices) and any(
            "evicts" in each for each in store.notices
        )
        store.add_learner("Ada", "a").result()  # it works all the same
        store.close()


def test_a_class_of_a_newer_version_is_refused(url: str) -> None:
    RedisStore(url, "test").close()
    redis.Redis.from_url(url).set("redis-tutor:{test}:schema", 9)
    with pytest.raises(StoreError, match="newer redis-tutor"):
        RedisStore(url, "test")


def test_by_way_of_sentinels_the_master_is_found_after_a_failover(tmp_path: Path) -> None:
    with start_server(*APPEND_ONLY, program=program()) as one, start_server(*APPEND_ONLY, program=program()) as two:
        redis.Redis(port=two.port).replicaof("127.0.0.1", one.port)
        file, port = tmp_path / "sentinel.conf", free_port()
        file.write_text(
            f"port {port}\ndir {tmp_path}\nsentinel monitor course 127.0.0.1 {one.port} 1\n"
            "sentinel down-after-milliseconds course 500\nsentinel failover-timeout course 4000\n"
        )
        watcher = subprocess.Popen([program().path, str(file), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            sentinel = redis.Redis(port=port, decode_responses=True)

            def replicas() -> int:
                return int(sentinel.sentinel_master("course")["num-slaves"])

            wait_until(lambda: replicas() == 1, "the replica is known", redis.RedisError, TypeError)
            wait_until(lambda: redis.Redis(port=two.port).info()["master_link_status"] == "up", "it follows")
            store = RedisStore(f"redis+sentinel://127.0.0.1:{port}/course/0", "test")
            ada = store.add_learner("Ada", "a").result()
            store.append([record(ada.id, 1)]).result()
            one.process.kill()
            box = [record(ada.id, 1), record(ada.id, 2)]

            def append() -> bool:
                store.append(box).result()
                return True

            wait_until(append, "the other one is the master", StoreError)
            assert [each.n for each in store.records(ada.id).result()] == [1, 2]
            assert redis.Redis(port=two.port).role()[0] in (b"master", "master")
            store.close()
        finally:
            watcher.kill()
            watcher.wait(PATIENCE_S)


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
def test_in_a_cluster_a_class_is_in_one_slot() -> None:
    cluster = ("--cluster-enabled", "yes", *APPEND_ONLY)
    with start_server(*cluster, program=program()) as one, start_server(*cluster, program=program()) as two:
        clients = [redis.Redis(port=each.port) for each in (one, two)]
        clients[0].execute_command("CLUSTER ADDSLOTSRANGE 0 8000")
        clients[1].execute_command("CLUSTER ADDSLOTSRANGE 8001 16383")
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", two.port)
        for each in clients:
            wait_until(
                lambda each=each: str(each.execute_command("CLUSTER INFO")["cluster_state"]) == "ok",
                "the cluster is formed",
            )
        address = f"redis+cluster://127.0.0.1:{one.port},127.0.0.1:{two.port}"
        for name in ("one", "two", "three", "four"):  # in different slots
            store = RedisStore(address, name)
            ada = store.add_learner("Ada", "a").result()
            store.append([record(ada.id, 1)]).result()
            store.set("x", 1).result()
            store.forget(ada.id).result()
            assert store.news().result().learners == []
            store.close()
        assert all(each.dbsize() for each in clients), "classes are on both nodes"


# -- a class


def shared_class(tmp_path: Path, url: str, number: int) -> ServedClass:
    """A hub of a class that other hubs serve as well."""
    return made(tmp_path / f"computer-{number}", f"store: {url}\n")


@contextlib.contextmanager
def two_hubs(tmp_path: Path, url: str) -> Iterator[tuple[ServedClass, ServedClass]]:
    hubs = shared_class(tmp_path, url, 1), shared_class(tmp_path, url, 2)
    try:
        for each in hubs:
            each.begin()
        yield hubs
    finally:
        for each in hubs:
            each.end()


@pytest.mark.long
def test_another_hub_resumes_a_learners_lesson(tmp_path: Path, url: str) -> None:
    with two_hubs(tmp_path, url) as (one, two):

        async def play() -> None:
            async with joined(one, "Traveler") as (browser, page):
                await open_first(page)
                await page.type("ECHO hello\r")
                await page.show('"hello"')
                await page.type("\x1b[19~")
                await page.show("step 2 of 5")
                await page.type("SET traveler 1\r")
                await page.until(lambda: "OK" in page.text().partition("> SET traveler 1")[2], "it is set")
                cookies = {each.key: each.value for each in browser.session.cookie_jar}
                async with two.browser() as other:
                    other.session.cookie_jar.update_cookies(cookies)
                    assert (await other.get("/work"))[0] == 200, "the token is one of the class, not of a hub"
                    began = time.monotonic()
                    async with other.page() as there:
                        await there.show("your commands have been")
                        print(f"resumed after {time.monotonic() - began:.2f} s")
                        await there.show("step 2 of 5")
                        await page.until(lambda: page.told.get("closed") or page.told.get("ended"), "the first ends")
                        await there.type("GET traveler\r")
                        await there.until(lambda: '"1"' in there.text().partition("> GET traveler")[2], "its data")
                        await there.until(lambda: "saved" in there.told, "saved")

        go(play())


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
@pytest.mark.long
def test_the_boards_of_two_hubs_show_one_class(tmp_path: Path, url: str) -> None:
    with two_hubs(tmp_path, url) as (one, two):
        assert one.code == two.code

        async def play() -> None:
            async with (
                one.browser() as first,
                two.browser() as second,
                joined(one, "At one") as (_, page),
                joined(two, "At two") as (_, other),
            ):
                await second.enter_as_teacher(two.link)
                status, _ = await first.post("/teacher/enter", {"token": two.link.partition("#")[2]})
                assert status == 200, "the link of the hub that started last opens a board at each"
                await open_first(page)
                await open_first(other)
                await page.type("ECHO hello\r")
                for board in (first, second):
                    digest = await board.digest(
                        lambda each: (
                            [one["state"] for one in each["learners"]].count("working") == 2
                            and each["tasks"][0]["done"] == 1
                        ),
                        "both learners are seen at work",
                    )
                    assert len(digest["learners"]) == 2
                await second.do("say", text="to everybody everywhere")
                await page.show("to everybody everywhere")
                await other.show("to everybody everywhere")
                await first.do("stop", lesson="what-redis-is", step=0)
                await second.digest(lambda each: each["stops"], "the stop is known at the other hub")
                await other.type("\x1b[19~")
                await other.show("stopped the class")
                await second.do("forget", learner=1)
                await page.until(lambda: page.told.get("signed_out") or page.told.get("closed"), "removed here too")
                await first.digest(lambda each: len(each["learners"]) == 1, "one learner is left")

        go(play())


@pytest.mark.long
def test_while_the_store_is_away_results_wait_on_disk(tmp_path: Path) -> None:
    """The store is killed and comes back; then the hub is killed while it is away, and finds the results again."""
    arguments = [
        program().path,
        "--port",
        str(free_port()),
        "--dir",
        str(tmp_path),
        "--bind",
        "127.0.0.1",
        *APPEND_ONLY,
    ]
    url = f"redis://127.0.0.1:{arguments[2]}"

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        wait_until(redis.Redis.from_url(url).ping, "the store answers", redis.RedisError)
        return process

    def stored() -> list[str]:
        store = RedisStore(url, "test")
        rows = [each.body["row"].get("line") for each in store.records().result() if "row" in each.body]
        store.close()
        return [line for line in rows if line]

    process = start()
    hub = shared_class(tmp_path, url, 1)
    try:
        hub.begin()

        async def play() -> None:
            nonlocal process
            async with hub.browser() as teacher, joined(hub, "Patient") as (_, page):
                await teacher.enter_as_teacher(hub.link)
                await open_first(page)
                await page.type("ECHO before\r")
                await page.show('"before"')
                await page.until(lambda: page.told.get("saved"), "saved")
                process.kill()
                process.wait(PATIENCE_S)
                await page.type("ECHO meanwhile\r")
                await page.show('"meanwhile"')
                await page.until(lambda: page.told.get("trouble") is True, "the learner is told")
                await teacher.digest(lambda each: each["trouble"], "the board tells")
                process = await asyncio.to_thread(start)
                await page.until(lambda: page.told.get("trouble") is False, "it is saved now")
                assert stored() == ["ECHO before", "ECHO meanwhile"]
                process.kill()
                process.wait(PATIENCE_S)
                await page.type("ECHO at-last\r")
                await page.show('"at-last"')
                await page.until(lambda: page.told.get("trouble") is True, "the learner is told")

        go(play())
        hub.kill()
        done = hub.run("class", "serve", "test", "--port", "0")
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Connection refused" in done.stderr
        process = start()
        hub.begin()  # nobody opens a browser
        assert stored() == ["ECHO before", "ECHO meanwhile", "ECHO at-last"]
    finally:
        hub.end()
        process.kill()
        process.wait(PATIENCE_S)


@pytest.mark.skipif(not EVERYTHING, reason="takes long; EVERYTHING=1")
@pytest.mark.long
def test_a_class_is_migrated_there_and_back(own_class: ServedClass, url: str) -> None:
    own_class.begin()

    async def work(text: str, **how: str) -> str:
        async with own_class.browser() as browser:
            if "resume" in how:
                assert (await browser.post("/resume", {"code": how["resume"]}))[0] == 200
                code = how["resume"]
            else:
                code = await browser.join(own_class.code, "Mover")
            async with browser.page() as page:
                await page.until(lambda: COURSE in page.text() or "6379>" in page.text(), "the tutor")
                if COURSE in page.text():
                    await open_first(page)
                await page.show("6379>")
                await page.type(f"ECHO {text}\r")
                await page.show(f'"{text}"')
            return code

    async def lesson() -> None:
        codes.append(await work(f"part-{len(parts)}", **({"resume": codes[0]} if codes else {})))

    codes: list[str] = []
    parts: list[str] = []
    for to in (url, "sqlite"):
        go(lesson())
        parts.append(f"part-{len(parts)}")
        refused = own_class.run("class", "migrate", "test", "--to", to)
        assert refused.returncode == 1 and "is served already" in refused.stderr
        own_class.end()
        done = own_class.run("class", "migrate", "test", "--to", to)
        assert done.returncode == 0 and "1 learners" in done.stdout, done
        again = own_class.run("class", "migrate", "test", "--to", to)
        assert again.returncode == 1 and "is kept there already" in again.stderr
        own_class.begin()
    assert not redis.Redis.from_url(url).dbsize(), "the store was cleared"
    go(lesson())
    own_class.end()
    results = own_class.run("class", "export", "--json").stdout
    assert json.loads(results)[0]["attempts"] == 3
