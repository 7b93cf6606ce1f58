"""EdgeFlow in MONAI: dictionary transforms, an inferer, and what ``python -m monai.bundle run`` needs.

MONAI keeps volumes as ``(1, I, J, K)`` tensors with an affine to RAS mm, this package as ``(K, J, I)`` arrays with an
affine to LPS mm. :mod:`edgeflow_med.monai.geometry` is the one place that knows both; everything else here only calls
the same session and predictor as the command line, so the masks are the same.
"""

from __future__ import annotations

from edgeflow_med.monai.inferer import EdgeFlowInferer, load_bundle_network
from edgeflow_med.monai.transforms import ReadPromptsd, ReadVolumed, WindowIntensityd

__all__ = ["EdgeFlowInferer", "ReadPromptsd", "ReadVolumed", "WindowIntensityd", "load_bundle_network"]
