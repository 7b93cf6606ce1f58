"""A scan on its grid.

Axis order is always (k, j, i): slice, row, column, zero-based, the centre of a voxel at the integer. Positions are
millimetres in DICOM's patient frame LPS (x to the patient's left, y to posterior, z to the head).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeflow_med.errors import GeometryError

if TYPE_CHECKING:
    from pydicom import Dataset

Index = tuple[int, int, int]


class Plane(StrEnum):
    """The anatomical plane of a slice; on an oblique volume, the index plane nearest to it."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


_NORMALS = {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))


@dataclass(frozen=True)
class Source:
    """Where a volume was read from, and how, so that it can be read again.

    Attributes:
        path: A file, or the folder with its files.
        modality: What the caller said it is, if the file did not say; else None.
        allow_gaps: Missing slices were filled.
        straighten: A sheared grid was resampled.
    """

    path: Path
    modality: str | None = None
    allow_gaps: bool = False
    straighten: bool = False


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels, where they lie, and what they came from.

    Attributes:
        array: ``(K, J, I)`` real numbers; Hounsfield units for CT.
        affine: ``(4, 4)`` float64, maps index ``(k, j, i, 1)`` to LPS mm.
        modality: DICOM's word, ``"CT"`` or ``"MR"``; empty if unknown.
        name: What to call it in messages and reports; never the patient's name.
        headers: For DICOM, one dataset per slice without pixels, in the order of ``k``; else empty.
        warnings: What the reader noticed, one line each.
        source: Where it was read from; None for one made in memory.
    """

    array: NDArray[np.generic]
    affine: NDArray[np.float64]
    modality: str = ""
    name: str = "volume"
    headers: tuple[Dataset, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    source: Source | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        array, affine = np.asarray(self.array), np.asarray(self.affine, dtype=np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise GeometryError(
                f"A volume needs three non-empty axes (k, j, i), got shape {array.shape}; give one scan."
            )
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError("The affine is not an invertible (4, 4) matrix; give index (k, j, i, 1) to LPS mm.")
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> Index:
        """``(K, J, I)``."""
        k, j, i = self.array.shape
        return k, j, i

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbours along k, j and i."""
        k, j, i = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return k, j, i

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def orientation(self) -> str:
        """Letters of the directions in which k, j and i grow, e.g. ``"SPL"`` for a plain axial series."""
        letters = [""] * 3
        for axis, world in enumerate(self._world_axes):
            letters[axis] = _LETTERS[world][0 if self.affine[world, axis] > 0 else 1]
        return "".join(letters)

    @cached_property
    def _world_axes(self) -> tuple[int, ...]:
        """For each index axis the patient axis (0 = L, 1 = P, 2 = S) that it follows best, each used once."""
        cosines = np.abs(self.affine[:3, :3]) / np.asarray(self.spacing)
        return max(permutations(range(3)), key=lambda p: sum(cosines[w, a] for a, w in enumerate(p)))

    def axis(self, plane: Plane | str) -> int:
        """The index axis (0, 1 or 2) that steps through the slices of ``plane``."""
        return self._world_axes.index(_NORMALS[Plane(plane)])

    def plane(self, axis: int) -> Plane:
        """The plane of the slices that index axis 0, 1 or 2 steps through."""
        return next(plane for plane in Plane if self.axis(plane) == axis)

    @property
    def acquisition_plane(self) -> Plane:
        """The plane that axis k steps through."""
        return self.plane(0)

    def plane_along(self, across: ArrayLike, down: ArrayLike) -> Plane:
        """The plane of this grid nearest to one that is spanned by two LPS directions, e.g. a view's.

        Raises:
            GeometryError: The directions are parallel.
        """
        first, second = (np.asarray(direction, dtype=np.float64) for direction in (across, down))
        normal = np.cross(first, second)
        if not np.linalg.norm(normal) > 0:
            raise GeometryError(f"Directions {first} and {second} span no plane; give two that are not parallel.")
        normals = np.linalg.inv(self.affine[:3, :3])  # row n is perpendicular to the slices that axis n steps through
        cosines = np.abs(normals @ normal) / np.linalg.norm(normals, axis=1)
        return self.plane(int(cosines.argmax()))

    def position(self, index: ArrayLike) -> NDArray[np.float64]:
        """LPS mm of indices ``(..., 3)``."""
        index = np.asarray(index, dtype=np.float64)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def index(self, position: ArrayLike) -> NDArray[np.float64]:
        """Fractional indices ``(..., 3)`` of LPS positions in mm."""
        position = np.asarray(position, dtype=np.float64)
        return (position - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def contains(self, index: Sequence[float]) -> bool:
        """Whether an index lies on the grid."""
        return len(index) == 3 and all(0 <= v <= n - 1 for v, n in zip(index, self.shape, strict=True))

    def nearest(self, index: ArrayLike) -> Index:
        """The voxel nearest to a fractional index."""
        k, j, i = np.clip(np.round(np.asarray(index)), 0, np.subtract(self.shape, 1)).astype(int).tolist()
        return k, j, i

    def same_grid(self, affine: ArrayLike, shape: Sequence[int], tolerance_mm: float = 1e-2) -> bool:
        """Whether another grid has this shape and its corners within ``tolerance_mm`` of this one's."""
        if tuple(shape) != self.shape:
            return False
        corners = np.array(
            [(k, j, i, 1) for k in (0, shape[0] - 1) for j in (0, shape[1] - 1) for i in (0, shape[2] - 1)]
        )
        return bool(np.abs(corners @ (np.asarray(affine, dtype=np.float64) - self.affine).T).max() <= tolerance_mm)
