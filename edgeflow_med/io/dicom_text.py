"""Text as the short text attributes of files can hold it."""

from __future__ import annotations

from edgeflow_med.segmentation import Segment


def word(text: str) -> str:
    """A label as a long string (LO) can hold it: one line, no backslash (it separates values), 64 characters."""
    return shortened(printable(text.replace("\\", "/")), 64)


def label_of(segment: Segment) -> str:
    """What a Segment Label says, which may not be empty."""
    return word(segment.label) or f"Segment {segment.number}"


def printable(text: str) -> str:
    """Text on one line, without control characters."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= length else text[: length - 3] + "..."
