"""What does not hold is told as a compiler does: file, line, what was expected, what came."""

import pytest

from tutor import verify
from tutor.lesson.reading import parse_lesson
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Session

LESSON = """---
id: sample
title: Sample
chapter: 2
order: 1
minutes: 5
wrong_idea: none
---

## One

```redis
127.0.0.1:6379> SET a 1
OK
127.0.0.1:6379> GET a
"1"
```

> **Your turn.** Store 2 under b.

<details><summary>x</summary>

```yaml task
check: {key: b, value: 2}
solution: SET b 2
wrong:
  - try: SET b 3
    hint: That is 3.
hints: [Think.]
```

</details>
"""


@pytest.fixture(scope="module", autouse=True)
def _servers():
    yield
    verify.finish()


def problems(old, new):
    assert old in LESSON
    lesson = parse_lesson(LESSON.replace(old, new), "sample.md")
    return [str(problem) for problem in verify.prove(lesson)[0]]


def test_a_lesson_that_holds():
    assert problems("Sample", "Sample") == []


@pytest.mark.parametrize(
    "old, new, told",
    [
        ('"1"', '"2"',
         'sample.md:15: `GET a` gives another reply\n    expected  "2"\n    came      "1"\n    [this engine]'),
        ("> GET a", "(TX)> GET a", "sample.md:15: the prompt is another one\n    expected  127.0.0.1:6379(TX)> \n"),
        ("SET a 1", "SET b 2", "sample.md:19: the task is done by the example at line 12 already"),
        ("solution: SET b 2", "solution: SET b 4",
         "sample.md:24: the solution does not satisfy the check: `b` exists, but does not hold"),
        ("try: SET b 3", "try: SET b 2", "sample.md:24: the wrong attempt `SET b 2` satisfies the check"),
        ("hint: That is 3.", "when: {key: zz}\n    hint: That is 3.",
         "sample.md:24: the wrong attempt `SET b 3` gets no hint: expected 'That is 3.'"),
        ("[Think.]", "['Try set  B 2!']", "sample.md:24: the hint 'Try set  B 2!' contains the solution `SET b 2`"),
        ('"1"', '"<<number>>"',
         "sample.md:15: the marker <<number>> shows the learner no value: write <<number:VALUE>>"),
        ("hint: That is 3.", "hint: 'No, SET b 2.'", "contains the solution `SET b 2`"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_told(old, new, told):
    found = "\n".join(problems(old, new))
    assert told in found


def test_the_command(capsys, tmp_path, monkeypatch):
    good, bad, broken = tmp_path / "good.md", tmp_path / "bad.md", tmp_path / "broken.md"
    good.write_text(LESSON)
    bad.write_text(LESSON.replace('"1"', '"2"'))
    broken.write_text("nothing")
    monkeypatch.setattr(verify, "find_real_servers", list)
    assert verify.main([str(good)]) == 0
    assert "1 lesson, 2 replies, 1 task, 1 wrong attempt on this engine (no real server found" in (
        capsys.readouterr().out
    )
    assert verify.main([str(good), str(bad), str(broken)]) == 1
    told = capsys.readouterr().out
    assert f"{broken}:1: there is no front matter" in told
    assert f"{bad}:15: `GET a` gives another reply" in told
    assert "2 problems" in told
    assert verify.main(["nosuch"]) == 1
    assert "there is no lesson 'nosuch'" in capsys.readouterr().out


def test_replies_of_redis_7_are_not_compared_with_later_servers():
    lesson = parse_lesson(LESSON.replace('"1"', '"2"').replace("```redis\n", "```redis redis-7\n"), "sample.md")
    told = "`GET a` gives another reply"
    for where, compared in [("this engine", True), ("Redis 7.2.4", True), ("Valkey 8.1.8", False), ("X 10.0", False)]:
        server = EngineServer(lesson.terminals)
        try:
            proof = verify.prove_on(server, lesson, where)
        finally:
            server.close()
        assert any(told in str(problem) for problem in proof.problems) is compared, where


TWO_TERMINALS = (
    LESSON.replace("wrong_idea: none", "wrong_idea: none\nterminals: [boss, worker]")
    .replace("```redis\n", "```redis boss\n")
    .replace("Store 2 under b", "As the boss, store 2 under b")
)


@pytest.mark.parametrize(
    "check, accepted",
    [
        ("check: {key: b, value: 2}", True),
        ("check: [{key: b, value: 2}, {terminal: boss}]", False),
        ("check: [{key: b, value: 2}, {writes: b, terminal: boss}]", False),
    ],
)
def test_the_terminal_that_a_task_names_is_checked(check, accepted):
    text = TWO_TERMINALS.replace("check: {key: b, value: 2}", check)
    told = "the task names the terminal `boss`, and its solution is accepted in `worker` as well"
    assert any(told in str(each) for each in verify.prove(parse_lesson(text, "sample.md"))[0]) is accepted


def test_a_change_in_another_terminal_is_named():
    text = TWO_TERMINALS.replace("{key: b, value: 2}", "[{key: b, value: 2}, {terminal: boss}]")
    lesson = parse_lesson(text, "sample.md")
    server = EngineServer(lesson.terminals)
    session = Session(lesson, server)
    session.open()
    try:
        session.submit("worker", "SET b 2")
        assert session.open_task is not None
        assert "`worker`" in session.hint().text
        session.submit("boss", "GET b")  # which changes nothing
        assert session.open_task is not None
        session.submit("boss", "SET b 2")
        assert session.open_task is None
    finally:
        server.close()


def test_a_reply_of_any_command_is_not_enough():
    told = problems("check: {key: b, value: 2}", "check: {replied: '^OK$'}")
    assert any("other commands may give `OK`, too" in each for each in told)
    assert not any("too: add" in each for each in problems("{key: b, value: 2}", "{typed: SET *, replied: '^OK$'}"))


def test_a_command_that_repeats_its_words_does_not_count_as_a_reply():
    lesson = parse_lesson(LESSON.replace("{key: b, value: 2}", "{replied: 'answer'}"), "sample.md")
    server = EngineServer(lesson.terminals)
    session = Session(lesson, server)
    session.open()
    try:
        session.submit("redis", "PING answer")
        session.submit("redis", "ECHO answer")
        assert session.open_task is not None
        session.submit("redis", "SET b answer")
        session.submit("redis", "GET b")
        assert session.open_task is None
    finally:
        server.close()


def test_what_is_to_be_added_may_not_be_set():
    added = LESSON.replace("Store 2 under b", "Add 2 to b").replace("solution: SET b 2", "solution: INCRBY b 2")
    told = "the task asks to add, and `SET b 2` is accepted"
    text = added.replace("Add 2 to b", "Add some to b").replace("SET b 3", "SET b 4")
    assert any(told in str(each) for each in verify.prove(parse_lesson(text, "sample.md"))[0])
    assert not any(told in str(each) for each in verify.prove(parse_lesson(added, "sample.md"))[0])
    checked = text.replace("check: {key: b, value: 2}", "check: [{key: b, value: 2}, {typed: INCRBY b *}]")
    assert not any(told in str(each) for each in verify.prove(parse_lesson(checked, "sample.md"))[0])
