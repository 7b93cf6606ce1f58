"""Peers: other methods behind the interface of our own, so that one evaluation measures all alike.

Each peer is one file with its record, where its files come from, and its adapter. ``python -m
benchmarks.quality.install NAME`` fetches what it needs, ``python -m benchmarks.quality.run`` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.quality import (
    cocolvis_hrnet18,
    dios,
    geodesic,
    grabcut,
    graphcut,
    growcut,
    likelihood,
    litemedsam,
    minisam,
    mobilesam,
    random_walker,
    sam2_hiera_tiny,
    superpixels,
)
from benchmarks.quality.peer import Peer
from edgeflow_med.errors import ModelError
from edgeflow_med.predictors.base import Predictor

_ADAPTERS: tuple[tuple[Peer, Callable[[int | None], Predictor]], ...] = (
    (sam2_hiera_tiny.PEER, sam2_hiera_tiny.Sam2HieraTiny),
    (cocolvis_hrnet18.PEER, cocolvis_hrnet18.CocoLvisHrnet18),
    (mobilesam.PEER, mobilesam.MobileSam),
    (litemedsam.PEER, litemedsam.LiteMedSam),
    (minisam.PEER, minisam.MiniSam),
    (dios.PEER, dios.Dios),
    (graphcut.PEER, graphcut.GraphCut),
    (grabcut.PEER, grabcut.GrabCut),
    (random_walker.PEER, random_walker.RandomWalker),
    (growcut.PEER, growcut.GrowCut),
    (geodesic.PEER, geodesic.Geodesic),
    (likelihood.PEER, likelihood.ScribbleLikelihood),
    (superpixels.PEER, superpixels.Superpixels),
)

PEERS: Mapping[str, Peer] = {peer.name: peer for peer, _ in _ADAPTERS}
"""What is known about each peer, by name."""


def load_peer(name: str, threads: int | None = None) -> Predictor:
    """Load a peer.

    Args:
        name: One of :data:`PEERS`.
        threads: Cores for what does not run on torch, which has a setting of its own; None for all.

    Raises:
        ModelError: The name is unknown, or the peer's files are not installed.
    """
    for peer, adapter in _ADAPTERS:
        if peer.name == name:
            return adapter(threads)
    raise ModelError(f"Unknown peer {name!r}; give one of {', '.join(PEERS)}.")
