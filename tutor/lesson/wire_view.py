"""Bytes on the wire, explained: each frame's bytes as they are written, and what they mean.

Works on whatever crossed the wire at once: whole requests and replies, several in a row, or a piece of one.
"""

from tutor.lesson.view import Frame

SHOWN = 48  # bytes of one payload
MAX_FRAMES = 120  # of one entry

KINDS = {
    ord("*"): "array of {}",
    ord("%"): "map of {} pairs",
    ord("~"): "set of {}",
    ord(">"): "push of {}",
    ord("|"): "attributes, {} pairs",
}


def escape(data: bytes, limit: int = SHOWN) -> str:
    """Write bytes as they would stand in a program: \\r\\n shown, the unprintable as \\x…"""
    text = []
    for byte in data[:limit]:
        if byte == 13:
            text.append("\\r")
        elif byte == 10:
            text.append("\\n")
        elif byte == 9:
            text.append("\\t")
        elif 32 <= byte < 127:
            text.append(chr(byte))
        else:
            text.append(f"\\x{byte:02x}")
    return "".join(text) + ("…" if len(data) > limit else "")


def _words(data: bytes, limit: int = SHOWN) -> str:
    try:
        text = data[:limit].decode()
    except UnicodeDecodeError:
        return '"' + escape(data, limit) + '"'
    return ('"' + text.replace("\n", "\\n").replace("\r", "\\r") + '"') + (" …" if len(data) > limit else "")


def explain(data: bytes, to_server: bool, size: int | None = None) -> tuple[Frame, ...]:
    """Return the frames of what crossed the wire. `size` is the full size when `data` was cut."""
    frames: list[Frame] = []
    open_: list[list[int]] = []  # elements missing at each depth, and whether it is a request's array
    at = 0
    while at < len(data):
        if len(frames) >= MAX_FRAMES:
            frames.append(Frame("…", f"{(size or len(data)) - at:,} more bytes"))
            return tuple(frames)
        end = data.find(b"\r\n", at)
        if end < 0:
            frames.append(Frame(escape(data[at:]), "the rest comes later", len(open_)))
            return tuple(frames)
        kind, head = data[at], data[at + 1 : end]
        depth = len(open_)
        line = escape(data[at : end + 2])
        at = end + 2
        number = int(head) if head.lstrip(b"-").isdigit() else None
        if kind in KINDS and number is not None:
            what = KINDS[kind].format(number)
            if to_server and depth == 0 and kind == ord("*"):
                what = f"a command of {number} word{'' if number == 1 else 's'}"
            elif number == -1:
                what = "null array"
            frames.append(Frame(line, what, depth))
            elements = number * 2 if kind in (ord("%"), ord("|")) else number
            if elements > 0:
                open_.append([elements])
                continue
        elif kind in (ord("$"), ord("="), ord("!")) and number is not None:
            if number < 0:
                frames.append(Frame(line, "null: nothing there", depth))
            else:
                payload = data[at : at + number]
                shown = line + escape(payload) + ("\\r\\n" if len(payload) == number and number <= SHOWN else "")
                what = {ord("="): "text", ord("!"): "error"}.get(kind, "bytes")
                frames.append(Frame(shown, f"{number:,} {what}: {_words(payload)}", depth))
                at += number + 2
        else:
            frames.append(Frame(line, _simple(kind, head, to_server), depth))
        while open_:
            open_[-1][0] -= 1
            if open_[-1][0]:
                break
            open_.pop()
    return tuple(frames)


def _simple(kind: int, head: bytes, to_server: bool) -> str:
    text = head.decode(errors="replace")
    match chr(kind):
        case "+":
            return f"status: {text}"
        case "-":
            code, _, rest = text.partition(" ")
            return f"error {code}: {rest}"
        case ":":
            return f"integer {text}"
        case ",":
            return f"double {text}"
        case "#":
            return "true" if text == "t" else "false"
        case "_":
            return "null"
        case "(":
            return f"big number {text}"
    return "an inline command, as typed in telnet" if to_server else "not RESP"
