"""DICOM Segmentation objects, written by highdicom.

By default BINARY in Explicit VR Little Endian, which every reader opens. Frames lie where their source instances lie
and refer to them, so a gantry tilt or an uneven spacing stays exact.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless, generate_uid

from edgeflow_med import __version__
from edgeflow_med.errors import WriteError
from edgeflow_med.io.atomic import Part
from edgeflow_med.io.deidentify import finish_deidentified
from edgeflow_med.io.dicom_seg_verify import verify_dicom_seg
from edgeflow_med.io.dicom_sources import Sources, normalised_sources, refer_to_real_instances
from edgeflow_med.io.dicom_text import label_of, shortened, word
from edgeflow_med.io.options import SegEncoding
from edgeflow_med.io.wording import one_line
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

PRODUCT = "EdgeFlow-Med"
NOTICE = "Not for clinical use"
_UNKNOWN = "unknown"


def dicom_seg_part(
    segmentation: Segmentation,
    path: Path,
    *,
    encoding: SegEncoding = SegEncoding.BINARY,
    creator: str = "",
    deidentify: bool = False,
) -> tuple[Part, tuple[str, ...]]:
    """One DICOM Segmentation with new instance and series UIDs, ready to be written and verified.

    Args:
        segmentation: On a volume that came from DICOM.
        path: Where it will go.
        encoding: How it holds the masks.
        creator: Who made it, for Content Creator's Name, as ``Family^Given``.
        deidentify: The volume's headers are de-identified: say so, and leave the object's own dates out.

    Returns:
        What to hand to `write_together`, and what was changed about the sources, one line each.

    Raises:
        WriteError: The volume has no DICOM sources to refer to, they lack a UID, or the encoding cannot hold overlaps.
    """
    if not segmentation.volume.headers:
        raise WriteError(f"Cannot write {path}: a DICOM-SEG must refer to a DICOM series; give .nii.gz or .seg.nrrd.")
    sources = normalised_sources(segmentation.volume)
    try:
        dataset = build_dicom_seg(segmentation, sources, encoding, creator)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise WriteError(
            f"Cannot write {path}: the headers of the source series do not allow a DICOM-SEG ({one_line(error)}); "
            "give .nii.gz or .seg.nrrd."
        ) from error
    if deidentify:
        finish_deidentified(dataset)
    part = Part(
        path,
        lambda temporary: dataset.save_as(temporary, enforce_file_format=True),
        lambda temporary: verify_dicom_seg(temporary, segmentation, sources, dataset),
    )
    return part, sources.warnings


def build_dicom_seg(
    segmentation: Segmentation, sources: Sources, encoding: SegEncoding = SegEncoding.BINARY, creator: str = ""
) -> Dataset:
    """The Segmentation as a dataset; arguments as for `dicom_seg_part`."""
    from highdicom.seg import Segmentation as HighdicomSegmentation

    _check_encoding(segmentation, sources, encoding)
    first = next(iter(sources.images.values()))
    unreviewed = sum(segment.unreviewed_slices for segment in segmentation.segments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # source values that bend VR rules are copied as they are
        dataset = HighdicomSegmentation(
            source_images=list(sources.images.values()),
            **_planes(segmentation, sources),
            segmentation_type="LABELMAP" if encoding is SegEncoding.LABELMAP else "BINARY",
            segment_descriptions=[describe_segment(segment, segmentation) for segment in segmentation.segments],
            series_instance_uid=generate_uid(),
            series_number=series_number(first),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer=PRODUCT,
            manufacturer_model_name=PRODUCT,
            software_versions=__version__,
            device_serial_number=__version__,
            content_label="SEGMENTATION",
            content_description=f"{NOTICE}; {unreviewed} unreviewed slices",
            content_creator_name=word(creator) or None,
            transfer_syntax_uid=RLELossless if encoding is SegEncoding.LABELMAP else ExplicitVRLittleEndian,
            specific_character_set="ISO_IR 192",
            series_description=_series_description(segmentation),
        )
    for keyword in ("BodyPartExamined", "Laterality"):
        if first.get(keyword):
            setattr(dataset, keyword, first.get(keyword))
    refer_to_real_instances(dataset, sources.headers)
    if encoding is SegEncoding.DEFLATED:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset


def describe_segment(segment: Segment, segmentation: Segmentation) -> SegmentDescription:
    """An item of the Segment Sequence."""
    from highdicom.color import CIELabColor
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = None
    if segment.algorithm_type != AlgorithmType.MANUAL:
        parameters = {word(name): word(str(value)) for name, value in segmentation.provenance.items()}
        algorithm = AlgorithmIdentificationSequence(
            name=word(segment.algorithm_name) or _UNKNOWN,
            family=codes.cid7162.ArtificialIntelligence,
            version=word(segment.algorithm_version) or _UNKNOWN,
            parameters=parameters or None,
        )
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=label_of(segment),
        segmented_property_category=concept(segment.category),
        segmented_property_type=concept(segment.type),
        algorithm_type=segment.algorithm_type.value,
        algorithm_identification=algorithm,
        tracking_uid=segment.tracking_uid or generate_uid(),
        tracking_id=word(segment.tracking_id) or label_of(segment),
        anatomic_regions=[concept(segment.region)] if segment.region else None,
        display_color=CIELabColor.from_rgb(*segment.colour),
    )
    if segmentation.note:
        description.SegmentDescription = shortened(segmentation.note, 1024)
    return description


def concept(code: Code) -> CodedConcept:
    """A code as highdicom takes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def series_number(source: Dataset) -> int:
    """A number near the source's own, so that viewers list the two together."""
    try:
        number = int(source.get("SeriesNumber") or 0)
    except (TypeError, ValueError):  # not a number at all
        number = -1
    return number * 100 + 1 if 0 <= number < 10_000_000 else 1


def _check_encoding(segmentation: Segmentation, sources: Sources, encoding: SegEncoding) -> None:
    if encoding is SegEncoding.LABELMAP and segmentation.overlaps:
        raise WriteError("Segments overlap, which a label map cannot hold; give the encoding binary or deflated.")
    for k in np.flatnonzero(segmentation.occupied().any(axis=0)).tolist():
        if k not in sources.images:
            raise WriteError(
                f"Slice {k} is missing from the series, or has no SOPInstanceUID, so a DICOM-SEG cannot refer to it; "
                "erase it, or give .nii.gz."
            )


def _planes(segmentation: Segmentation, sources: Sources) -> dict[str, Any]:
    """Voxels as highdicom takes them, and where they lie if that is not simply on the source images.

    A label map ``(k, J, I)`` of all source images, of which highdicom leaves out the empty ones; where segments overlap
    masks ``(k, J, I, segments)`` of the occupied slices alone, which keeps memory small.
    """
    if not segmentation.overlaps:
        labels = segmentation.labelmap()
        return {"pixel_array": labels if len(sources.images) == len(labels) else labels[list(sources.images)]}
    from highdicom.content import PlanePositionSequence

    occupied = np.flatnonzero(segmentation.occupied().any(axis=0)).tolist()
    return {
        "pixel_array": np.stack([mask[occupied].view(np.uint8) for mask in segmentation.masks], axis=-1),
        "plane_positions": [PlanePositionSequence("PATIENT", sources.images[k].ImagePositionPatient) for k in occupied],
    }


def _series_description(segmentation: Segmentation) -> str:
    labels = ", ".join(label_of(segment) for segment in segmentation.segments)
    return shortened(f"{PRODUCT}: {labels}", 64)
