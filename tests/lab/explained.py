"""Whether the explanation of what went over connections leaves a byte out."""

from collections.abc import Iterable

from tutor.lab.explain import LinkDecoder, Part

Message = tuple[int, bool, bytes]  # connection, whether from the one who dialled, bytes


def explained(messages: Iterable[Message], whole: bool = True) -> dict[tuple[int, bool], list[Part]]:
    """Check that every byte of every message is in one span, whose meaning is told; returns the parts by direction.

    With `whole` nothing may be waiting for more at the end.
    """
    conversations: dict[int, LinkDecoder] = {}
    sent: dict[tuple[int, bool], bytearray] = {}
    parts: dict[tuple[int, bool], list[Part]] = {}
    for link, ours, data in messages:
        conversation = conversations.setdefault(link, LinkDecoder())
        sent.setdefault((link, ours), bytearray()).extend(data)
        parts.setdefault((link, ours), []).extend(conversation.feed(ours, data))
    for (link, ours), data in sent.items():
        rest = conversations[link].rest(ours)
        assert rest is None or not whole, f"connection {link}: {rest} waits for more"
        spans = [span for part in parts[link, ours] for span in part.spans()] + ([rest] if rest else [])
        at = 0
        for span in spans:
            assert span.offset == at, f"connection {link}: {span} does not follow byte {at}"
            assert span.data == data[at : at + len(span.data)] and span.data
            assert span.field and "readable" not in span.field, f"connection {link}: {span}"
            at += len(span.data)
        assert at == len(data)
        assert all(part.kind != "unreadable" for part in parts[link, ours])
    return parts
