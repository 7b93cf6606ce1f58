"""Voxels that nobody measured: padding around a round field of view, and missing slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

AIR_HU = -1000


class Padding:
    """Padding voxels of a volume, collected slice by slice (PS3.3 C.7.5.1.1.2).

    A padding value that lies among the measured ones is left alone: such headers are often wrong, and would punch holes
    into tissue. One beyond all of them, like -32768, would spoil every window and statistic, so those voxels are read
    as the lowest value that was measured.
    """

    def __init__(self) -> None:
        self._masks: dict[int, NDArray[np.uint8]] = {}
        self._padded: list[float] = []
        self._measured: list[float] = []

    def note(self, k: int, stored: NDArray[Any], values: NDArray[Any], header: Dataset) -> None:
        """Remember which voxels of slice ``k`` are padding; ``values`` are the stored ones rescaled."""
        mask = _padding_of(stored, header)
        measured = values if mask is None else values[~mask]
        if measured.size:
            self._measured += [float(measured.min()), float(measured.max())]
        if mask is not None and mask.any():
            self._masks[k] = np.packbits(mask)
            self._padded += [float(values[mask].min()), float(values[mask].max())]

    @property
    def lowest(self) -> float:
        """The lowest measured value; 0 if there is none."""
        return min(self._measured, default=0.0)

    def level(self, array: NDArray[Any]) -> None:
        """Give padding beyond all measured values the lowest of them, in place."""
        if not self._padded or not self._measured:
            return
        if min(self._padded) < self.lowest or max(self._padded) > max(self._measured):
            for k, packed in self._masks.items():
                mask = np.unpackbits(packed, count=array[k].size).reshape(array[k].shape).astype(np.bool_)
                array[k][mask] = self.lowest


def _padding_of(stored: NDArray[Any], header: Dataset) -> NDArray[np.bool_] | None:
    """Which stored values are padding; None if the header says of none."""
    ends = [header.get(keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if not isinstance(ends[0], int):
        return None
    # Headers often give the value unsigned where the pixels are signed, so it is taken by its bits.
    known = [int(np.int64(end).astype(stored.dtype)) for end in ends if isinstance(end, int)]
    return np.asarray((stored >= min(known)) & (stored <= max(known)))
