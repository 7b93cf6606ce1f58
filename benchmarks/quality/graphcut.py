"""Boykov and Jolly's graph cuts: the predictor that readers get with ``--model graphcut``."""

from __future__ import annotations

from benchmarks.quality.peer import Package, Peer
from edgeflow_med.predictors.graphcut import NAME, GraphCutPredictor

PEER = Peer(
    name=NAME,
    title="graph cut (Boykov-Jolly)",
    code_licence="BSD-3-Clause",
    weights_licence="",
    parameters=0.0,
    megabytes=0.2,
    prompts=("scribbles",),
    seen="no: nothing is trained",
    package=Package(
        registry="pypi",
        name="numpymaxflow",
        version="0.0.7",
        sha256="a1ca70c90d11ffeaa0ef9f173cf9093f8f0d7f3cd697340544dee01f4577fc34",
        source=True,
    ),
    adapts=(
        "without a negative stroke the border region of the slice is taken for background; "
        "only pieces that a positive stroke touches are kept"
    ),
)


class GraphCut(GraphCutPredictor):
    """The predictor, with numpymaxflow from this benchmark's cache."""

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  the algorithm runs on one
        with PEER.on_path():
            super().__init__()
