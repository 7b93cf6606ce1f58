"""What the reader chose; it is saved with the scene."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class EdgeFlowParameterNode:
    """The parameters of the module; EdgeFlow.ui names them where they are edited.

    Attributes:
        volume: The scan.
        segmentation: Where the segments go.
        model: Folder of a model in ``weights/``.
        device: Where the network runs.
        window: The model's window: a preset's name or LOW,HIGH; empty to decide by modality.
        strokeWidthMm: Width of a scribble.
        rangeSlices: How far propagation goes in each direction; 0 for no limit.
        edges: Whether the edge map is shown.
    """

    volume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    model: str
    device: Annotated[str, Choice(["auto", "cpu", "cuda"])] = "auto"
    window: str
    strokeWidthMm: Annotated[float, WithinRange(0.5, 50)] = 3.0
    rangeSlices: Annotated[int, WithinRange(0, 9999)] = 0
    edges: bool = False
