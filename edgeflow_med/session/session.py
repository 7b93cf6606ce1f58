"""The one mutable object: a volume, its segments, and what the reader did to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import UsageError
from edgeflow_med.measurements import Measurements, measure
from edgeflow_med.predictors.base import Prediction
from edgeflow_med.propagation import edge_agreement
from edgeflow_med.segmentation import AlgorithmType, Segment, Segmentation
from edgeflow_med.session.review import ReviewActions
from edgeflow_med.session.state import SegmentState, SliceStatus, plane_of
from edgeflow_med.volume import Plane

if TYPE_CHECKING:
    from edgeflow_med.io import Saved, SaveOptions


class Session(ReviewActions):
    """Segment a volume with clicks, strokes, paint and propagation; nothing that was done is ever lost.

    Every action is in the journal, on disk, before it shows. All of them can be undone and redone without limit, and
    what was undone stays reachable as a branch. The parts are `core` (options, undo, resume), `segments`, `prompting`,
    `painting`, `propagating` and `review`, each adding its methods to the one before.

    Args:
        volume: What is segmented.
        predictor: Whatever answers slices; see :func:`edgeflow_med.load_predictor`. Without one everything works but
            prompts and propagation; it may be set later.
        case_dir: The folder that holds the journal, made if it is not there; by default a new one in the user's state
            folder.
        plane: Anatomical plane of the slices; by default the one in which the scan was acquired.
        window: The model's window: a preset's name, ``"LOW,HIGH"``, ``"automatic"``, or None to decide by modality.
        policy: What happens where segments meet.
        reader: Pseudonym of who works, for the journal.
        journal: False to keep the session in memory only.

    Raises:
        UsageError: An unknown plane, window or policy.
        WriteError: The folder cannot be written to, or holds a case already.
    """

    def mask(self, segment: SegmentState | int | None = None) -> NDArray[np.bool_]:
        """A copy of a segment's mask, bool ``(K, J, I)``."""
        return self._segment(segment).mask.copy()

    def segmentation(self, accepted_only: bool = False) -> Segmentation:
        """All segments as they would be saved.

        Args:
            accepted_only: Leave out what lies on no slice that the reader annotated or accepted.

        Raises:
            UsageError: There are no segments.
        """
        if not self.segments:
            raise UsageError("The session has no segments; add one and click on it before saving.")
        entries, masks = [], []
        for number, state in enumerate(self.segments, 1):
            info, kind = state.info, state.algorithm_type
            by_model = kind is not AlgorithmType.MANUAL
            entries.append(
                Segment(
                    number,
                    info.label,
                    info.category,
                    info.type,
                    kind,
                    info.model[0] if by_model else "",
                    info.model[1] if by_model else "",
                    info.tracking_uid,
                    info.colour,
                    unreviewed_slices=0 if accepted_only else self.unreviewed(state),
                    tracking_id=info.tracking_id,
                    region=info.region,
                )
            )
            masks.append(self._accepted(state) if accepted_only else state.mask.copy())
        return Segmentation(self.volume, tuple(entries), tuple(masks), note=f"Model window {self.window}")

    def unreviewed(self, segment: SegmentState | int | None = None) -> int:
        """How many proposed slices of a segment hold something and wait to be accepted."""
        state = self._segment(segment)
        return sum(bool(plane_of(state.mask, key).any()) for key in state.proposed)

    def save(self, path: Path | str, accepted_only: bool = False, **options: Unpack[SaveOptions]) -> Saved:
        """Write all segments to ``.dcm`` (DICOM-SEG), ``.nii``, ``.nii.gz`` or ``.seg.nrrd``.

        A session that is kept in a case writes beside it how the mask came to be; see the module `provenance`.

        Args:
            path: Where to.
            accepted_only: Leave out what lies on no slice that the reader annotated or accepted.
            **options: See `edgeflow_med.io.save`.

        Raises:
            UsageError: There are no segments, or nothing of one is accepted.
            WriteError: The format does not fit the source, nothing was segmented, or the file could not be written.
        """
        from edgeflow_med.io import save
        from edgeflow_med.session.provenance import provenance

        segmentation = self.segmentation(accepted_only)
        for segment, found in zip(segmentation.segments, segmentation.occupied(), strict=True):
            if accepted_only and not found.any():
                raise UsageError(f"No slice of {segment.label!r} is accepted; accept some, or save all slices.")
        sidecar = None
        if self.case_dir is not None:
            sidecar = provenance(self, accepted_only=accepted_only, deidentify=options.get("deidentify", False))
        return save(segmentation, path, sidecar=sidecar, **options)

    def measure(self, segment: SegmentState | int | None = None, plane: Plane | str | None = None) -> Measurements:
        """Volume, diameters, voxel values and surface of a segment as it stands now.

        Args:
            segment: Which one; may be left out if there is only one.
            plane: In which slices the diameters are measured; the session's plane if None.
        """
        return measure(self._segment(segment).mask, self.volume, plane or self.plane)

    def answer_on(
        self, index: int, segment: SegmentState | int | None = None, plane: Plane | str | None = None
    ) -> Prediction | None:
        """The last answer on a slice, made to agree with the mask that stands; None if nothing stands there."""
        return self._previous(self._segment(segment).id, self._key(plane, index))

    def edge_quality(self, segment: SegmentState | int | None, index: int, plane: Plane | str | None = None) -> float:
        """How well mask and edge agree on a slice, in [0, 1]."""
        answer = self.answer_on(index, segment, plane)
        return 0.0 if answer is None else edge_agreement(answer)

    def _accepted(self, state: SegmentState) -> NDArray[np.bool_]:
        """The mask where it lies on a slice, of any plane, that the reader stands behind."""
        kept = np.zeros(self.volume.shape, np.bool_)
        for key, known in state.slices.items():
            if known.status is not SliceStatus.PROPOSED:
                plane_of(kept, key)[...] = plane_of(state.mask, key)
        return kept
