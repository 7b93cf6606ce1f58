"""Every error that this package raises on purpose.

    EdgeFlowError
    ├── GeometryError   (ValueError)   grids, affines, indices and masks that do not fit together
    ├── PromptError     (ValueError)   clicks, scribbles and prompt files
    ├── ReadError       (OSError)      an input that cannot be read, or is not what it claims to be
    ├── WriteError      (OSError)      an output that could not be written, or did not read back as written
    ├── ModelError      (LookupError)  a model that is unknown, incomplete or altered
    ├── UsageError      (ValueError)   an option or argument outside what is allowed
    └── StaleQuestion   (RuntimeError) an answer that comes after the session moved on; ask again

A message is one line: what is wrong, what was given, what to do. The command line prints it and exits with status 2.
"""

from __future__ import annotations


class EdgeFlowError(Exception):
    """Base of all errors raised on purpose."""


class GeometryError(EdgeFlowError, ValueError):
    """Grids, affines, indices or masks that do not fit together."""


class PromptError(EdgeFlowError, ValueError):
    """A click, scribble or prompt file that cannot be used."""


class ReadError(EdgeFlowError, OSError):
    """An input that cannot be read, or is not what it claims to be."""


class WriteError(EdgeFlowError, OSError):
    """An output that could not be written, or did not read back as written."""


class ModelError(EdgeFlowError, LookupError):
    """A model that is unknown, incomplete or altered."""


class UsageError(EdgeFlowError, ValueError):
    """An option or argument outside what is allowed."""


class StaleQuestion(EdgeFlowError, RuntimeError):  # noqa: N818 - nothing went wrong: it only came too late
    """An answer to a question that a session has moved on from; ask again."""
