"""Sheared grids (gantry tilt) resampled to right angles, for those who ask for it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from scipy import ndimage

from edgeflow_med.io.dicom.padding import AIR_HU
from edgeflow_med.volume import Volume

# Up to this angle in degrees a grid counts as right-angled.
_RIGHT_DEGREES = 0.01


def straightened(volume: Volume) -> Volume:
    """A volume on a grid whose slices follow their own normal; the same volume if they do already.

    Slices keep their planes and pixels their size: every slice is shifted within its plane, by linear interpolation,
    and the grid grows so that nothing is cut off. What lies outside the scan is air (-1000) for CT, else the lowest
    value. The result is float32 and has no headers, since its slices are no longer those of the DICOM instances.
    """
    step, column, row = volume.affine[:3, :3].T
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    straight = normal * (step @ normal)
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(step - straight), abs(step @ normal))))
    if tilt < _RIGHT_DEGREES:
        return volume
    affine = volume.affine.copy()
    affine[:3, 0] = straight
    ends = [(0, n - 1) for n in volume.shape]
    corners = (volume.position(list(product(*ends))) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    low, high = np.floor(corners.min(axis=0) + 1e-6), np.ceil(corners.max(axis=0) - 1e-6)
    affine[:3, 3] += affine[:3, :3] @ low
    shape = tuple(int(n) for n in high - low + 1)
    back = np.linalg.inv(volume.affine) @ affine
    air = AIR_HU if volume.modality == "CT" else float(volume.array.min())
    array = ndimage.affine_transform(
        volume.array.astype(np.float32),
        back[:3, :3],
        back[:3, 3],
        output_shape=shape,
        order=1,
        mode="grid-constant",
        cval=air,
    )
    note = f"The slices were sheared by {tilt:.1f} degrees (gantry tilt) and were resampled to a right-angled grid."
    kept = tuple(line for line in volume.warnings if "sheared by" not in line)
    return replace(volume, array=array, affine=affine, headers=(), warnings=(*kept, note))
