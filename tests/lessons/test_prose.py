"""The course's prose: patterns of translated English that a machine can see, and American spelling.

A word that is right in its sentence is waived below, with its file.
"""

import re

import pytest

from tutor.lesson.catalogue import default_folder, installed_course

FOLDER = default_folder()
FILES = [*sorted(FOLDER.glob("[0-9]*/*.md")), FOLDER / "glossary.md", *sorted(FOLDER.glob("scenarios/*.yaml"))]
PATTERNS = {
    "an impersonal actor": r"\b(nobody|somebody|everybody|anybody|whoever|whomever|no-one)\b",
    "an old word": r"\b(anew|for ever|ever after|henceforth|thereof|whereof|many an?|shall|whilst|upon)\b",
    "a verb of place for `is`": r"\b(stands?|lies|lie) (in|at|on|there|before|behind|below|above|beside)\b",
    "`carry out` for execute": r"\b(carry|carries|carried|carrying) (it |them |this |that |commands? )?out\b",
    "`wants` for needs": r"\bwants\b",
    "`, for` for because": r", for (it|they|he|she|there|then|nearly|everything)\b",
    "`is to` for should": r"\b(is|are|was|were) to (stay|go|come|be|follow|find|repeat|keep|get|have|say)\b",
    "`is no` for is not a": r"\b(it|that|this|key|channel|server|error|reply|value) is no (?!longer\b|more\b)[a-z]+",
    "`tells` without whom": r"\b(tells|told)\b(?! (you|us|systemd|clients|Redis|the|a|an|it|them|apart)\b)",
    "`torn` for truncated": r"\btorn\b",
    "`by itself` for automatically": r"\bby (itself|themselves)\b",
    "British spelling": r"\b(\w*colour\w*|behaviour\w*|\w*metres?|favour\w*|honour\w*|initialis\w+|centre)\b",
    "`any more` for anymore": r"\bany more\b(?! than)",
    "a space before the percent sign": r"\d %",
    "an exclamation mark": r"[a-z]!(?=\s|$)",
}
WAIVED: dict[tuple[str, str], str] = {
    ("02-strings.md", "an exclamation mark"): "`buy milk and bread!` is the value to store",
}


def prose(text: str) -> list[tuple[int, str]]:
    """Return the lines that a learner reads as sentences, with code spans blanked: no transcripts, no conditions."""
    lines, fence = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = "" if fence else line
        elif not fence or (fence.startswith("```yaml task") and re.search(r"hint: |say: |^  - [\"']", line)):
            lines.append((number, re.sub(r"`[^`]*`", "`…`", line)))
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_prose_is_plain(path):
    found = [
        f"{path.name}:{number}: {name}: {match[0]!r}"
        for number, line in prose(path.read_text(encoding="utf-8"))
        for name, pattern in PATTERNS.items()
        if (path.name, name) not in WAIVED
        for match in [re.search(pattern, line, re.I)]
        if match
    ]
    assert found == []


def test_a_pattern_is_found_in_a_hint_and_not_in_a_transcript():
    example = "```redis\n127.0.0.1:6379> GET whoever\n```\n"
    text = f'It lies in a file.\n{example}```yaml task\n    hint: "Nobody knows."\n```\n'
    lines = prose(text)
    assert [number for number, _ in lines] == [1, 6]
    assert re.search(PATTERNS["a verb of place for `is`"], lines[0][1])
    assert re.search(PATTERNS["an impersonal actor"], lines[1][1], re.I)


LESSONS = [pytest.param(lesson, id=lesson.id) for lesson in installed_course().lessons]
WITHOUT_A_NOUN = re.compile(
    r"(It|They|That|This|These|Those|Its|Their) |(Do|Read|Ask for|Set|Use|Pass|Add|Open|Try to start) (it|them)\b"
    r"|You (used|saw) (it|them)\b"
)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_hint_names_what_it_is_about(lesson):
    # The first hint follows a sentence about the learner's last command, so that a pronoun would mean that.
    hints = [hint for step in lesson.steps for task in step.tasks for hint in task.hints]
    assert [hint for hint in hints if WITHOUT_A_NOUN.match(hint)] == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_an_explanation_does_not_announce_what_does_not_follow(lesson):
    # The examples of a prediction run in a terminal; the explanation is shown without them.
    told = [prediction.because for step in lesson.steps for prediction in step.predictions]
    assert [each for each in told if re.search(r":\s*(\n\n|$)", each)] == []
