"""Text as DICOM's short text attributes can hold it."""

from __future__ import annotations


def word(text: str) -> str:
    """A label as a long string (LO) can hold it: one line, no backslash (it separates values), 64 characters."""
    return shortened(" ".join(text.replace("\\", "/").split()), 64)


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= length else text[: length - 3] + "..."
