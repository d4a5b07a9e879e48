"""Markdown as plain text, for what cannot draw it."""

import re


def one_line(markdown: str) -> str:
    """Return Markdown without its marks, on one line."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"(?<![\w*])\*(\S(?:[^*]*\S)?)\*(?![\w*])", r"\1", text.replace("**", ""))
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
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text, flags=re.S)
    text = re.sub(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])", r"\1", text)
    text = re.sub(r"^```.*$\n?", "", text, flags=re.M)
    text = re.sub(r"^\|[ :|-]+\|$\n?", "", text, flags=re.M)
    return text.replace("`", "")
