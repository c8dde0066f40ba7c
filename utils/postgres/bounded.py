"""Lists of names and sentences from the data, short enough for an execution."""

from __future__ import annotations

import msgspec

from utils.foreign_text import MAX_SENTENCE, one_line

# An execution whose data outgrow 256 KiB dies where no Catch can see it; a cluster may hold a role for each customer.
MAX_LISTED = 50
MAX_LISTED_BYTES = 16 * 1024


def shortened(texts: list[str]) -> list[str]:
    """Return the first texts, each on one line, and how many more there are. Bytes are counted as sent: escaped."""
    texts = [one_line(text, MAX_SENTENCE) for text in texts]
    room, kept = MAX_LISTED_BYTES, 0
    for text in texts[:MAX_LISTED]:
        room -= len(msgspec.json.encode(text))
        if room < 0:
            break
        kept += 1
    more = len(texts) - kept
    return [*texts[:kept], f"and {more} more"] if more else texts
