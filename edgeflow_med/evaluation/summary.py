"""From records to figures: means per data set, and over data sets, with bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.evaluation.protocol import SliceRecord

THRESHOLDS = (0.80, 0.85, 0.90)
FAILURE = 0.85
"""A target whose IoU never reaches this counts as a failure."""
RESAMPLES = 2000
MIN_CASES = 5
"""With fewer cases than this, confidence intervals resample targets instead of whole cases, and are too narrow."""

LARGER_TARGETS = 400
"""Data sets whose median target has at least so many pixels get a mean of their own: tiny targets are another task."""

Figures = dict[str, float]
Interval = tuple[float, float]


def slice_values(records: Sequence[SliceRecord], limit: int, unit: str) -> dict[str, NDArray[np.float64]]:
    """One value per record for every figure that is a mean over targets.

    Args:
        records: Of one data set and one robot.
        limit: Interactions that count for a target that never got there.
        unit: ``"mm"`` or ``"px"``, part of the distances' names.
    """
    rows = [_slice_row(record, limit, unit) for record in records]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _slice_row(record: SliceRecord, limit: int, unit: str) -> Figures:
    row = {f"noc{round(100 * level)}": float(record.interactions_to(level, limit)) for level in THRESHOLDS}
    row["failures85"] = float(max(record.iou) < FAILURE)
    for mark, measures in record.measures.items():
        row |= {f"hd95_{unit}@{mark}" if name == "hd95" else f"{name}@{mark}": v for name, v in measures.items()}
    return row


def slice_summary(records: Sequence[SliceRecord], limit: int, unit: str) -> Figures:
    """The figures of one data set and one robot; times are medians, all else means."""
    figures: Figures = {"targets": len(records), "pixels_median": float(np.median([r.pixels for r in records]))}
    figures |= {name: float(column.mean()) for name, column in slice_values(records, limit, unit).items()}
    figures["obeyed"] = float(np.mean([value for r in records for value in r.obeyed]))
    figures["kept"] = float(np.mean([value for r in records for value in r.kept]))
    errors = [abs(q - i) for r in records for q, i in zip(r.quality, r.iou, strict=True)]
    figures["quality_error"] = float(np.mean(errors))
    figures["seconds_first"] = float(np.median([r.seconds[0] for r in records]))
    later = [seconds for r in records for seconds in r.seconds[1:]]
    if later:
        figures["seconds_later"] = float(np.median(later))
    return figures


def slice_intervals(records: Sequence[SliceRecord], limit: int, unit: str, seed: int) -> dict[str, Interval]:
    """95 % bootstrap percentile intervals of the means over targets; cases are resampled where there are enough."""
    values = slice_values(records, limit, unit)
    names = sorted({r.case for r in records})
    groups = [[n for n, r in enumerate(records) if r.case == name] for name in names]
    if len(groups) < MIN_CASES:
        groups = [[n] for n in range(len(records))]
    weights = _resampled_weights(groups, len(records), seed)
    means = {name: weights @ column for name, column in values.items()}
    return {name: _percentiles(mean) for name, mean in means.items()}


def with_means(summaries: Mapping[str, Figures]) -> dict[str, Figures]:
    """Add ``"mean"``, over all data sets, and ``"mean of larger"``, over those with larger targets."""
    if not summaries:
        return {}
    larger = {name: f for name, f in summaries.items() if f.get("pixels_median", np.inf) >= LARGER_TARGETS}
    means = {"mean": mean_over_sets(summaries)}
    if 0 < len(larger) < len(summaries):
        means["mean of larger"] = mean_over_sets(larger)
    return {**summaries, **means}


def mean_over_sets(summaries: Mapping[str, Figures]) -> Figures:
    """The mean over data sets of every figure, each over the sets that have it; counts of targets are added up."""
    names = dict.fromkeys(name for figures in summaries.values() for name in figures)
    mean: Figures = {}
    for name in names:
        column = [figures[name] for figures in summaries.values() if name in figures]
        mean[name] = float(np.sum(column) if name in ("targets", "objects") else np.mean(column))
    return mean


def iou_curve(records: Sequence[SliceRecord], limit: int) -> list[float]:
    """Mean IoU after 1, 2, ... ``limit`` interactions."""
    return [float(np.mean([r.iou_after(n) for r in records])) for n in range(1, limit + 1)]


def _resampled_weights(groups: Sequence[Sequence[int]], size: int, seed: int) -> NDArray[np.float64]:
    """``(RESAMPLES, size)``: the weight of each record in each resample's mean."""
    member = np.zeros((len(groups), size))
    for number, group in enumerate(groups):
        member[number, list(group)] = 1.0
    draws = np.random.default_rng(seed).multinomial(len(groups), np.full(len(groups), 1 / len(groups)), RESAMPLES)
    weights: NDArray[np.float64] = draws @ member
    return weights / weights.sum(axis=1, keepdims=True)


def _percentiles(means: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(means, (2.5, 97.5)).tolist()
    return low, high
