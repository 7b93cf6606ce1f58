"""Intensity windows of the model: which values become 0 and 1 at its input.

The model's window is its own; the window of the display never changes an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import UsageError
from edgeflow_med.volume import Volume


@dataclass(frozen=True)
class Window:
    """Values ``low`` and below become 0, ``high`` and above become 1; HU for CT, the scanner's unit for MR."""

    name: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise UsageError(f"Window {self.low:g},{self.high:g} is empty; give LOW,HIGH with LOW below HIGH.")

    def apply(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Values of any shape -> float32 of the same shape in [0, 1]."""
        scaled = (values.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.clip(np.nan_to_num(scaled), 0.0, 1.0)

    def __str__(self) -> str:
        return f"{self.name} ({self.low:g} to {self.high:g})"


# Level and width as in radiology teaching texts (e.g. Radiopaedia, "Windowing (CT)"), given as (low, high) in HU.
CT_PRESETS = {
    window.name: window
    for window in (
        Window("soft-tissue", -160, 240),
        Window("lung", -1350, 150),
        Window("mediastinum", -125, 225),
        Window("abdomen", -150, 250),
        Window("liver", -45, 105),
        Window("brain", 0, 80),
        Window("bone", -500, 1300),
    )
}


def looks_like_hu(values: NDArray[np.generic]) -> bool:
    """Whether voxels are plausibly Hounsfield units: air near -1000, tissue near 0, nothing beyond metal."""
    low, high = float(values.min()), float(values.max())
    if low < -5000 or high > 32767 or low > -200:
        return False
    tissue = np.mean(np.greater(values, -200) & np.less(values, 300))
    return bool(tissue > 0.02)


def automatic_window(values: NDArray[np.generic]) -> Window:
    """The 0.5 and 99.5 percentiles of a volume's values: for MR, and for anything whose unit is unknown."""
    step = max(1, values.size // 2_000_000)
    low, high = np.percentile(values.reshape(-1)[::step].astype(np.float32), (0.5, 99.5))
    if not high > low:
        low, high = float(values.min()), float(values.max())
    if not high > low:
        low, high = float(low), float(low) + 1.0
    return Window("automatic", float(low), float(high))


def choose_window(volume: Volume, choice: str | None = None) -> Window:
    """The window for a volume.

    Args:
        volume: What will be segmented.
        choice: Name of a CT preset, ``"automatic"``, ``"LOW,HIGH"``, or None to decide by modality: CT, or values that
            look like HU, get ``soft-tissue``; all else the automatic window.

    Raises:
        UsageError: An unknown name or numbers that are not a window.
    """
    if choice is None:
        is_ct = volume.modality == "CT" or (not volume.modality and looks_like_hu(volume.array))
        return CT_PRESETS["soft-tissue"] if is_ct and looks_like_hu(volume.array) else automatic_window(volume.array)
    if choice == "automatic":
        return automatic_window(volume.array)
    if choice in CT_PRESETS:
        return CT_PRESETS[choice]
    try:
        low, high = (float(part) for part in choice.split(","))
    except ValueError:
        names = ", ".join([*CT_PRESETS, "automatic"])
        raise UsageError(f"Unknown window {choice!r}; give LOW,HIGH or one of {names}.") from None
    return Window("given", low, high)
