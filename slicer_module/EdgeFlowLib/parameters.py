"""What the reader chose; it is saved with the scene."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class EdgeFlowParameterNode:
    """The parameters of the module; EdgeFlow.ui names them where they are edited."""

    volume: vtkMRMLScalarVolumeNode  # the scan
    segmentation: vtkMRMLSegmentationNode  # where the segments go
    model: str  # folder of a model in weights/
    device: Annotated[str, Choice(["auto", "cpu", "cuda"])] = "auto"  # where the network runs
    window: str  # the model's: a preset's name or LOW,HIGH; empty to decide by modality
    strokeWidthMm: Annotated[float, WithinRange(0.5, 50)] = 3.0  # of a scribble
    rangeSlices: Annotated[int, WithinRange(0, 9999)] = 0  # how far propagation goes in each direction; 0 for no limit
    edges: bool = False  # whether the edge map is shown
