"""What a session knows at one moment: small immutable values, and two voxel layers per segment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.predictors.base import Prediction
from edgeflow_med.prompts import Prompt
from edgeflow_med.segmentation import LESION, MORPHOLOGICALLY_ABNORMAL, PALETTE, AlgorithmType, Code
from edgeflow_med.session.changes import Layer, PackedMask, PackedPrediction, SliceKey, Step
from edgeflow_med.session.layers import SparseLayer, empty_mask

Scalar = TypeVar("Scalar", bound=np.generic)


class Overlap(StrEnum):
    """What happens where a segment grows into another one; locked segments are never touched."""

    KEEP_OTHERS = "keep-others"
    ALLOW = "allow"
    OVERWRITE = "overwrite"


class SliceStatus(StrEnum):
    """Who stands behind a slice of a segment."""

    ANNOTATED = "annotated"
    PROPOSED = "proposed"
    ACCEPTED = "accepted"


class Fixed(IntEnum):
    """What the reader said about a voxel of a segment, and how; no prediction changes a voxel that is not FREE."""

    FREE = 0
    PROMPTED_OUT = 1
    PROMPTED_IN = 2
    PAINTED_OUT = 3
    PAINTED_IN = 4


class Origin(StrEnum):
    """Where voxels of a segment came from."""

    IMPORT = "import"
    NETWORK = "network"
    TOOL = "tool"
    HAND = "hand"


@dataclass(frozen=True)
class SliceState:
    """What is known of one slice of one segment.

    Attributes:
        status: Annotated by the reader, proposed by propagation, or accepted by the reader.
        prompts: What the reader said on this slice, oldest first.
        packed: The last answer at 8 bits; None if nobody was asked.
        quality: How good the last answer is expected to be, in [0, 1]; None if nobody was asked.
        flagged: Marked for another look.
        comment: The reader's remark.
        edited: Painted, erased or edited by hand.
    """

    status: SliceStatus
    prompts: tuple[Prompt, ...] = ()
    packed: PackedPrediction | None = field(default=None, repr=False)
    quality: float | None = None
    flagged: bool = False
    comment: str = ""
    edited: bool = False

    @property
    def answer(self) -> Prediction | None:
        """The last answer, unpacked; what stands in the mask may differ where the reader or a lock said otherwise."""
        return None if self.packed is None else self.packed.unpack()

    def reopened(self) -> SliceState:
        """Not accepted any more: back to what it was before."""
        if self.status is not SliceStatus.ACCEPTED:
            return self
        by_reader = bool(self.prompts) or self.edited
        return replace(self, status=SliceStatus.ANNOTATED if by_reader else SliceStatus.PROPOSED)


@dataclass(frozen=True)
class SegmentInfo:
    """What is said about a segment apart from its voxels; see :class:`edgeflow_med.segmentation.Segment`.

    Attributes:
        origins: Where its voxels came from.
        imported_type: How an imported mask says that it came to be.
        model: Name and version of the model that answered last; empty if none did.
        tracking_id: What people call the finding over time; empty for the label.
        region: Where in the body it lies, coded; None if nobody said.
    """

    label: str
    colour: tuple[int, int, int] = PALETTE[0]
    category: Code = MORPHOLOGICALLY_ABNORMAL
    type: Code = LESION
    tracking_uid: str = ""
    locked: bool = False
    origins: frozenset[Origin] = frozenset()
    imported_type: AlgorithmType = AlgorithmType.AUTOMATIC
    model: tuple[str, str] = ("", "")
    tracking_id: str = ""
    region: Code | None = None

    @property
    def algorithm_type(self) -> AlgorithmType:
        """How its voxels came to be, told truthfully: unchanged imports keep their type, all by hand is MANUAL."""
        if self.origins == {Origin.IMPORT}:
            return self.imported_type
        by_hand = {Origin.HAND} | ({Origin.IMPORT} if self.imported_type is AlgorithmType.MANUAL else set())
        return AlgorithmType.MANUAL if self.origins and self.origins <= by_hand else AlgorithmType.SEMIAUTOMATIC


class State:
    """The mutable sum of all steps so far; only :meth:`apply` changes it.

    Attributes:
        shape: ``(K, J, I)`` of the volume.
        infos: By segment id.
        slices: By segment id, then by (axis, slice number).
        options: What holds for the whole session, by name.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.infos: dict[int, SegmentInfo] = {}
        self.slices: dict[int, dict[SliceKey, SliceState]] = {}
        self.options: dict[str, object] = {}
        self._masks: dict[int, NDArray[np.bool_]] = {}
        self._fixed: dict[int, SparseLayer] = {}
        self._region: tuple[PackedMask, NDArray[np.bool_]] | None = None

    @property
    def ids(self) -> list[int]:
        """Segments that exist, in the order in which they were added."""
        return sorted(self.infos)

    def mask(self, segment: int) -> NDArray[np.bool_]:
        """``(K, J, I)`` bool; not to be written to."""
        return self._masks[segment]

    def fixed(self, segment: int) -> SparseLayer:
        """What the reader fixed, as codes of :class:`Fixed`; not to be written to."""
        return self._fixed[segment]

    def slice_state(self, segment: int, key: SliceKey) -> SliceState | None:
        """What is known of a slice; None if nothing."""
        return self.slices[segment].get(key)

    @property
    def region(self) -> NDArray[np.bool_] | None:
        """The editable region ``(K, J, I)``, unpacked; None if there is no limit."""
        packed = self.options.get("editable_region")
        if not isinstance(packed, PackedMask):
            self._region = None
            return None
        if self._region is None or self._region[0] is not packed:
            self._region = packed, packed.unpack()
        return self._region[1]

    def apply(self, step: Step) -> None:
        """Go one step; its inverse goes back."""
        for assign in step.assigns:
            if assign.key[0] == "info" and assign.after is not None and assign.key[1] not in self.infos:
                self._create(int(assign.key[1]))
        for patch in step.patches:
            if patch.layer is Layer.MASK:
                self._masks[patch.segment][patch.box] ^= patch.flips().view(np.bool_)
            else:
                self._fixed[patch.segment].flip(patch.box, patch.flips())
        for assign in step.assigns:
            match assign.key:
                case ("info", int(segment)):
                    self._set_info(segment, assign.after)
                case ("slice", int(segment), int(axis), int(index)):
                    self._set_slice(segment, (axis, index), assign.after)
                case ("option", str(name)):
                    self.options[name] = assign.after
        for segment in [known for known in self.slices if known not in self.infos]:
            del self.slices[segment], self._masks[segment], self._fixed[segment]

    def _create(self, segment: int) -> None:
        self.slices[segment] = {}
        self._masks[segment] = empty_mask(self.shape)
        self._fixed[segment] = SparseLayer(self.shape)

    def _set_info(self, segment: int, value: object) -> None:
        if isinstance(value, SegmentInfo):
            self.infos[segment] = value
        else:
            self.infos.pop(segment, None)

    def _set_slice(self, segment: int, key: SliceKey, value: object) -> None:
        if isinstance(value, SliceState):
            self.slices[segment][key] = value
        else:
            self.slices[segment].pop(key, None)


def plane_of(array: NDArray[Scalar], key: SliceKey) -> NDArray[Scalar]:
    """A slice ``(H, W)`` of ``(K, J, I)``, as a view."""
    axis, index = key
    return array[(slice(None),) * axis + (index,)]


def crossing(pixels: NDArray[np.bool_], key: SliceKey, other: SliceKey) -> NDArray[np.bool_] | None:
    """Those pixels ``(H, W)`` of slice ``key`` that also lie on slice ``other``, as a view; None if they never meet."""
    if key[0] == other[0]:
        return pixels if key[1] == other[1] else None
    rows = next(axis for axis in range(3) if axis != key[0])
    return pixels[other[1]] if other[0] == rows else pixels[:, other[1]]


class SegmentState:
    """One segment of a session, as it is now; read-only, and the same object for the life of the session.

    Attributes:
        id: Its number, never given to another segment.
    """

    def __init__(self, state: State, segment: int) -> None:
        self._state, self.id = state, segment

    def __repr__(self) -> str:
        return f"SegmentState({self.id}, {self.label!r})" if self.exists else f"SegmentState({self.id}, removed)"

    @property
    def exists(self) -> bool:
        """Whether it is part of the session now; False once it was removed or its adding undone."""
        return self.id in self._state.infos

    @property
    def info(self) -> SegmentInfo:
        """All of its values at once."""
        return self._state.infos[self.id]

    @property
    def label(self) -> str:
        """Its name."""
        return self.info.label

    @property
    def colour(self) -> tuple[int, int, int]:
        """RGB, 0 to 255."""
        return self.info.colour

    @property
    def category(self) -> Code:
        """Coded property category."""
        return self.info.category

    @property
    def type(self) -> Code:
        """Coded property type."""
        return self.info.type

    @property
    def tracking_uid(self) -> str:
        """Identifies the same finding over time."""
        return self.info.tracking_uid

    @property
    def locked(self) -> bool:
        """Whether nothing may change its voxels."""
        return self.info.locked

    @property
    def algorithm_type(self) -> AlgorithmType:
        """How its voxels came to be."""
        return self.info.algorithm_type

    @property
    def mask(self) -> NDArray[np.bool_]:
        """``(K, J, I)`` bool, a read-only view of what stands now."""
        view = self._state.mask(self.id).view()
        view.flags.writeable = False
        return view

    @property
    def slices(self) -> dict[SliceKey, SliceState]:
        """What is known of its slices, by (axis, slice number); a copy."""
        return dict(self._state.slices[self.id])

    @property
    def proposed(self) -> list[SliceKey]:
        """Slices that propagation filled and nobody has accepted, in order."""
        known = self._state.slices[self.id]
        return sorted(key for key, value in known.items() if value.status is SliceStatus.PROPOSED)

    def on_axis(self, axis: int) -> Iterator[tuple[int, SliceState]]:
        """Slice numbers along one index axis and what is known of them, in order."""
        known = self._state.slices[self.id]
        return iter(sorted((index, value) for (a, index), value in known.items() if a == axis))
