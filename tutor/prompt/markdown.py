"""Markdown as plain text, for what cannot draw it."""

import re


def one_line(markdown: str) -> str:
    """Return Markdown without its marks, on one line."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"(?<![\w*])\*(\S(?:[^*]*\S)?)\*(?![\w*])", r"\1", text.replace("**", ""))
    return " ".join(text.replace("`", "").split())


def to_plain(markdown: str) -> str:
    """Return Markdown as it reads aloud: without the marks that only a page needs."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text, flags=re.S)
    text = re.sub(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])", r"\1", text)
    text = re.sub(r"^```.*$\n?", "", text, flags=re.M)
    text = re.sub(r"^\|[ :|-]+\|$\n?", "", text, flags=re.M)
    return text.replace("`", "")
