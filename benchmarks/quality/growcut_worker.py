"""GrowCut of 3D Slicer's own libraries, for :mod:`benchmarks.quality.growcut`; runs in the environment that has them.

Reads from standard input, again and again: K, J, I as int32, an image as float32 and seeds as uint8 (0 none), both
``(K, J, I)``; writes to standard output what each voxel was given, as uint8.
"""

from __future__ import annotations

import sys

import numpy as np
import vtk
from slicer import vtkImageGrowCutSegment
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy


def to_image(array):
    """A VTK image that holds an array ``(K, J, I)``."""
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(array.ravel(), deep=True))
    return image


def main() -> None:
    """Answer until the input ends."""
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while header := source.read(12):
        shape = tuple(np.frombuffer(header, np.int32))
        count = int(np.prod(shape))
        intensity = np.frombuffer(source.read(4 * count), np.float32).reshape(shape)
        seeds = np.frombuffer(source.read(count), np.uint8).reshape(shape)
        grower = vtkImageGrowCutSegment()
        grower.SetIntensityVolume(to_image(intensity))
        grower.SetSeedLabelVolume(to_image(seeds))
        grower.Update()
        found = vtk_to_numpy(grower.GetOutput().GetPointData().GetScalars()).reshape(seeds.shape)
        answers.write(found.astype(np.uint8).tobytes())
        answers.flush()


if __name__ == "__main__":
    main()
