"""Lines that nobody means: each is shown shortened, and judging it takes no longer than judging any other line.

Work is counted in calls of functions, which is the same on every machine.
"""

import sys

import pytest

from tutor.lesson.reading import parse_lesson
from tutor.lesson.server import EngineServer
from tutor.lesson.session import Session
from tutor.prompt.words import LINE

LESSON = """---
id: sample
title: Sample
chapter: 2
order: 1
minutes: 5
wrong_idea: none
---

## One

> **Your turn.** Store `Ada` under `user:1`.

<details><summary>x</summary>

```yaml task
check: {key: user:1, value: Ada}
solution: SET user:1 Ada
wrong:
  - try: SET user:1 Bob
    when: {typed: SET user:1 Bob}
    hint: That is Bob.
hints: [Think.]
```

</details>
"""
MOST_CALLS = 12_000  # some 5 ms
LONGEST = LINE + 400  # characters of a sentence

BAD = {
    "a word of 500 kB": "SET user:1 " + "x" * 500_000,
    "a name of 500 kB": "x" * 500_000,
    "250,000 words": "SET " + "x " * 250_000,
    "10,000 keys": "DEL " + " ".join(f"k{i}" for i in range(10_000)),
    "an open quote": 'SET user:1 "' + "x" * 500_000,
    "100,000 spaces": "SET" + " " * 100_000 + "user:1 Bob",
    "leading spaces": " " * 100_000 + "SET user:1 Bob",
    "many spaces": "SET" + " " * 1900 + "user:1",
    "NUL": "SET user:1\0 Ada\0",
    "NUL first": "\0\0SET user:1 Ada",
    "no UTF-8": "SET user:1 \udcff\udcfe",
    "a name that is not UTF-8": "\udcff\udcfe user:1",
    "nested quotes": "SET user:1 " + "\"'\"'" * 450,
    "escaped quotes": 'SET user:1 "' + '\\"' * 900 + '"',
    "open nested quotes": "SET user:1 " + '"\\"' * 600,
    "combining characters": "SET user:1 e" + "\u0301" * 1500,
    "emoji": "SET user:1 👩‍👩‍👧‍👦🇩🇪",
    "an emoji as a name": "👩‍👩‍👧‍👦 user:1 Ada",
    "right to left": "SET مفتاح קוד",
    "an override of the direction": "SET user:1 \u202eadA\u202c",
    "many words": "SET user:1 " + "ab " * 140,
    "digits": "INCRBY user:1 " + "9" * 1900,
    "braces": "SET user:1 " + "{" * 900 + "}" * 900,
    "commas": "XX " + "a," * 900,
    "equal signs": "XX " + "a=" * 900,
    "dots": "r." * 900 + "x(",
    "colons": "XX " + "a:" * 900,
    "foreign letters": "ы" * 1900,
    "foreign words": "SET " + "кей " * 400,
    "a color": "\x1b[31mSET user:1 Ada\x1b[0m",
    "a title": "\x1b]0;title\x07 user:1",
    "a carriage return": "SET user:1\rAda x",
}


@pytest.fixture(scope="module")
def server():
    server = EngineServer(("redis",))
    yield server
    server.close()


@pytest.fixture
def session(server):
    server.renew(("redis",))
    session = Session(parse_lesson(LESSON, "sample.md"), server)
    session.open()
    return session


def calls(run):
    """Return how many functions are called, and the result."""
    count = 0

    def note(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        result = run()
    finally:
        sys.setprofile(before)
    return count, result


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line(name, session):
    line = BAD[name]
    events = session.submit("redis", line)
    attempt = session.state.attempts[-1] if session.state.attempts else None
    looked, hint, why = 0, session.hint().text, session.why()
    if attempt is not None:
        looked, _ = calls(
            lambda: session.advice.observer.note(session.open_task, session.state, session.step, attempt)
        )
    asked, _ = calls(lambda: session.advice.reaction(session.open_task, session.state, session.step))
    assert looked < MOST_CALLS
    assert asked < MOST_CALLS
    told = [event.line for event in events if hasattr(event, "line")]
    told += [event.text for event in events if hasattr(event, "text") and "(error)" not in event.text]
    for text in (*told, hint, why):
        assert len(text) < LONGEST
    for text in (hint, why):
        assert all(each.isprintable() or each in "\n\u200d" for each in text), text


def test_long_lines_do_not_slow_the_next_ones_down(session):
    for line in BAD.values():
        session.submit("redis", line)
    session.submit("redis", "SET user:1 Bob")
    attempt = session.state.attempts[-1]
    count, _ = calls(lambda: session.advice.observer.note(session.open_task, session.state, session.step, attempt))
    assert count < MOST_CALLS
    assert sum(len(word) for each in session.state.attempts for word in each.argv) < 100_000
