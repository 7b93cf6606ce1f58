"""What tests of a session's actions share: a predictor that keeps what it was asked, and a session with it."""

from __future__ import annotations

from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.session import Session, SliceStatus
from edgeflow_med.volume import Plane
from tests.strategies import Grower

MIDDLE = (3, 4, 5)


class Watcher(Grower):
    """Keeps the requests."""

    def __init__(self) -> None:
        self.seen: list[SliceRequest] = []

    def predict(self, request: SliceRequest) -> Prediction:
        self.seen.append(request)
        return super().predict(request)


def status(session: Session, index: int, plane: Plane = Plane.AXIAL) -> SliceStatus | None:
    known = session.segments[0].slices.get((session.volume.axis(plane), index))
    return None if known is None else known.status
