"""The interface between everything that asks for a slice and whatever answers.

A predictor is stateless: a request carries all that the answer depends on. Whatever answers requests (PyTorch, ONNX, a
remote server, a peer method in a benchmark) can stand in for any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stroke:
    """A click, a scribble or the outline of a region on the slice, in pixels (row, column), centres at integers.

    Attributes:
        points: ``(P, 2)`` rows and columns; one point for a click.
        positive: Belongs to the segment, or not.
        width: Width in pixels of the slice's finer axis; 0 for a click.
        closed: The points go round a region that holds the whole segment (box, lasso); the last joins the first.
        diameter: Length of a measured line, the segment's longest diameter, in pixels of the slice's finer axis; 0 for
            all else.
    """

    points: tuple[tuple[float, float], ...]
    positive: bool = True
    width: float = 0.0
    closed: bool = False
    diameter: float = 0.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """An answer for one slice.

    Attributes:
        probability: ``(H, W)`` float32 in [0, 1]; foreground at 0.5 and above.
        edge: ``(H, W)`` float32 in [0, 1], probability of the outline.
        quality: Expected IoU of the mask with what the reader means, in [0, 1].
    """

    probability: NDArray[np.float32]
    edge: NDArray[np.float32]
    quality: float

    @property
    def mask(self) -> NDArray[np.bool_]:
        """``(H, W)`` bool."""
        return self.probability >= 0.5


@dataclass(frozen=True, eq=False)
class SliceRequest:
    """A question about one slice.

    Attributes:
        image: ``(H, W)`` float32 in [0, 1], already windowed.
        spacing: Millimetres between rows and between columns.
        strokes: All clicks and scribbles of this segment on this slice so far, oldest first.
        previous: The last answer on this slice, or during propagation the neighbouring slice's; None at the start.
        propagated: ``previous`` belongs to a neighbouring slice, not to this one.
        excluded: ``(H, W)`` bool, pixels that belong to other segments: evidence against, and background in the answer.
    """

    image: NDArray[np.float32]
    spacing: tuple[float, float] = (1.0, 1.0)
    strokes: tuple[Stroke, ...] = ()
    previous: Prediction | None = None
    propagated: bool = False
    excluded: NDArray[np.bool_] | None = None


@runtime_checkable
class Predictor(Protocol):
    """Whatever answers a :class:`SliceRequest`."""

    @property
    def name(self) -> str:
        """Model name, as given to ``load_predictor``."""

    @property
    def version(self) -> str:
        """Version or checksum that goes into files."""

    @property
    def device(self) -> str:
        """Where it runs, e.g. ``"cpu"`` or ``"cuda (NVIDIA H200)"``."""

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; the result has the shape of ``request.image``."""
