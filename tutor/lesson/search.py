"""One search over everything: lessons by their text and commands, commands, terms of the glossary, your bookmarks and
your own history.

Every word of the query has to be found, at the beginning of a word. What people call a thing stands for Redis's
words (`SYNONYMS`): "leaderboard" finds sorted sets. Matches in titles and names count most. If nothing is found, each
unknown word is taken for the most frequent known one that differs from it in one slip.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tutor.lesson.catalogue import Catalogue
from tutor.lesson.model import Example, Prediction, Prose, Task
from tutor.lesson.view import BookmarkEntry
from tutor.prompt.commands import CommandDocs
from tutor.prompt.markdown import one_line
from tutor.prompt.words import LINE, shorten

MOST = 40
MOST_HISTORY = 8
SHORTEST, LONGEST = 4, 32  # letters of a word that may have a slip

# What people type, and the words of Redis that it stands for.
SYNONYMS = {
    "leaderboard": "sorted set", "ranking": "sorted set", "highscore": "sorted set", "top": "sorted set",
    "queue": "list", "job": "list", "stack": "list", "worker": "consumer", "kafka": "stream", "log": "stream",
    "expire": "time to live", "expiry": "time to live", "expiration": "time to live", "timeout": "time to live",
    "ttl": "time to live", "object": "hash", "dict": "hash", "map": "hash", "record": "hash", "json": "hash",
    "counter": "incr", "count": "incr", "increment": "incr", "unique": "hyperloglog", "distinct": "hyperloglog",
    "visitors": "hyperloglog", "location": "geo", "distance": "geo", "nearby": "geo",
    "lock": "set nx", "mutex": "set nx", "transaction": "multi", "rollback": "multi", "script": "lua",
    "stored procedure": "function", "message": "pub/sub", "broadcast": "pub/sub", "notification": "keyspace",
    "snapshot": "rdb", "dump": "rdb", "journal": "append-only", "aof": "append-only", "durability": "fsync",
    "password": "auth", "login": "auth", "user": "acl", "security": "acl", "encryption": "tls", "ssl": "tls",
    "slave": "replica", "failover": "sentinel", "shard": "slot", "sharding": "slot", "partition": "slot",
    "cluster": "slot", "memory": "maxmemory", "eviction": "maxmemory", "lru": "maxmemory", "cache": "caching",
    "session": "sessions", "throttle": "rate limit", "ratelimit": "rate limit", "search": "scan", "find": "scan",
    "delete": "del", "remove": "del", "slow": "slowlog", "profile": "slowlog", "batch": "pipeline",
    "bulk": "pipeline", "atomic": "multi", "race": "watch",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A result. `kind`: lesson, command, term, bookmark or history; `target` is its ID, name, term, key or line."""

    kind: str
    target: str
    title: str
    detail: str
    score: float


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    target: str
    title: str
    detail: str
    fields: tuple[tuple[str, float], ...]  # texts in lower case, with what a match in them counts


class Index:
    """What can be found."""

    def __init__(self, course: Catalogue) -> None:
        self._entries = [*_lessons(course), *_commands(), *_terms(course)]

    def find(self, query: str, history: Sequence[str] = (), bookmarks: Sequence[BookmarkEntry] = ()) -> list[Found]:
        """Return what matches, best first."""
        words = query.lower().split()
        if len(words) > 1 and (meant := SYNONYMS.get(" ".join(words))):
            words = meant.split()
        if not words:
            return []
        found = self._find(words, history, bookmarks)
        if not found and (corrected := self._corrected(words)):
            found = self._find(corrected, history, bookmarks)
        return found

    def _find(self, words: Sequence[str], history: Sequence[str], bookmarks: Sequence[BookmarkEntry]) -> list[Found]:
        found = [
            Found(entry.kind, entry.target, entry.title, entry.detail, score)
            for entry in (*_bookmarks(bookmarks), *self._entries)
            if (score := _score(entry, words))
        ]
        found.sort(key=lambda each: -each.score)
        own = dict.fromkeys(line for line in reversed(history) if all(word in line.lower() for word in words))
        lines = [
            Found("history", line, shorten(line, LINE), "typed before", 0.1) for line in list(own)[:MOST_HISTORY]
        ]
        return found[: MOST - len(lines)] + lines

    def _corrected(self, words: Sequence[str]) -> list[str]:
        """Return a query's words, known ones in place of those with a slip; nothing if that changes nothing."""
        corrected = [word if self._is_known(word) else self._nearest(word) for word in words]
        return corrected if corrected != list(words) else []

    def _is_known(self, word: str) -> bool:
        return bool(_meant(word)) or any(_weight(entry, word) for entry in self._entries)

    def _nearest(self, word: str) -> str:
        if not SHORTEST <= len(word) <= LONGEST:
            return word
        near = [known for known in self._words if abs(len(known) - len(word)) <= 1 and _one_slip(word, known)]
        return max(near, key=lambda known: (known in SYNONYMS, self._words[known]), default=word)

    @cached_property
    def _words(self) -> Counter[str]:
        """All words, with how often they occur."""
        texts = " ".join(text for entry in self._entries for text, _ in entry.fields)
        return Counter([*re.findall(r"[a-z0-9]+(?:-[a-z]+)*", texts), *SYNONYMS])


def _score(entry: _Entry, words: Sequence[str]) -> float:
    total = 0.0
    for word in words:
        best = _weight(entry, word)
        if meant := _meant(word):
            best = max(best, 0.8 * _weight(entry, meant))
        if not best:
            return 0.0
        total += best
    return total + (_weight(entry, " ".join(words)) if len(words) > 1 else 0.0)


def _one_slip(word: str, other: str) -> bool:
    """Return whether two words differ in one letter too many, too few or wrong, or in two that changed places."""
    if len(word) > len(other):
        word, other = other, word
    at = next((n for n, (one, two) in enumerate(zip(word, other, strict=False)) if one != two), len(word))
    rest, others = word[at:], other[at:]
    if len(word) < len(other):
        return rest == others[1:]
    return rest[1:] == others[1:] or (rest[1::-1] == others[:2] and rest[2:] == others[2:])


def _meant(word: str) -> str:
    """Return Redis's words for what people call a thing, also in the plural."""
    return SYNONYMS.get(word) or SYNONYMS.get(word.removesuffix("s"), "")


def _weight(entry: _Entry, word: str) -> float:
    """Return what a word, or words, count that are found at the beginning of a word of a field."""
    pattern = re.compile(rf"(?<![a-z0-9]){re.escape(word)}(?P<rest>[a-z0-9]?)")
    best = 0.0
    for text, weight in entry.fields:
        if weight > best and (match := pattern.search(text)):
            best = max(best, weight * (0.8 if match["rest"] and not text.startswith(word) else 1.0))
            if text.startswith(word):
                best *= 1.2 if text != word else 1.5
    return best


def _lessons(course: Catalogue) -> Iterable[_Entry]:
    for lesson in course.lessons:
        prose: list[str] = []
        for step in lesson.steps:
            for block in step.blocks:
                match block:
                    case Prose(markdown):
                        prose.append(markdown)
                    case Task():
                        prose.append(block.goal)
                    case Prediction():
                        prose += [block.question, block.because]
                    case Example():
                        prose += [each.command for each in block.exchanges]
        front = lesson.front
        chapter = course.chapters.get(front.chapter, "")
        titles = " · ".join(step.title for step in lesson.steps)
        fields = (
            (lesson.title.lower(), 10.0), (" ".join(front.commands).lower(), 7.0), (titles.lower(), 5.0),
            (f"{front.summary} {front.wrong_idea}".lower(), 4.0), (chapter.lower(), 3.0),
            (one_line(" ".join(prose)).lower(), 1.0),
        )  # fmt: skip
        yield _Entry("lesson", lesson.id, lesson.title, front.summary or chapter, fields)


def _bookmarks(bookmarks: Sequence[BookmarkEntry]) -> Iterable[_Entry]:
    for each in bookmarks:
        title = f"{each.lesson} › {each.title}"
        fields = (
            (each.note.lower(), 12.0), ("bookmarks", 11.0), (each.title.lower(), 6.0), (each.lesson.lower(), 5.0),
        )  # fmt: skip
        yield _Entry("bookmark", each.key, title, each.note or f"step {each.step + 1}", fields)


def _commands() -> Iterable[_Entry]:
    for command in CommandDocs.load():
        name = command.name.lower()
        fields = ((name, 9.0), (command.summary.lower(), 3.0), (command.group.replace("-", " ").lower(), 2.0))
        yield _Entry("command", command.name, command.name, command.summary, fields)


def _terms(course: Catalogue) -> Iterable[_Entry]:
    for term, meaning in course.glossary.items():
        text = one_line(meaning)
        yield _Entry("term", term, term, text, ((term.lower(), 6.0), (text.lower(), 1.5)))
