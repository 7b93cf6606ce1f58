"""The readers without their child process, which has tests of its own: many times faster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeflow_med.io import SeriesInfo, local
from edgeflow_med.segmentation import Segmentation
from edgeflow_med.volume import Volume


def read_volume(path: Path | Sequence[Path], **options: Any) -> Volume:
    return local.read_volume(_paths(path), **options)


def list_series(path: Path | Sequence[Path]) -> list[SeriesInfo]:
    return local.list_series(_paths(path))


def read_segmentation(path: Path, volume: Volume) -> Segmentation:
    return local.read_segmentation(_paths(path), volume)


def _paths(path: Path | Sequence[Path]) -> list[Path]:
    return [path] if isinstance(path, Path) else list(path)
