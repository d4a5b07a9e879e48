"""A lesson broken in many ways: each is named with its line and its cure, and nothing else is said."""

# ruff: noqa: E501 (a line each)

import re

import pytest

from tutor import verify
from tutor.lesson.reading import parse_lesson
from tutor.lesson.sources import MAX_BYTES

LESSON = """---
id: first-key
title: Your first key
chapter: 2
order: 99
minutes: 5
wrong_idea: A key has to be created first.
needs: [strings]
servers:
  redis:
    config:
      maxmemory: 2mb
      protected-mode: "no"
terminals: [alice, bob]
---

# Your first key

A [glossary term](../glossary.md#key), [another lesson](02-strings.md), [a heading](#asking).

## Storing

`SET` stores a value under a key.

```redis
127.0.0.1:6379> SET color green
OK
127.0.0.1:6379> DBSIZE
(integer) <<number:1>>
```

> **Predict.** What does `GET shape` answer?
>
> 1. An error
> 2. `(nil)`

<details><summary>What happens</summary>

**Answer: 2.** There is no such key.

```redis bob
127.0.0.1:6379> GET shape
(nil)
```

</details>

## Asking

> **Your turn.** Store `round` under the key `shape`.

<details><summary>Check, hints and solution</summary>

```yaml task
id: shape
setup:
  - SET other 1
check:
  - {key: shape, type: string, value: round}
  - key: shape
    ttl: {min: 1, max: 60}
    terminal: bob
  - typed: SET shape *
    terminal: alice
  - command: STRLEN shape
    at_least: 1
because: The order matters.
solution:
  - SET shape round
  - bob> EXPIRE shape 60
wrong:
  - try: GET shape
    hint: It only reads.
hints:
  - The shape is `SET key value`.
```

</details>

## What you know now

- Keys.
""".replace("    terminal: bob\n", "")

TWO = LESSON + LESSON.partition("## Asking")[2].replace("\n\n## What you know now\n\n- Keys.\n", "")

# What is replaced (its first occurrence), by what, the text whose line is named, and what is said.
BREAKS = [
    # YAML's silent conversions
    ("  - SET shape round", "  - SET shape round # always", "SET shape round #", "solution #1: `# always` is a comment"),
    ("solution:\n  - SET shape round\n  - bob> EXPIRE shape 60", "solution: SET color #f00", "solution:", "is a comment"),
    ('protected-mode: "no"', "protected-mode: no", "protected-mode", 'reads `no` as false: write "no"'),
    ('protected-mode: "no"', "protected-mode: off", "protected-mode", 'reads `off` as false: write "off"'),
    ('protected-mode: "no"', "protected-mode: Yes", "protected-mode", 'reads `Yes` as true: write "Yes"'),
    ('protected-mode: "no"', "protected-mode: false", "protected-mode", "got `bool`"),
    ("maxmemory: 2mb", "maxmemory: 1e3", "maxmemory:", 'reads `1e3` as a number: write "1e3"'),
    ("maxmemory: 2mb", "maxmemory: 010", "maxmemory:", "reads `010` as a number (8)"),
    ("maxmemory: 2mb", "maxmemory: 0x10", "maxmemory:", "reads `0x10` as a number (16)"),
    ("value: round", "value: 2024-05-01", "key: shape, type", "reads `2024-05-01` as a date"),
    ("value: round", "value: 12:30", "key: shape, type", "reads `12:30` as a number (750)"),
    ("value: round", "value: 1_000", "key: shape, type", "reads `1_000` as a number (1000)"),
    ("value: round", "value: null", "key: shape, type", "reads `null` as nothing"),
    ("value: round", "value: ~", "key: shape, type", "reads `~` as nothing"),
    ("title: Your first key", "title:", "title:", "title: has no value"),
    ("title: Your first key", "title: Your first key\ntitle: Again", "title: Again", "title: given twice: first in line 3"),
    ("value: round", "value: round, value: square", "key: shape, type", "given twice"),
    ("value: round", "value: *all", "key: shape, type", "YAML reads `*all` as an anchor"),
    ("hint: It only reads.", "hint: &x It only reads.", "hint: &x", "YAML reads `&x` as an anchor"),
    ("hint: It only reads.", "hint: !It only reads.", "hint: !It", "cannot begin with `!`"),
    ("hint: It only reads.", "hint: `GET` only reads.", "hint: `GET`", "a value that begins with ` needs quotes"),
    ("hint: It only reads.", "hint: Look: it reads.", "hint: Look", "a second `: ` in this line"),
    ("hint: It only reads.", 'hint: "It only reads.', "hint: \"It", "a quote is opened here and never closed"),
    ("needs: [strings]", "needs: [strings", "needs:", "[ … ] is not closed"),
    ("    ttl: {min: 1, max: 60}", "\tttl: {min: 1, max: 60}", "\tttl", "a tab indents this line; use spaces"),
    ("  - SET shape round\n", "  - SET shape\n    round\n", "  - SET shape\n", "two lines are one command"),
    ("value: round", "value: " + "[" * 3000 + "]" * 3000, "key: shape, type", "nested deeper than"),
    # fields
    ("minutes: 5", "minuts: 5", "minuts", "unknown field `minuts`; did you mean `minutes`?"),
    ("minutes: 5", "minutes: 5\nserver: redis", "server: redis", "unknown field `server`; did you mean `servers`?"),
    ("minutes: 5", "minutes: five", "minutes", "minutes: Expected `int`"),
    ("minutes: 5", "minutes: 500", "minutes", "expected 1 to 30"),
    ("order: 99", "order: 010", "order", "reads `010` as a number (8)"),
    ("order: 99", "order: -1", "order", "order: expected 0 or more"),
    ("id: first-key", "id: First Key", "id: First", "is not lower-case words"),
    ("wrong_idea: A key has to be created first.", 'wrong_idea: " "', "wrong_idea", "wrong_idea: is empty"),
    ("hint: It only reads.", 'hint: ""', 'hint: ""', "wrong #1.hint: is empty"),
    ("at_least: 1", "at_leest: 1", "at_leest", "check #4: unknown field `at_leest`; did you mean `at_least`?"),
    ("at_least: 1", "at_least: 5\n    at_most: 2", "at_least: 5", "is greater than at_most"),
    ("type: string", "type: strin", "key: shape, type", "no type is called 'strin'; did you mean `string`?"),
    ("{min: 1, max: 60}", "{min: 60, max: 1}", "ttl:", "min is greater than max"),
    ("{min: 1, max: 60}", "soem", "ttl:", "expected none, some or bounds"),
    ("    terminal: alice", "    terminal: alcie", "alcie", "no terminal 'alcie' in this lesson; did you mean `alice`?"),
    ("    terminal: alice", "    server: redsi", "typed", "`server` says nothing about a `typed`"),
    ("  - key: shape\n", "  - key: shape\n    server: redsi\n", "redsi", "no server 'redsi' in this lesson; did you mean `redis`?"),
    ("  - key: shape\n", "  - key: shape\n    db: 99\n", "db: 99", "there is no database 99"),
    ("  - key: shape\n", "  - key: shape\n    matches: '('\n", "matches: '('", "not a regular expression"),
    ("maxmemory: 2mb", "maxmemori: 2mb", "maxmemori", "no setting `maxmemori`; did you mean `maxmemory`?"),
    ("maxmemory: 2mb", "maxmemory: 2mbb", "2mbb", "Redis refuses `2mbb`"),
    # commands
    ("  - SET shape round", "  - SETT shape round", "SETT", "no command `SETT`; did you mean `SET`?"),
    ("  - SET shape round", "  - SET shape", "  - SET shape\n", "too few or too many arguments"),
    ("  - SET shape round", "  - 'SET shape \"round'", "round'", "its quotes are unbalanced"),
    ("  - bob> EXPIRE shape 60", "  - bbo> EXPIRE shape 60", "bbo>", "no terminal `bbo`; did you mean `bob`?"),
    ("  - SET other 1", "  - CONFIG SAT a b", "SAT", "no subcommand `SAT`; did you mean `SET`?"),
    ("command: STRLEN shape", "command: APPEND shape x", "command: APPEND", "it writes, but a check may only read"),
    ("command: STRLEN shape", "command: STRLEM shape", "command: STRLEM", "no command `STRLEM`; did you mean `STRLEN`?"),
    ("solution:\n  - SET shape round\n  - bob> EXPIRE shape 60", "solution: []", "solution: []", "is empty"),
    ("hints:\n  - The shape is `SET key value`.", "hints: []", "hints: []", "at least one hint"),
    # Markdown
    ("```redis\n127", "```reids\n127", "```reids", "unknown word; did you mean `redis`?"),
    ("```redis bob", "```redis bbo", "```redis bbo", "neither a marker nor a terminal of this lesson"),
    ("```yaml task", "```yaml tsak", "```yaml tsak", "expected ```yaml task"),
    ("```yaml task", "```yml task", "```yml", "unknown word; did you mean `yaml`?"),
    ("```redis\n127", "```\n127", "```\n127", "a transcript without a language"),
    ("(integer) <<number:1>>\n```\n", "(integer) <<number:1>>\n", "```redis\n127.0.0.1:6379> SET", "is never closed"),
    ("  - The shape is `SET key value`.\n```\n", "  - The shape is `SET key value`.\n", "```yaml task", "is never closed"),
    ("<<number:1>>", "<<numbr:1>>", "<<numbr", "unknown marker <<numbr:1>>"),
    ("<<number:1>>", "<<number>>", "> DBSIZE", "shows the learner no value"),
    ("</details>\n\n## Asking", "## Asking", "<details><summary>What", "<details> is never closed"),
    ("</details>\n\n## What", "## What", "<details><summary>Check", "<details> is never closed"),
    ("</details>\n\n## Asking", "</detials>\n\n## Asking", "</detials>", "unknown tag </detials>: did you mean </details>?"),
    ("</details>\n\n## Asking", "</details>\n## Asking", "## Asking", "an empty line is missing above this one"),
    ("happens</summary>\n\n", "happens</summary>\n", "**Answer", "an empty line is missing above this one"),
    ("<details><summary>What happens</summary>\n\n", "", "> **Predict", "needs its <details>"),
    ("## Asking\n", "## Asking\n\n</details>\n", "</details>\n\n> **Your", "closes nothing"),
    ("- Keys.", "<!-- not yet\n\n- Keys.", "<!-- not yet", "the comment <!-- is never closed"),
    ("**Predict.**", "**Predcit.**", "> **Predcit", "did you mean `**Predict.**`?"),
    ("**Your turn.**", "**Your trun.**", "> **Your trun", "did you mean `**Your turn.**`?"),
    ("**Your turn.**", "**Your turn:**", "> **Your turn:", "did you mean `**Your turn.**`?"),
    ("**Your turn.**", "Your turn.", "> Your turn.", "did you mean `**Your turn.**`?"),
    ("**Answer: 2.**", "**Answer: 3.**", "> **Predict", "not the number of an option"),
    ("**Answer: 2.**", "Two.", "> **Predict", "the prediction has no answer"),
    ("> 2. `(nil)`", "> 2. An error", "> **Predict", "is given twice"),
    ("> 2. `(nil)`", "> 3. `(nil)`", "> 3.", "option 3 is number 2 of the list"),
    ("> 2. `(nil)`", "> 2.", "> 2.", "option 2 is empty"),
    ("What does `GET shape` answer?", "", "> **Predict", "asks nothing"),
    ("## Asking", "##Asking", "##Asking", "a heading needs a space"),
    ("## What you know now\n\n- Keys.", "## What you know now", "## What", "is empty"),
    ("## Asking", "# Asking", "# Asking", "a second title: a step begins with ##"),
    ("> **Your turn.** Store", "**Your turn.** Store", "**Your turn", "expected `> ` before each"),
    ("> 1. An error\n> 2. `(nil)`\n", "> 1. An error\n", "> **Predict", "one option is not a choice"),
    ("> 1. An error\n> 2. `(nil)`\n", "1. An error\n2. `(nil)`\n", "> **Predict", "needs its <details>"),
    ("There is no such key.", "So.\n\n<details><summary>x</summary>\n\ny\n\n</details>\n\nMore.", "<details><summary>x", "a <details> inside another"),
    ("127.0.0.1:6379> DBSIZE", "127.0.0.1:6379>DBSIZE", "127.0.0.1:6379>DBSIZE", "is nearly a prompt"),
    ("127.0.0.1:6379> DBSIZE", "127.0.0.1:6379 > DBSIZE", "127.0.0.1:6379 > DBSIZE", "is nearly a prompt"),
    ("title: Your", "title:Your", "title:Your", "a space is missing after the colon"),
    ("needs: [strings]", "needs: strings", "needs: strings", "needs: Expected `array`, got `str`; write a list"),
    ("title: Your first key", "title: 12", "title: 12", "title: Expected `str`, got `int`; put it in quotes"),
    ("    config:", "    address: 172.16.6.999\n    config:", "servers:", "the address '172.16.6.999'"),
    ("(02-strings.md)", "(02 strings.md)", "A [glossary", "contains a space"),
    # references
    ("chapter: 2", "chapter: 99", "chapter", "chapter: there is no chapter 99; expected one of 1, 2"),
    ("needs: [strings]", "needs: [stirngs]", "needs", "needs 'stirngs', which is not a lesson; did you mean `strings`?"),
    ("02-strings.md", "02-string.md", "A [glossary", "02-string.md leads nowhere; did you mean `02-strings.md`?"),
    ("glossary.md#key", "glossary.md#kye", "A [glossary", "the glossary has no term 'kye'"),
    ("(#asking)", "(#aksing)", "A [glossary", "has no heading 'aksing'; did you mean `asking`?"),
    ("---\nid:", "id:", "id:", "there is no front matter"),
    ("terminals: [alice, bob]\n---", "terminals: [alice, bob]", "---\nid", "the front matter is never closed"),
    # bytes
    ("- Keys.", "- Ke\0ys.", "Ke\0ys", "a NUL byte in this line"),
    ("- Keys.", "- Ke\x1b[1mys.", "Ke\x1b", "a control character U+001B in this line"),
]  # fmt: skip


@pytest.fixture
def proved(tmp_path, monkeypatch):
    """Return what `redis-tutor verify FILE` writes of a file, without a server."""
    monkeypatch.setattr(verify, "find_real_servers", list)
    monkeypatch.setattr(verify, "prove", lambda lesson: (verify.prove_text(lesson), verify.Proof(lesson, "", [])))

    def prove(*contents):
        written, names = [], []
        for number, content in enumerate(contents):
            path = tmp_path / f"lesson-{number}.md"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            names.append(str(path))
        status = verify.main(names, written.append, at_once=1)
        assert status == (1 if len(written) > 1 else 0)
        return [row.replace(f"{tmp_path}/", "") for row in written[:-1]]

    return prove


@pytest.mark.parametrize(
    "old, new, at, told", BREAKS, ids=[f"{old.strip()[:20]} -> {new.strip()[:30]!r}" for old, new, _, _ in BREAKS]
)
def test_a_broken_lesson(proved, old, new, at, told):
    assert old in LESSON
    text = LESSON.replace(old, new, 1)
    found = proved(text)
    line = text.count("\n", 0, text.index(at)) + 1
    assert len(found) == 1, found
    assert found[0].startswith(f"lesson-0.md:{line}: "), (line, found)
    assert told in found[0]
    assert "\n" not in found[0] and len(found[0]) < 250


def test_the_lesson_is_whole(proved):
    assert proved(LESSON) == []


@pytest.mark.parametrize("form", [str, lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
def test_line_ends_and_a_byte_order_mark_do_not_matter(proved, form):
    assert proved(form(LESSON)) == []
    (found,) = proved(form(LESSON.replace("chapter: 2", "chapter: 99")))
    assert found.startswith("lesson-0.md:4: chapter: ")


@pytest.mark.parametrize(
    "content, line, told",
    [
        (LESSON.encode().replace(b"Keys.", b"Keys\xff."), LESSON.count("\n"), "not UTF-8: byte 0xff in this line"),
        (LESSON.encode("utf-16"), 1, "not UTF-8 but UTF-16"),
        (LESSON.encode() + b"x" * MAX_BYTES, 1, "larger than 1 MB"),
        (b"", 1, "there is no front matter"),
        (b"\0" * 100, 1, "a NUL byte"),
    ],
)
def test_what_is_no_text(proved, content, line, told):
    (found,) = proved(content)
    assert found.startswith(f"lesson-0.md:{line}: ") and told in found


BOMB = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)).replace("*a0", "x")


def test_an_alias_bomb_is_refused(proved):
    (found,) = proved(LESSON.replace("title: Your first key", "title: x\n" + BOMB))
    assert found.startswith("lesson-0.md:4: a1: YAML reads `&a1` as an anchor")
    (found,) = proved(LESSON.replace("id: shape", "id: shape\n" + BOMB))
    assert "YAML reads `&a1` as an anchor" in found


@pytest.mark.parametrize("piece", [">", "- ", "[", "*", "<b>", "` ", "| a ", "![", "&", "\\"])
def test_no_text_takes_for_ever(piece):
    parse_lesson(LESSON + "\n" + piece * 20_000 + "\n", "lesson.md")


def test_several_faults_are_all_named(proved):
    text = (
        LESSON.replace("minutes: 5", "minuts: 5").replace("order: 99", "oder: 99").replace("```redis\n", "```reids\n")
    )
    rows = text.split("\n")
    assert [re.sub(r"^.*?:(\d+: .*?`\w+`).*", r"\1", row) for row in proved(text)] == [
        f"{rows.index('oder: 99') + 1}: unknown field `oder`",
        f"{rows.index('minuts: 5') + 1}: unknown field `minuts`",
        f"{rows.index('```reids') + 1}: ```reids: unknown word; did you mean `redis`",
    ]


def test_ids_are_unique(proved):
    found = proved(TWO)
    first, second = (n for n, row in enumerate(TWO.split("\n"), 1) if row == "id: shape")
    assert found == [f"lesson-0.md:{second}: id: 'shape' is already the id of the task in line {first - 5}"]
    assert proved(LESSON, LESSON) == []  # files outside of the course may be copies of each other


def test_a_lesson_without_anything_to_do(proved):
    head = LESSON.partition("# Your first key")[0]
    found = proved(head + "## One\n\nText.\n\n## Two\n\nText.\n")
    assert found == [
        "lesson-0.md:1: the lesson has no task: expected a quote `> **Your turn.** …` in a step",
        "lesson-0.md:17: the step 'One' has nothing to do: expected an example, a prediction or a task",
    ]
