"""Sizes that files claim, checked before memory is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeflow_med.errors import ReadError

# The most voxels that one volume may have: 2 gigavoxels, 8 GB as float32.
MAX_VOXELS = 2**31
# No deflate stream unfolds to more than 1032 times its length (RFC 1951: 258 bytes from two bits).
MAX_UNFOLDING = 1032


def check_claim(name: str, shape: Sequence[int], voxel_bytes: int, file_bytes: int, *, packed: bool) -> None:
    """Refuse an image that is larger than anything we read, or than its file can hold.

    Args:
        name: The file, for the message.
        shape: What its header claims.
        voxel_bytes: Bytes of one voxel.
        file_bytes: Bytes of the file that holds the voxels.
        packed: Whether they are deflated.

    Raises:
        ReadError: It cannot be so.
    """
    voxels = math.prod(int(n) for n in shape)
    claimed = " x ".join(str(n) for n in shape)
    if voxels > MAX_VOXELS:
        raise ReadError(f"{name} claims {claimed} voxels, more than {MAX_VOXELS}; it is broken, or cut it into parts.")
    if voxels * voxel_bytes > file_bytes * (MAX_UNFOLDING if packed else 1):
        raise ReadError(f"{name} claims {claimed} voxels, but {file_bytes} bytes cannot hold them; it is truncated.")
