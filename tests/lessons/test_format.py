"""What is wrong in a lesson file is told with file and line, and all of it."""

import pytest

from tutor.lesson import transcript
from tutor.lesson.catalogue import read_course
from tutor.lesson.model import Problem, TranscriptCommand
from tutor.lesson.reading import Problems, parse_lesson

HEAD = """---
id: a-lesson
title: A lesson
chapter: 2
order: 1
minutes: 5
wrong_idea: none
---

"""
TASK = """> **Your turn.** Do it.

<details><summary>x</summary>

```yaml task
{spec}
```

</details>
"""


def problems(text):
    with pytest.raises(Problems) as caught:
        parse_lesson(text, "lesson.md")
    return [str(problem) for problem in caught.value.problems]


def test_no_front_matter():
    assert problems("# Hello\n") == ["lesson.md:1: there is no front matter: the file must begin with a line ---"]


@pytest.mark.parametrize(
    "line, new, told",
    [
        (2, "id: A Lesson", "the id 'A Lesson' is not lower-case words joined by -"),
        (4, "chapter: two", "chapter: Expected `int`, got `str`"),
        (6, "minutes: 500", "minutes is 500: expected 1 to 30"),
        (3, "title: x\ncolour: red", "unknown field `colour`"),
        (7, "wrong_idea: [", "not YAML: "),
    ],
)
def test_front_matter_names_its_line(line, new, told):
    rows = (HEAD + "## Step\n\ntext\n").split("\n")
    rows[line - 1] = new
    at = line + new.count("\n") if told.startswith("unknown") else line
    found = problems("\n".join(rows))
    assert any(told in each for each in found), found
    if not told.startswith("not YAML"):
        assert found[0].startswith(f"lesson.md:{at}: ")


def test_a_missing_field_is_named():
    assert problems(HEAD.replace("title: A lesson\n", "") + "## S\n\nx\n") == ["lesson.md:2: missing field `title`"]


@pytest.mark.parametrize(
    "body, line, told",
    [
        ("## Step\n", 10, "the step 'Step' is empty"),
        ("## S\n\n```redis nowhere\n127.0.0.1:6379> PING\nPONG\n```\n", 12, "neither a marker nor a terminal"),
        ("## S\n\n```redis\n127.0.0.1:6379> TIME\n<<clock>>\n```\n", 14, "unknown marker <<clock>>"),
        ("## S\n\n```redis\n127.0.0.1:6379> TIME\n<<number:now>>\n```\n", 14, "does not fit the value that it shows"),
        ("## S\n\n```redis\n127.0.0.1:6379> TIME\n<<1..5:6>>\n```\n", 14, "does not fit the value that it shows"),
        ("## S\n\n```redis\n```\n", 13, "the transcript is empty"),
        ("## S\n\n> **Predict.** What?\n", 12, "**Predict.** needs its <details>"),
        ("## S\n\n> **Your turn.** Do.\n\n<details>\n\nx\n", 14, "<details> is never closed"),
        ("## S\n\n> **Predict.** A?\n>\n> 1. x\n\n<details>\n\n**Answer: 3.** y\n\n</details>\n", 12, "answer '3'"),
        ("## S\n\n" + TASK.format(spec="check: {key: x}\nsolution: SET x 1"), 17, "missing field `hints`"),
        ("## S\n\n" + TASK.format(spec="check: {kez: x}\nsolution: S\nhints: [a]"), 17, "unknown field `kez`"),
        ("## S\n\n" + TASK.format(spec="check:\n  - key: x\n    is: 1\nsolution: S\nhints: [a]"), 18,
         "`is` says nothing about a `key`"),
        ("## S\n\n" + TASK.format(spec="check: {db: 1}\nsolution: S\nhints: [a]"), 17, "exactly one of"),
        ("## S\n\n" + TASK.format(spec="check: {replied: '('}\nsolution: S\nhints: [a]"), 17, "not a regular"),
        ("## S\n\n" + TASK.format(spec="check: {typed: X, terminal: b}\nsolution: S\nhints: [a]"), 17, "no terminal"),
        ("## S\n\n```yaml task\ncheck: 1\n```\n", 12, "without its goal"),
    ],
)  # fmt: skip
def test_the_body_names_its_line(body, line, told):
    found = problems(HEAD + body)
    assert any(each.startswith(f"lesson.md:{line}: ") and told in each for each in found), found


def test_a_broken_file_leaves_the_others_alone(tmp_path):
    folder = tmp_path / "lessons"
    (folder / "2-x").mkdir(parents=True)
    (folder / "chapters.yaml").write_text("2: Keys\n")
    (folder / "glossary.md").write_text("# G\n\n## key\nA name.\n")
    (folder / "2-x" / "good.md").write_text(
        HEAD + "## S\n\n[k](../glossary.md#key) [b](../none.md) [c](../glossary.md#kez)\n"
    )
    (folder / "2-x" / "bad.md").write_text("nothing")
    (folder / "2-x" / "twin.md").write_text(HEAD.replace("chapter: 2", "chapter: 9") + "## S\n\nx\n")
    (folder / "2-x" / "bytes.md").write_bytes(b"\xff\xfe")
    course = read_course(folder)
    assert [lesson.id for lesson in course.lessons] == ["a-lesson", "a-lesson"]
    told = "\n".join(map(str, course.problems))
    assert "lessons/2-x/bad.md:1: there is no front matter" in told
    assert "lessons/2-x/bytes.md:1: not UTF-8" in told
    assert "lessons/2-x/good.md:12: the link to ../none.md leads nowhere" in told
    assert "lessons/2-x/good.md:12: the glossary has no term 'kez'" in told
    assert "lessons/2-x/twin.md:2: the id 'a-lesson' is already used by lessons/2-x/good.md" in told
    assert "lessons/2-x/twin.md:4: chapter: there is no chapter 9" in told


def test_a_transcript():
    text = '127.0.0.1:6379> SET a 1\nOK\nredis 127.0.0.1:6379[3](TX)> GET a\n"1"\n'
    assert transcript.parse(text, "f", 5) == (
        TranscriptCommand("SET a 1", "OK\n", "127.0.0.1:6379> ", 5),
        TranscriptCommand("GET a", '"1"\n', "redis 127.0.0.1:6379[3](TX)> ", 7),
    )
    with pytest.raises(Problem, match="f:5: there is no command"):
        transcript.parse("127.0.0.1:6379>\n", "f", 5)


@pytest.mark.parametrize(
    "expected, printed, same",
    [
        ("(integer) <<number>>\n", "(integer) -12\n", True),
        ("(integer) <<number>>\n", "(integer) x\n", False),
        ("(integer) <<57..60>>\n", "(integer) 57\n", True),
        ("(integer) <<57..60>>\n", "(integer) 61\n", False),
        ("# A\n<<lines>>\nb:1\n", "# A\nx\ny\nb:1\n", True),
        ("# A\n<<lines>>\n", "# A\n", True),
        ("# A\n<<lines>>\n", "# B\n", False),
        ('"<<hex>>"\n', '"12ab"\n', True),
        ("x.y <<text>>\n", "xzy a\n", False),
        ("redis_version:<<text:7.2.4>>\n", "redis_version:8.0.0\n", True),
        ("(integer) <<number:42>>\n", "(integer) 7\n", True),
        ("(integer) <<57..60:58>>\n", "(integer) 61\n", False),
        ("<<offset:   7>>  ff\n", "     123  ff\n", True),
    ],
)
def test_markers(expected, printed, same):
    assert transcript.matches(expected, printed) is same


@pytest.mark.parametrize(
    "expected, reads",
    [
        ("a\n<<lines>>\nb\n", "a\n...\nb\n"),
        ("(integer) <<57..60>>\n", "(integer) 60\n"),
        ("(integer) <<57..60:58>>\n", "(integer) 58\n"),
        ("v:<<text:7.2.4>>, <<text:a > b: c>>\n", "v:7.2.4, a > b: c\n"),
        ("<<offset:   7>>  ff\n", "   7  ff\n"),
        ('"<<number>> <<float>> <<hex>> <<text>>"\n', '"1 1.0 0 ..."\n'),
    ],
)
def test_what_a_learner_reads(expected, reads):
    (exchange,) = transcript.parse("127.0.0.1:6379> X\n" + expected, "f", 1)
    assert (exchange.reply, exchange.expected) == (reads, expected)
    assert transcript.matches(expected, reads) or "<<" not in expected


def test_unordered():
    assert transcript.matches('1) "a"\n2) "b"\n', '1) "b"\n2) "a"\n', True)
    assert not transcript.matches('1) "a"\n2) "b"\n', '1) "b"\n2) "c"\n', True)
    assert transcript.matches("10) x\n", " 1) x\n", True)


def test_a_link_that_is_broken_over_two_lines_is_a_link():
    lesson = parse_lesson(
        HEAD + "## Step\n\nSee the [cache\nstampede](none.md#x), `[a](b)`.\n\n> [one\n> two](c.md)\n", "x.md"
    )
    assert [link.target for link in lesson.links] == ["none.md#x", "c.md"]
