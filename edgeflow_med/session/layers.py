"""Voxel layers that cost memory only where something is in them."""

from __future__ import annotations

import mmap
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.session.changes import Box, SliceKey

BLOCK = 64


def empty_mask(shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """A mask ``(K, J, I)`` of zeros whose memory is taken page by page, when something is written there.

    numpy's own zeros ask Linux for pages of 2 MB: a stroke on a sagittal slice would take the whole volume's.
    """
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}  # not on Windows
    pages = mmap.mmap(-1, shape[0] * shape[1] * shape[2], **private)
    return np.frombuffer(pages, np.bool_).reshape(shape)


class SparseLayer:
    """Bytes on a grid ``(K, J, I)``, kept in blocks of one slice by 64 by 64; absent ones are zero."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self._blocks: dict[int, dict[tuple[int, int], NDArray[np.uint8]]] = {}  # by k, then by j and i in blocks

    def at(self, key: SliceKey) -> NDArray[np.uint8]:
        """A copy of a slice ``(H, W)``."""
        axis, index = key
        rows, columns = (n for a, n in enumerate(self.shape) if a != axis)
        found = np.zeros((rows, columns), np.uint8)
        if axis == 0:
            for (j, i), block in self._blocks.get(index, {}).items():
                target = found[j * BLOCK : (j + 1) * BLOCK, i * BLOCK : (i + 1) * BLOCK]
                target[...] = block[: target.shape[0], : target.shape[1]]
            return found
        for k, blocks in self._blocks.items():
            for (j, i), block in blocks.items():
                if (j if axis == 1 else i) == index // BLOCK:
                    other = i if axis == 1 else j
                    target = found[k, other * BLOCK : (other + 1) * BLOCK]
                    across = block[index % BLOCK] if axis == 1 else block[:, index % BLOCK]
                    target[...] = across[: len(target)]
        return found

    def flip(self, box: Box, values: NDArray[np.uint8]) -> None:
        """Exclusive or of a box with ``values`` of its shape."""
        k_side, j_side, i_side = box
        for k, j, i in product(range(k_side.start, k_side.stop), _blocks_of(j_side), _blocks_of(i_side)):
            rows, columns = _within(j_side, j), _within(i_side, i)
            part = values[k - k_side.start, _moved(rows, -j_side.start), _moved(columns, -i_side.start)]
            if part.any():
                self._flip_block(k, (j, i), (_moved(rows, -j * BLOCK), _moved(columns, -i * BLOCK)), part)

    def _flip_block(self, k: int, place: tuple[int, int], where: tuple[slice, slice], part: NDArray[np.uint8]) -> None:
        blocks = self._blocks.setdefault(k, {})
        block = blocks.setdefault(place, np.zeros((BLOCK, BLOCK), np.uint8))
        block[where] ^= part
        if not block.any():
            del blocks[place]
            if not blocks:
                del self._blocks[k]

    def slices(self) -> list[int]:
        """Numbers along k of the slices that hold something."""
        return sorted(self._blocks)

    def tobytes(self) -> bytes:
        """All of it, as an array ``(K, J, I)`` would give it."""
        return b"".join(self.at((0, k)).tobytes() for k in range(self.shape[0]))


def _blocks_of(side: slice) -> range:
    """Numbers of the blocks that a side of a box touches."""
    return range(side.start // BLOCK, (side.stop - 1) // BLOCK + 1)


def _within(side: slice, block: int) -> slice:
    """The part of a side that lies in a block."""
    return slice(max(side.start, block * BLOCK), min(side.stop, (block + 1) * BLOCK))


def _moved(side: slice, by: int) -> slice:
    return slice(side.start + by, side.stop + by)
