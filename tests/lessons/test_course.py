"""The course as a whole: its table, its glossary, and where the right options are."""

import re
from collections import Counter

import pytest

from tests.lessons import overview
from tests.lessons.topics import TOPICS
from tutor.lesson.catalogue import default_folder, installed_course
from tutor.verify import MOST_COPIED, copied

COURSE = installed_course()
FOLDER = default_folder()
TERMS = """
    acl user, aof rewrite, append-only file, atomic, backlog, blocking command, cache, cache stampede, channel,
    consistent hashing, consumer group, cursor, encoding, eviction, failover, fencing token, fsync, function, gossip,
    hash, hash slot, hash tag, hyperloglog, key, latency, lfu, list, loopback interface, lru, master,
    optimistic locking, partial resynchronization, partition, pipelining, protected mode, quorum, redis cluster,
    replica, replication id, replication offset, reply, resp, round trip, save point, script, sentinel, set, snapshot,
    sorted set, split brain, stream, string, time to live, transaction, value
"""


def text_of(lesson):
    return (FOLDER / lesson.path.removeprefix("lessons/")).read_text(encoding="utf-8")


def test_the_table_of_lessons_is_generated():
    assert overview.written(overview.README.read_text(encoding="utf-8")) == overview.table(COURSE), (
        "run python -m tests.lessons.overview"
    )


def test_the_glossary_is_sorted_and_complete():
    terms = re.findall(r"^## (.+)$", (FOLDER / "glossary.md").read_text(encoding="utf-8"), re.M)
    assert terms == sorted(terms)
    wanted = {" ".join(term.split()) for term in TERMS.split(",")}
    assert wanted <= set(terms), wanted - set(terms)


def test_a_term_of_the_glossary_is_linked_once_in_a_lesson_at_most_twice():
    for lesson in COURSE.lessons:
        links = Counter(re.findall(r"glossary\.md#([\w-]+)", text_of(lesson)))
        assert all(count <= 2 for count in links.values()), (lesson.path, links)


def test_the_right_option_is_equally_often_in_each_place():
    """Within a fifth of an even share. Numbers stand in their natural order, which is why it is not exact."""
    places: dict[int, Counter[int]] = {}
    for lesson in COURSE.lessons:
        for step in lesson.steps:
            for prediction in step.predictions:
                if prediction.options:
                    place = prediction.options.index(prediction.answers[0]) + 1
                    places.setdefault(len(prediction.options), Counter())[place] += 1
    for options in (2, 3):
        counts = places[options]
        share = sum(counts.values()) / options
        assert all(abs(counts[place] - share) <= max(2, share / 5) for place in range(1, options + 1)), places


def test_a_third_of_the_predictions_are_typed():
    predictions = [each for lesson in COURSE.lessons for step in lesson.steps for each in step.predictions]
    assert 3 * sum(not each.options for each in predictions) >= len(predictions)


def test_few_tasks_are_solved_by_a_command_that_is_shown():
    tasks = [task for lesson in COURSE.lessons for step in lesson.steps for task in step.tasks]
    shown = [task for lesson in COURSE.lessons for task in copied(lesson)]
    assert len(shown) <= MOST_COPIED * len(tasks)


def test_no_placeholder_is_left():
    for path in [*FOLDER.glob("*/*.md"), *FOLDER.glob("*.md"), *FOLDER.glob("scenarios/*.yaml")]:
        text = path.read_text(encoding="utf-8")
        found = re.search(r"\(or: |\bTODO\b|\bFIXME\b|\bXXX\b|@@|\blorem\b", text)
        assert found is None, (path, found)


def steps_of(lesson):
    parts = re.split(r"^## (.+)$", text_of(lesson), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("lesson", "step"), TOPICS, ids=str)
def test_the_notes_are_taught(lesson, step):
    found = [each for each in COURSE.lessons if each.id == lesson]
    assert found, f"there is no lesson {lesson!r}"
    steps = steps_of(found[0])
    assert step in steps, f"{found[0].path} has no step {step!r}, but {list(steps)}"
    text = " ".join(steps[step].split(" "))
    flat = " ".join(text.split())
    for wanted in TOPICS[lesson, step]:
        assert wanted in text or wanted in flat, f"{found[0].path}, {step!r}: {wanted!r} is missing"


@pytest.mark.parametrize(
    "term, first",
    [("sorted set", "sorted-sets"), ("backlog", "backlog"), ("set", "sets"), ("cache stampede", "caching")],
)
def test_a_term_leads_to_its_lessons(term, first):
    assert COURSE.with_term(term)[0].id == first


def test_every_term_but_gossip_has_a_lesson():
    assert [term for term in COURSE.glossary if not COURSE.with_term(term)] == ["gossip"]
