"""What there is to read at a path: one entry per volume."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.volume import Index, Volume


@dataclass(frozen=True)
class SeriesInfo:
    """One readable volume, or one that cannot be read and why.

    Attributes:
        name: What ``series=`` accepts: a Series Instance UID, ``UID#2`` for the second stack of a series, or empty.
        path: Where its files lie.
        modality: ``"CT"``, ``"MR"`` ...; empty if the file does not say.
        description: Series description or file name.
        shape: ``(K, J, I)``.
        spacing: mm along k, j and i.
        orientation: Letters of the directions of k, j and i, e.g. ``"SPL"``.
        affine: Index (k, j, i, 1) to LPS mm, row by row; None if there is no grid.
        warnings: One line each.
        error: The line that reading it would give; empty if it can be read.
    """

    name: str
    path: str
    modality: str = ""
    description: str = ""
    shape: Index | None = None
    spacing: tuple[float, float, float] | None = None
    orientation: str = ""
    affine: tuple[tuple[float, ...], ...] | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""

    def with_error(self, error: str) -> SeriesInfo:
        """The same, as not readable."""
        return replace(self, error=error)

    def with_grid(self, affine: NDArray[np.float64], notes: tuple[str, ...] = ()) -> SeriesInfo:
        """The same, with its geometry and what was noticed about it."""
        grid = Volume(np.broadcast_to(np.uint8(0), self.shape or (1, 1, 1)), affine)
        return replace(
            self,
            spacing=grid.spacing,
            orientation=grid.orientation,
            affine=tuple(tuple(row) for row in affine.tolist()),
            warnings=(*self.warnings, *notes),
        )

    def to_json(self) -> dict[str, object]:
        """Plain lists, numbers and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> SeriesInfo:
        """The inverse of `to_json`, after a passage through JSON."""
        for key in ("shape", "spacing", "warnings"):
            words[key] = None if words[key] is None else tuple(words[key])
        if words["affine"] is not None:
            words["affine"] = tuple(tuple(row) for row in words["affine"])
        return cls(**words)
