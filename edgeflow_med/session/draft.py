"""A step in the making: what stands on a slice, and the differences that a decision makes to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.session.changes import Assign, Key, Layer, PackedMask, Patch, SliceKey, Step, make_patch
from edgeflow_med.session.rules import Ground, Neighbour, Outcome, Pixels
from edgeflow_med.session.state import (
    Fixed,
    Origin,
    Overlap,
    SegmentInfo,
    SliceState,
    SliceStatus,
    State,
    crossing,
    plane_of,
)


class Draft:
    """Collects the differences of one step; all slices that it changes lie along one axis, so none meets another.

    Args:
        state: What stands; a draft never changes it.
        values: The volume's voxels ``(K, J, I)``, for an editable range.
    """

    def __init__(self, state: State, values: NDArray[np.generic]) -> None:
        self.state, self.values = state, values
        self._patches: list[Patch] = []
        self._after: dict[Key, object] = {}

    def ground(self, segment: int, key: SliceKey, *, propagating: bool = False) -> Ground:
        """What stands on a slice for a change of one segment."""
        state, policy = self.state, Overlap(str(self.state.options["policy"]))
        others = tuple(
            Neighbour(
                plane_of(state.mask(other), key),
                state.fixed(other).at(key),
                state.infos[other].locked,
                self.anchored(other, key) if propagating and policy is Overlap.OVERWRITE else None,
            )
            for other in state.ids
            if other != segment
        )
        return Ground(
            plane_of(state.mask(segment), key),
            state.fixed(segment).at(key),
            policy,
            state.infos[segment].locked,
            self._editable(key),
            self.anchored(segment, key) if propagating else None,
            others,
        )

    def anchored(self, segment: int, key: SliceKey) -> Pixels | None:
        """``(H, W)``, voxels on slices of any plane that the reader stands behind; None if there are none."""
        found = None
        for other, known in self.state.slices[segment].items():
            if known.status is not SliceStatus.PROPOSED and (other[0] != key[0] or other == key):
                if found is None:
                    found = np.zeros(plane_of(self.state.mask(segment), key).shape, np.bool_)
                line = crossing(found, key, other)
                assert line is not None  # slices along the same axis were left out
                line[...] = True
        return found

    def put(self, segment: int, key: SliceKey, outcome: Outcome, origin: Origin) -> int:
        """Take over what was decided for a slice; returns how many voxels other segments lost."""
        self._change(segment, key, outcome.mask, outcome.fixed, origin)
        taken = 0
        others = [other for other in self.state.ids if other != segment]
        for other, after in zip(others, outcome.others, strict=True):
            if after is not None:
                taken += int(plane_of(self.state.mask(other), key).sum()) - int(after[0].sum())
                self._change(other, key, *after, origin)
        return taken

    def _change(
        self, segment: int, key: SliceKey, mask: Pixels, fixed: NDArray[np.uint8], origin: Origin | None
    ) -> None:
        before = plane_of(self.state.mask(segment), key)
        patch = make_patch(segment, Layer.MASK, key, before, mask)
        if patch is not None:
            self._patches.append(patch)
            if origin is not None:
                info = self.info(segment)
                self.set_info(segment, replace(info, origins=info.origins | {origin}))
            self._reopen(segment, key, before ^ mask)
        patch = make_patch(segment, Layer.FIXED, key, self.state.fixed(segment).at(key), fixed)
        if patch is not None:
            self._patches.append(patch)

    def fill_new(self, segment: int, mask: NDArray[np.generic]) -> None:
        """Start a segment that this step adds from a mask ``(K, J, I)``."""
        for index, plane in enumerate(mask):
            nothing = np.zeros(plane.shape, np.bool_)
            patch = make_patch(segment, Layer.MASK, (0, index), nothing, plane.astype(np.bool_))
            if patch is not None:
                self._patches.append(patch)

    def empty(self, segment: int, key: SliceKey, where: Pixels | None = None) -> None:
        """Take all voxels and all that is fixed from a slice, or only where told."""
        keep = False if where is None else ~where
        mask, fixed = plane_of(self.state.mask(segment), key), self.state.fixed(segment).at(key)
        self._change(segment, key, mask & keep, np.where(keep, fixed, np.uint8(Fixed.FREE)), None)

    def info(self, segment: int) -> SegmentInfo:
        """What is said about a segment, as drafted."""
        value = self._after.get(("info", segment), self.state.infos.get(segment))
        assert isinstance(value, SegmentInfo)  # callers draft changes of segments that exist
        return value

    def set_info(self, segment: int, info: SegmentInfo | None) -> None:
        """Say something else about a segment; None removes it."""
        self._after["info", segment] = info

    def slice_state(self, segment: int, key: SliceKey) -> SliceState | None:
        """What is known of a slice, as drafted."""
        value = self._after.get(("slice", segment, *key), self.state.slice_state(segment, key))
        return value if isinstance(value, SliceState) else None

    def set_slice(self, segment: int, key: SliceKey, known: SliceState | None) -> None:
        """Know something else of a slice; None for nothing."""
        self._after["slice", segment, *key] = known

    def set_option(self, name: str, value: object) -> None:
        """Change what holds for the whole session."""
        self._after["option", name] = value

    def step(self, name: str, kind: str, seconds: float = 0.0) -> Step:
        """All differences together."""
        assigns = tuple(
            Assign(key, before, after) for key, after in self._after.items() if (before := self._before(key)) != after
        )
        return Step(name, kind, tuple(self._patches), assigns, seconds)

    def _before(self, key: Key) -> object:
        match key:
            case ("info", int(segment)):
                return self.state.infos.get(segment)
            case ("slice", int(segment), int(axis), int(index)):
                return self.state.slices.get(segment, {}).get((axis, index))
            case (_, str(name)):
                return self.state.options.get(name)
        raise AssertionError(key)

    def _reopen(self, segment: int, key: SliceKey, changed: Pixels) -> None:
        """Accepted slices, of whatever plane, are no longer so where their voxels change."""
        for other, known in self.state.slices[segment].items():
            if known.status is SliceStatus.ACCEPTED:
                line = crossing(changed, key, other)
                if line is not None and line.any():
                    self.set_slice(segment, other, known.reopened())

    def _editable(self, key: SliceKey) -> Pixels | None:
        """``(H, W)``, where anything may change; None for everywhere."""
        limits = self.state.options.get("editable_range")
        region = self.state.region
        found = None if region is None else plane_of(region, key)
        if isinstance(limits, tuple):
            values = plane_of(self.values, key)
            within = (values >= limits[0]) & (values <= limits[1])
            found = within if found is None else found & within
        return found


def packed_region(mask: NDArray[np.bool_] | None) -> PackedMask | None:
    """An editable region as an option's value."""
    return None if mask is None else PackedMask.of(mask)
