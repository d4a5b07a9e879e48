"""Markdown as plain text, for what cannot draw it."""

import re

_CODE = re.compile(r"(`[^`\n]*`)")
_STRONG = re.compile(r"\*\*(.+?)\*\*", re.S)
_EMPHASIS = re.compile(r"(?<![\w*])\*(\S(?:[^*]*\S)?)\*(?![\w*])")
_HIDDEN = "\0"


def without_emphasis(markdown: str) -> str:
    """Return Markdown without the asterisks of emphasis; those in code stay, such as in `KEYS *`."""
    code = iter(_CODE.findall(markdown))
    text = _EMPHASIS.sub(r"\1", _STRONG.sub(r"\1", _CODE.sub(_HIDDEN, markdown)))
    return re.sub(_HIDDEN, lambda found: next(code, found[0]), text)


def one_line(markdown: str) -> str:
    """Return Markdown without its marks, on one line."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = without_emphasis(text)
    return " ".join(text.replace("`", "").split())


_BLOCK = re.compile(r" {4}|\s*(?:[-*+] |\d+[.)] |\||#|>|```)|\s*$")  # begins a line that does not go on with the last


def reflow(markdown: str) -> str:
    """Return Markdown with one line for each paragraph and each item of a list, to be broken at a window's width."""
    rows, fenced, breaks = list[str](), False, True
    for line in markdown.split("\n"):
        fence = line.lstrip().startswith("```")
        if breaks or fenced or fence or _BLOCK.match(line):
            rows.append(line)
        else:
            rows[-1] += f" {line.strip()}"
        fenced ^= fence
        breaks = fenced or fence or not line.strip() or line.lstrip()[:1] in "|#"
    return "\n".join(rows)


def to_paragraphs(markdown: str) -> str:
    """Return Markdown as `to_plain` does, reflowed."""
    return to_plain(reflow(markdown))


def to_plain(markdown: str) -> str:
    """Return Markdown as it reads aloud: without the marks that only a page needs."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = without_emphasis(text)
    text = re.sub(r"^```.*$\n?", "", text, flags=re.M)
    text = re.sub(r"^\|[ :|-]+\|$\n?", "", text, flags=re.M)
    return text.replace("`", "")
