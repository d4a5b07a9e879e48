"""The line before the server sees it: what is not a Redis command at all, and why.

A prompt that was copied, quotes from a word processor, a space that is none, letters of another alphabet or keyboard,
an open quote, another language (SQL, a shell, a program), punctuation between the words, the tutor's own words. Every
rule looks at the text alone, and all of them describe what is there, so none can be wrong about the learner's intent;
`near` is left out where the line may have been meant as it is.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator

from tutor.lesson.diagnosis.commands import is_command
from tutor.lesson.diagnosis.model import LONG, Diagnosis, Place, code, word_set
from tutor.prompt import split_args, to_text
from tutor.prompt.words import WORD, tokenize

QUOTES = "“”„‟«»‘’‚‛′″"
SPACES = "\u00a0\u2007\u202f\u2009\u2003\u3000\u1680\u2002\u2008\u200a\u205f"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f"

# Letters that look like a Latin one.
ALIKE = dict(
    zip(
        "АВЕКМНОРСТУХІЈЅԚԜЗаеорсухіјѕԛԝҮүΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαιν",
        "ABEKMHOPCTYXIJSQW3aeopcyxijsqwYyABEZHIKMNOPTYXoaiv",
        strict=True,
    )
)
# What the same keys give with another layout.
_LAYOUTS = (
    ("Russian", "йцукенгшщзфывапролдячсмить", "qwertyuiopasdfghjklzxcvbnm"),
    ("Ukrainian", "йцукенгшщзфівапролдячсмить", "qwertyuiopasdfghjklzxcvbnm"),
    ("Greek", "ςερτυθιοπασδφγηξκλζχψωβνμ", "wertyuiopasdfghjklzxcvbnm"),
    ("Hebrew", "קראטוןםפשדגכעיחלךזסבהנמצ", "ertyuiopasdfghjklzxcvbnm"),
)
_SWAPPED = (
    ("French (AZERTY)", str.maketrans("azqwAZQW", "qwazQWAZ")),
    ("German (QWERTZ)", str.maketrans("yzYZ", "zyZY")),
)

_PROMPT = re.compile(
    r"\s*(?:redis\s+)?(?:[\w.-]+@)?(?:\d{1,3}(?:\.\d{1,3}){3}:\d+|localhost:\d+|\[::1\]:\d+|redis(?:-cli)?|not "
    r"connected)"
    r"(?:\[\d+\])?(?:\(TX\)|\(subscribed mode\))?>\s*"
)
_SQL = re.compile(
    r"(?i)\s*(?:insert\s+into|select\s+(?:\*|[\w,\s]+\bfrom\b)|update\s+\S+\s+set\b|delete\s+from|create\s+(?:table|database)"
    r"|drop\s+(?:table|database)|alter\s+table|truncate\s+table|show\s+(?:tables|databases|keys|columns)|use\s+[a-z]\w*\s*;?$"
    r"|describe\s+\w+|upsert\b|merge\s+into)"
)
_CALL = re.compile(r"\s*(?:(?:\w+\.)+(\w+)\(|([A-Za-z]{2,})\(|(?:await|const|let|var|import|local|print)\b\s)")
_SHELL_WORDS = word_set(
    "sudo systemctl service ls cd cat pwd cp mv rm mkdir touch chmod chown ps top htop kill pkill killall "
    "grep egrep awk sed head tail wc less more vi vim nano emacs man which whoami curl wget scp ssh docker "
    "kubectl apt apt-get yum dnf brew pip pip3 python python3 node npm bash sh zsh export printf nc telnet "
    "xxd history clear cls df du free redis-server redis-sentinel redis-benchmark redis-check-rdb redis- "
    "check-aof journalctl pull-the-plug reboot"
)
_TUTOR_WORDS = word_set("hint show run undo next back again why picture lab map skip solution")
_WITH_A_WORD = word_set("picture lab reset")  # which take one
_LEAVE = word_set("exit logout bye q")


def look(line: str, place: Place, failed: bool, known: Collection[str] = ()) -> Diagnosis | None:
    """Return what is wrong with a line as text; None if nothing is.

    `failed`: it gave an error, or could not be split. `known`: words that the task names, meant as they are.
    """
    if len(line) > LONG:
        return None
    text = line.strip()
    if not text or text.startswith(":"):
        return None
    for rule in _IN_A_SHELL if place.shell else _AT_A_PROMPT:
        found = rule(text, place, failed, known)
        if found is not None:
            return found
    return None


Rule = Callable[[str, Place, bool, Collection[str]], Diagnosis | None]


def _say(slot: str, text: str, near: bool = True) -> Diagnosis:
    return Diagnosis("line", slot, text, near)


def prompt(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """A prompt was copied with the command."""
    if found := _PROMPT.match(text):
        return _say(
            "prompt", f"{code(found[0].strip())} is the prompt, copied with the command: type only what follows it."
        )
    name, mark, _ = text.partition("> ")
    if mark and name in dict(place.terminals):
        if name == place.terminal:
            return _say("prompt", f"{code(name + '>')} is the prompt: type only what follows it.")
        return _say(
            "prompt", f"{code(name + '>')} names a terminal: go to {code(name)}, and type what follows there."
        )
    if failed and (found := re.match(r"(?:\w+)?[$#%]\s+(?=\S)", text)):
        return _say("prompt", f"{code(found[0].strip())} is the prompt of a shell: type only what follows it.")
    if failed and (found := re.match(r"(?:\d+[.)]|[-*•>])\s+(?=[A-Za-z])", text)):
        return _say("prompt", f"A command begins with its name: leave {code(found[0].strip())} out.")
    return None


def quotes(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Typographic quotes."""
    found = next((each for each in text if each in QUOTES), "")
    if not found or (not failed and not re.search(rf"(?:^|\s)[{QUOTES}]|[{QUOTES}](?:\s|$)", text)):
        return None
    return _say(
        "quote",
        f'{code(found)} is a typographic quotation mark. Redis treats it as part of a word: use the straight `"`.',
    )


def spaces(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Spaces that do not separate words, and characters that cannot be seen."""
    for each in text:
        if each in SPACES or each in INVISIBLE:
            name = unicodedata.name(each, "").lower() or "invisible character"
            if each in SPACES:
                return _say(
                    "space",
                    f"The line contains a {name} (U+{ord(each):04X}), "
                    "which does not separate words: retype the spaces.",
                )
            return _say(
                "space", f"The line contains an invisible character, {name} (U+{ord(each):04X}): type the line again."
            )
    return None


def unquoted(text: str) -> list[str]:
    """Return the words of a line that are not in quotes: what is in quotes is meant as it is."""
    return [text[word.start : word.end] for word in tokenize(text) if not word.quote]


def _latin(word: str) -> str:
    return "".join(ALIKE.get(each, each) for each in unicodedata.normalize("NFKC", word))


def letters(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Letters of another alphabet that look like Latin ones, and another keyboard layout."""
    if text.isascii():
        return None
    words = text.split()
    if not words[0].isascii() and len(words[0]) <= WORD and not is_command(words[0]):
        latin = _latin(words[0])
        if latin.isascii() and is_command(latin):
            return _say("letters", _foreign(words[0], latin))
        for name, foreign, own in _LAYOUTS:
            table = str.maketrans(foreign + foreign.upper(), own + own.upper())
            if is_command(word := words[0].translate(table)):
                return _say(
                    "layout", f"The keyboard is set to {name}: with a Latin layout these keys spell {code(word)}."
                )
    for word in words[1:]:
        if not word.isascii() and (latin := _latin(word)).isascii() and latin != word:
            wanted = latin in known or is_command(latin) or any(latin in each for each in known)
            if wanted or (
                any(each in ALIKE for each in word) and any(each.isascii() and each.isalpha() for each in word)
            ):
                return _say("letters", _foreign(word, latin), near=wanted or failed)
    return None


def _foreign(word: str, latin: str) -> str:
    each = (
        next(a for a, b in zip(unicodedata.normalize("NFKC", word), latin, strict=False) if a != b or not a.isascii())
        if len(unicodedata.normalize("NFKC", word)) == len(latin) and unicodedata.normalize("NFKC", word) != latin
        else next(a for a in word if not a.isascii())
    )
    alphabet = unicodedata.name(each, "foreign").split()[0].capitalize()
    return f"A letter of {code(word)} only looks Latin: {code(each)} is {alphabet}. Type the word again."


def layout(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Swapped Latin letters of another keyboard."""
    words = text.split()
    if not failed or is_command(words[0]) or len(words[0]) < 3:
        return None
    for name, table in _SWAPPED:
        swapped = text.translate(table).split()
        if swapped[0] != words[0] and is_command(swapped[0]) and any(word in known for word in swapped[1:]):
            return _say(
                "layout", f"These keys spell {code(swapped[0])} on another keyboard: the layout seems to be {name}."
            )
    return None


def open_quote(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Quotes that do not match."""
    if split_args(text) is not None:
        return None
    for word in tokenize(text):
        raw = text[word.start : word.end]
        if not word.valid:
            return _say("quote", f"After a closing quote there must be a space: look at the end of {code(raw)}.")
        if not word.closed:
            if word.quote == "'" and not raw.startswith("'"):
                return _say(
                    "quote",
                    f"The apostrophe in {code(raw.split()[0])} opens a quote: put that word into double quotes.",
                )
            if not raw.startswith(word.quote) and raw.rstrip().endswith(word.quote):
                return _say(
                    "quote",
                    f"The quote at the end of {code(raw.rstrip())} has no partner: the opening one is missing.",
                )
            if word.start == 0:
                return _say(
                    "quote", "The quote at the beginning of the line is never closed, so nothing was sent to Redis."
                )
            first = raw.split()[0] if raw.split() else raw
            return _say(
                "quote", f"The quote that opens at {code(first)} is never closed, so nothing was sent to Redis."
            )
    return _say("quote", "The quotes in this line do not match, so nothing was sent to Redis.")


def backquotes(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Backquotes around a command or a word."""
    if "`" not in text:
        return None
    if place.shell and not text.startswith("`"):
        return None
    if text.startswith("`") or failed or re.search(r"\s`[^`]+`", text):
        return _say(
            "quote", "Backquotes only mark code in a text: leave them out.", near=failed or text.startswith("`")
        )
    return None


_WITH_CODE = word_set("EVAL EVAL_RO EVALSHA FUNCTION SCRIPT FCALL ECHO")


def joined_quote(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """One pair of quotes around several arguments."""
    argv = split_args(text)
    if not failed or not argv or ('"' not in text and "'" not in text):
        return None
    words = [to_text(each) for each in argv]
    if " " in words[0] and is_command(words[0].split()[0]):
        return _say(
            "quote", "The quotes enclose the whole command, so Redis takes it for one word. Quote only a value."
        )
    inner = [word for word in words[1:] if " " in word]
    if len(words) <= 3 and len(inner) == 1 and is_command(words[0]):
        first = inner[0].split()[0]
        if (first in known and not first.isdigit()) or (
            len(words) == 2 and inner[0] not in known and words[0].upper() not in _WITH_CODE
        ):
            return _say(
                "quote",
                f"The quotes enclose too much: {code(inner[0])} is now a single argument. Quote only the value.",
            )
    return None


def own_words(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """The tutor's own words, without the colon."""
    words = text.lower().split()
    if words[0] in _LEAVE and len(words) == 1:
        return _say("tutor", "To leave the lesson, type `:quit`.")
    if words[0] in _TUTOR_WORDS and len(words) <= 1 + (words[0] in _WITH_A_WORD) and failed:
        return _say(
            "tutor",
            f"{code(words[0])} is a command of the tutor: type it with a colon, {code(':' + words[0])}.",
        )
    if words[0] == "reset" and words[1:2] in (["step"], ["lesson"]):
        return _say("tutor", "`RESET` is a Redis command. The tutor's command is `:reset`, with a colon.")
    if failed and words[0] in ("terminal", "tab") and len(words) == 2:
        return _say(
            "tutor", "To change to another terminal, select its tab, or type `:terminal NAME` in the plain mode."
        )
    return None


def redis_cli(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """`redis-cli …`, typed at its own prompt; words of a shell."""
    words = text.split()
    first = words[1] if words[0] == "sudo" and len(words) > 1 else words[0]
    if first in ("redis-cli", "valkey-cli", "iredis"):
        shell = place.other(True)
        text = f"You are at the prompt of redis-cli already: leave {code(first)} out."
        return _say("shell", f"{text[:-1]}, or go to the terminal {code(shell)}." if shell else text)
    if first.lower() in _SHELL_WORDS and not is_command(first):
        shell = place.other(True)
        where = f" Type it in the terminal {code(shell)}." if shell else " This prompt accepts only Redis commands."
        return _say("shell", f"{code(first)} is a command of a shell, and this is the prompt of Redis.{where}")
    return None


def redis_in_a_shell(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """A Redis command in a shell."""
    words = text.split()
    if (
        words[0].lower() in _SHELL_WORDS
        or words[0].startswith("redis-")
        or words[0].lower() in ("echo", "sleep", "cd")
    ):
        return None
    if is_command(words[0]):
        other = place.other(False)
        where = f" Type it in the terminal {code(other)}, or" if other else " Here,"
        return _say(
            "shell",
            f"{code(words[0])} is a Redis command, and this is a shell.{where} put `redis-cli` in front of it.",
        )
    return None


def sql(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """SQL."""
    if failed and _SQL.match(text):
        return _say(
            "language",
            "That is SQL. A Redis command is a name, mostly followed "
            "by a key: there are no tables, and no `INTO` or `FROM`.",
        )
    return None


def program(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """A call as in a program."""
    if not failed or not (found := _CALL.match(text)):
        return None
    name = found[1] or found[2] or ""
    if text.startswith(("redis.call", "redis.pcall")):
        return _say("language", "`redis.call` exists only inside a script. At the prompt, type the command itself.")
    if name and not (is_command(name) or found[1] or text.rstrip("; ").endswith(")")):
        return None
    return _say(
        "language",
        "That is how a program calls it. At this prompt, separate the words by spaces, without brackets and commas.",
    )


def braces(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Fields and values as in JSON."""
    first, _, rest = text.partition(" ")
    if (
        failed
        and re.search(r"\{[^{}]*(?:[\"']|:\s)[^{}]*\}", rest)
        and not re.match(r"(?i)eval|fcall|function|script", first)
    ):
        return _say(
            "pair",
            "That is written as JSON. Redis takes names and values as separate words, without braces and colons; "
            "put a text that contains quotes into single quotes.",
        )
    return None


def pairs(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Names and values that are joined by a colon or an equals sign."""
    words = unquoted(text)
    for word in words[1:]:
        name, mark, value = word.partition("=")
        if mark and name and (failed or name in known):
            return _say(
                "pair",
                f"{code(word)} is a single word: put a space, and no `=`, between a name and its value.",
                near=failed or name in known,
            )
    if failed and "=" in words[1:]:
        return _say("pair", "`=` is a separate word here: leave it out, a space is enough.")
    for word in words[2:]:
        name, mark, value = word.partition(":")
        if mark and value and name in known and value in known and word not in known:
            return _say("pair", f"{code(word)} is a single word: put a space between {code(name)} and its value.")
        if failed and mark and not value and name in known and word not in known:
            return _say("pair", f"The colon belongs to {code(word)}: leave it out.")
    return None


def separators(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Commas, semicolons, `&&`, pipes, comments."""
    bare = unquoted(text) or [""]
    for mark in ("&&", "||", ";"):
        if mark in bare[1:] or (
            mark == ";" and any(w.endswith(";") for w in bare[:-1]) and any(is_command(w) for w in bare[1:])
        ):
            return _say("separator", f"{code(mark)} does not separate commands here: type one command per line.")
    if bare and bare[-1].endswith(";") and len(bare[-1]) > 1 and (failed or bare[-1][:-1] in known or len(bare) == 1):
        return _say(
            "separator",
            f"The semicolon is now part of {code(bare[-1])}: leave it out. A command ends with the line.",
        )
    if failed and "|" in bare[1:]:
        return _say("separator", "`|` is a pipe of the shell: at this prompt it is just another argument.")
    if failed and len(bare) > 2 and bare[-2] in (">", ">>") and re.search(r"[./]", bare[-1]):
        return _say("separator", "`>` writes to a file in a shell: at this prompt it is just another argument.")
    if failed and any(_COMMENT.match(word) for word in bare[1:]):
        return _say("separator", "There are no comments at this prompt: every word is sent to Redis.")
    if sum(len(word) > 1 and word.endswith(",") for word in bare[1:]) > 1:
        return _say("separator", "Commas become part of the words in front of them: separate words by spaces only.")
    for word in bare[1:]:
        if word in (",", ".") and failed:
            return _say("separator", f"{code(word)} is a separate word here: separate words by spaces only.")
        if (
            len(word) > 1
            and word.endswith((",", ".", ";", ":"))
            and (word[:-1] in known or (failed and word.endswith(",")))
            and word not in known
        ):
            mark = _MARKS[word[-1]]
            text = (
                f"{code(word)} ends with a {mark}, which is part of the word to Redis: separate words by spaces only."
            )
            return _say("separator", text)
        parts = word.split(",")
        if (
            len(parts) > 1
            and all(parts)
            and word not in known
            and (all(part in known for part in parts) or (failed and len(parts) > 2))
        ):
            return _say("separator", f"{code(word)} is a single word: separate by spaces, not by commas.")
    return None


_COMMENT = re.compile(r"#(?!\d)|//|--")  # `#2` is an offset of BITFIELD
_MARKS = {",": "comma", ".": "period", ";": "semicolon", ":": "colon"}


def brackets(text: str, place: Place, failed: bool, known: Collection[str]) -> Diagnosis | None:
    """Brackets copied from the syntax."""
    words = unquoted(text)
    for word in words[1:]:
        found = re.fullmatch(r"[<\[](.+)[>\]]", word)
        if found and (failed or found[1] in known or found[1].lower() in _SHAPES):
            return _say(
                "placeholder",
                f"The brackets of {code(word)} are only notation: type the word without them.",
                near=failed or found[1] in known,
            )
    return None


_SHAPES = word_set("key value field member score seconds name number element count start stop index pattern")

_EITHER = (prompt, spaces, quotes, letters)
_AT_A_PROMPT: tuple[Rule, ...] = (
    *_EITHER, sql, program, braces, open_quote, backquotes, own_words, redis_cli, layout, joined_quote, pairs,
    separators, brackets,
)  # fmt: skip
_IN_A_SHELL: tuple[Rule, ...] = (*_EITHER, open_quote, backquotes, redis_in_a_shell)


def all_rules() -> Iterator[Rule]:
    """Yield every rule, each once."""
    yield from dict.fromkeys((*_AT_A_PROMPT, *_IN_A_SHELL))
