"""The one mutable object: a volume, its segments, and what the reader did to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError, PromptError, UsageError
from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest, Stroke
from edgeflow_med.prompts import Click, Prompt, Scribble, check_prompt
from edgeflow_med.propagation import SliceStep, edge_agreement, propagate
from edgeflow_med.segmentation import PALETTE, AlgorithmType, Segment, Segmentation
from edgeflow_med.volume import Plane, Volume
from edgeflow_med.windows import Window, choose_window

MAX_SEGMENTS = 255


@dataclass(eq=False)
class SegmentState:
    """What a session knows of one segment.

    Attributes:
        label: Its name.
        mask: ``(K, J, I)`` bool.
        prompts: Per slice of the session's plane, oldest first.
        answers: Per slice, the network's last answer.
        proposed: Slices that propagation filled and nobody has accepted.
        imported: The mask came from elsewhere and is unchanged since.
        seconds: How long each answer to a prompt took.
    """

    label: str
    mask: NDArray[np.bool_]
    prompts: dict[int, list[Prompt]] = field(default_factory=dict)
    answers: dict[int, Prediction] = field(default_factory=dict)
    proposed: set[int] = field(default_factory=set)
    imported: bool = False
    seconds: list[float] = field(default_factory=list)


class Session:
    """Segment a volume with clicks, scribbles and propagation.

    Args:
        volume: What is segmented.
        predictor: Whatever answers slices; see :func:`edgeflow_med.load_predictor`.
        plane: Anatomical plane of the slices; by default the one in which the scan was acquired.
        window: The model's window: a preset's name, ``"LOW,HIGH"``, ``"automatic"``, or None to decide by modality.

    Raises:
        UsageError: An unknown plane or window.
    """

    def __init__(
        self, volume: Volume, predictor: Predictor, *, plane: Plane | str | None = None, window: str | None = None
    ) -> None:
        self.volume, self.predictor = volume, predictor
        try:
            self.plane = Plane(plane) if plane else volume.acquisition_plane
        except ValueError:
            raise UsageError(f"Unknown plane {plane!r}; give axial, coronal or sagittal.") from None
        self.axis = volume.axis(self.plane)
        self.window: Window = choose_window(volume, window)
        self._segments: list[SegmentState] = []

    @property
    def segments(self) -> tuple[SegmentState, ...]:
        """All segments, in the order in which they were added."""
        return tuple(self._segments)

    @property
    def slice_spacing(self) -> tuple[float, float]:
        """Millimetres between rows and between columns of a slice."""
        rows, columns = (mm for axis, mm in enumerate(self.volume.spacing) if axis != self.axis)
        return rows, columns

    def add_segment(self, label: str, mask: NDArray[np.bool_] | None = None) -> SegmentState:
        """Add a segment, empty or started from an existing mask ``(K, J, I)``.

        Raises:
            GeometryError: The mask is not on the volume's grid.
            UsageError: An empty or overlong label, or too many segments.
        """
        if not label.strip() or len(label) > 64:
            raise UsageError(f"A label has 1 to 64 characters, got {label!r}; shorten it.")
        if len(self._segments) == MAX_SEGMENTS:
            raise UsageError(f"A session holds at most {MAX_SEGMENTS} segments; start another one.")
        if mask is not None and mask.shape != self.volume.shape:
            raise GeometryError(
                f"The mask has shape {mask.shape}, the volume {self.volume.shape}; give one on its grid."
            )
        start = np.zeros(self.volume.shape, bool) if mask is None else np.array(mask, dtype=bool)
        self._segments.append(SegmentState(label, start, imported=mask is not None))
        return self._segments[-1]

    def slice_image(self, index: int) -> NDArray[np.float32]:
        """The windowed slice ``(H, W)`` that the model sees, in [0, 1]."""
        return self.window.apply(np.take(self.volume.array, index, self.axis))

    def click(self, index: Sequence[int], positive: bool = True, segment: SegmentState | None = None) -> Prediction:
        """Answer a click at voxel (k, j, i).

        Raises:
            PromptError: The click lies outside the volume.
        """
        k, j, i = (int(v) for v in self._three(index))
        return self.prompt(Click((k, j, i), positive), segment)

    def scribble(
        self,
        points: Sequence[Sequence[float]],
        positive: bool = True,
        width_mm: float = 3.0,
        segment: SegmentState | None = None,
    ) -> Prediction:
        """Answer a stroke through voxels (k, j, i), all on one slice.

        Raises:
            PromptError: A point outside the volume, fewer than two points, or points on several slices.
        """
        line = tuple((float(k), float(j), float(i)) for k, j, i in map(self._three, points))
        return self.prompt(Scribble(line, positive, width_mm), segment)

    @staticmethod
    def _three(index: Sequence[float]) -> Sequence[float]:
        if len(index) != 3:
            raise PromptError(f"An index has three numbers, got {list(index)}; give zero-based (k, j, i).")
        return index

    def prompt(self, prompt: Prompt, segment: SegmentState | None = None) -> Prediction:
        """Answer one prompt; the slice it lies on is replaced in the segment's mask."""
        state = self._state(segment)
        index = check_prompt(prompt, self.volume, self.axis)
        given = [*state.prompts.get(index, []), prompt]
        request = SliceRequest(
            self.slice_image(index),
            self.slice_spacing,
            tuple(self._stroke(p) for p in given),
            self._previous(state, index),
        )
        began = time.perf_counter()
        answer = self.predictor.predict(request)
        state.seconds.append(time.perf_counter() - began)
        state.prompts[index] = given
        self._write(state, index, answer)
        state.proposed.discard(index)
        return answer

    def propagate(self, segment: SegmentState | None = None, *, limit: int | None = None) -> Iterator[SliceStep]:
        """Carry a segment from its annotated slices to their neighbours; slices become *proposed*.

        Starts from each annotated slice in turn; slices that the reader annotated are never overwritten. Cancelling the
        iteration leaves what is done.

        Args:
            segment: Which one; may be left out if there is only one.
            limit: At most this many slices in each direction.

        Raises:
            PromptError: Nothing has been annotated yet.
        """
        state = self._state(segment)
        starts = sorted(index for index in state.prompts if state.answers[index].mask.any())
        if not starts:
            raise PromptError(f"Segment {state.label!r} has nothing to propagate; click on it first.")
        return self._propagate(state, starts, limit)

    def _propagate(self, state: SegmentState, starts: list[int], limit: int | None) -> Iterator[SliceStep]:
        count = self.volume.shape[self.axis]
        for index in state.proposed:  # proposals of an earlier run would otherwise stay behind where this one stops
            self._clear(state, index)
        state.proposed.clear()
        done: set[int] = set()
        for start in starts:
            anchors = frozenset(state.prompts) | done
            walk = propagate(
                self.predictor,
                self.slice_image,
                count,
                start,
                state.answers[start],
                spacing=self.slice_spacing,
                limit=limit,
                anchors=anchors - {start},
            )
            for step in walk:
                if step.prediction is not None:
                    self._write(state, step.index, step.prediction)
                    state.proposed.add(step.index)
                    done.add(step.index)
                yield step

    def mask(self, segment: SegmentState | None = None) -> NDArray[np.bool_]:
        """A copy of a segment's mask, bool ``(K, J, I)``."""
        return self._state(segment).mask.copy()

    def segmentation(self) -> Segmentation:
        """All segments as they would be saved."""
        entries, masks = [], []
        for number, state in enumerate(self._segments, 1):
            kind = AlgorithmType.AUTOMATIC if state.imported else AlgorithmType.SEMIAUTOMATIC
            entries.append(
                Segment(
                    number,
                    state.label,
                    algorithm_type=kind,
                    algorithm_name="" if state.imported else self.predictor.name,
                    algorithm_version="" if state.imported else self.predictor.version,
                    colour=PALETTE[(number - 1) % len(PALETTE)],
                    unreviewed_slices=len(state.proposed),
                )
            )
            masks.append(state.mask.copy())
        return Segmentation(self.volume, tuple(entries), tuple(masks), note=f"Model window {self.window}")

    def save(self, path: Path | str) -> None:
        """Write all segments to ``.dcm`` (DICOM-SEG), ``.nii``, ``.nii.gz`` or ``.seg.nrrd``.

        Raises:
            WriteError: The format does not fit the source, nothing was segmented, or the file could not be written.
        """
        from edgeflow_med.io import save

        if not self._segments:
            raise UsageError("The session has no segments; add one and click on it before saving.")
        save(self.segmentation(), Path(path))

    def edge_quality(self, segment: SegmentState, index: int) -> float:
        """How well mask and edge agree on a slice, in [0, 1]."""
        return edge_agreement(segment.answers[index])

    def _state(self, segment: SegmentState | None) -> SegmentState:
        if segment is None:
            if len(self._segments) != 1:
                raise UsageError(f"There are {len(self._segments)} segments; say which one with segment=.")
            return self._segments[0]
        if not any(segment is known for known in self._segments):
            raise UsageError(f"Segment {segment.label!r} does not belong to this session; use one of session.segments.")
        return segment

    def _stroke(self, prompt: Prompt) -> Stroke:
        """A prompt in pixels of its slice."""
        points = tuple(
            (float(row), float(column))
            for row, column in ([v for axis, v in enumerate(point) if axis != self.axis] for point in prompt.points)
        )
        width = prompt.width_mm / min(self.slice_spacing) if isinstance(prompt, Scribble) else 0.0
        return Stroke(points, prompt.positive, width)

    def _previous(self, state: SegmentState, index: int) -> Prediction | None:
        """The last answer on a slice; for an imported mask, what stands there."""
        if index in state.answers:
            return state.answers[index]
        existing = np.take(state.mask, index, self.axis)
        if not existing.any():
            return None
        return Prediction(existing.astype(np.float32), np.zeros(existing.shape, np.float32), 1.0)

    def _at(self, index: int) -> tuple[slice | int, ...]:
        """What selects a slice of the session's plane from ``(K, J, I)``."""
        return tuple(index if axis == self.axis else slice(None) for axis in range(3))

    def _write(self, state: SegmentState, index: int, answer: Prediction) -> None:
        state.mask[self._at(index)] = answer.mask
        state.answers[index] = answer
        state.imported = False

    def _clear(self, state: SegmentState, index: int) -> None:
        state.mask[self._at(index)] = False
        state.answers.pop(index, None)
