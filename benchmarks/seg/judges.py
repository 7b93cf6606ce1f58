"""Five independent judges of a DICOM-SEG, none of which shares code with its writer beyond pydicom.

Each takes a file and a `Case` and returns complaints, one line each; none means that it agrees, voxel for voxel where
it reads voxels. Which of them can read what: `READERS`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from benchmarks.seg.machine import ROOT
from edgeflow_med.segmentation import Segmentation

OHIF_READER = ROOT / "build" / "ohif" / "reader.bundle.mjs"
_PIXELMED = Path("/usr/share/java/pixelmed.jar")
# PixelMed's rules are XPath expressions longer than Java allows by default.
_XPATH = [f"-Djdk.xml.xpath{name}=0" for name in ("ExprOpLimit", "TotalOpLimit", "ExprGrpLimit")]
# PixelMed asks for Laterality whatever the body part, which no writer of segmentations knows.
_PIXELMED_WRONG = ("Laterality",)
_IDENTITY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyID",
    "AccessionNumber",
    "FrameOfReferenceUID",
)


@dataclass(frozen=True)
class Case:
    """What a file should hold.

    Attributes:
        name: What it is about.
        segmentation: The masks, on a volume whose headers are those of the source images.
        readers: The judges that can read it.
        encoding: How it is written.
        deidentify: Whether it is written without what tells who the patient is.
    """

    name: str
    segmentation: Segmentation
    readers: tuple[str, ...]
    encoding: str = "binary"
    deidentify: bool = False


def identity(path: Path, case: Case) -> list[str]:
    """Patient, study, sources, segments and UIDs are those that were meant."""
    dataset = dcmread(path, stop_before_pixels=True)
    headers = case.segmentation.volume.headers
    source = headers[0]
    wrong = [
        keyword
        for keyword in _IDENTITY
        if keyword not in dataset or str(dataset.get(keyword) or "") != str(source.get(keyword) or "")
    ]
    instances = {header.SOPInstanceUID for header in headers}
    series = dataset.get("ReferencedSeriesSequence") or [Dataset()]
    if [item.get("SeriesInstanceUID") for item in series] != [source.SeriesInstanceUID]:
        wrong.append("ReferencedSeriesSequence")
    listed = {item.ReferencedSOPInstanceUID for item in series[0].get("ReferencedInstanceSequence", [])}
    if listed != instances:
        wrong.append("ReferencedInstanceSequence")
    if dataset.get("SeriesInstanceUID") == source.SeriesInstanceUID:
        wrong.append("SeriesInstanceUID of the source")
    if dataset.file_meta.MediaStorageSOPInstanceUID != dataset.get("SOPInstanceUID"):
        wrong.append("MediaStorageSOPInstanceUID")
    organisations = {item.DimensionOrganizationUID for item in dataset.get("DimensionOrganizationSequence", [])}
    if any(item.get("DimensionOrganizationUID") not in organisations for item in dataset.DimensionIndexSequence):
        wrong.append("DimensionOrganizationUID")
    return [f"identity: {what}" for what in (*wrong, *_segments(dataset, case))]


def _segments(dataset: Dataset, case: Case) -> Iterator[str]:
    found = [item for item in dataset.get("SegmentSequence", []) if item.SegmentNumber > 0]
    if len(found) != len(case.segmentation.segments):
        yield "SegmentSequence"
        return
    for segment, item in zip(case.segmentation.segments, found, strict=True):
        said = (item.SegmentNumber, item.get("SegmentLabel"), item.get("SegmentAlgorithmType"))
        if said != (segment.number, segment.label, segment.algorithm_type.value):
            yield f"segment {segment.number}"
        if segment.tracking_uid and item.get("TrackingUID") != segment.tracking_uid:
            yield f"TrackingUID of segment {segment.number}"


def dciodvfy(path: Path, case: Case) -> list[str]:
    """David Clunie's validator of information objects (Debian dicom3tools)."""
    del case
    result = _run(["dciodvfy", path])
    return [f"dciodvfy: {line}" for line in result.splitlines() if line.startswith("Error")]


def pixelmed(path: Path, case: Case) -> list[str]:
    """PixelMed's validator (Debian libpixelmed-java)."""
    del case
    jars = f"{_PIXELMED.parent}/*"
    result = _run(["java", *_XPATH, "-cp", jars, "com.pixelmed.validate.DicomInstanceValidator", path])
    lines = [line for line in result.splitlines() if line.startswith("Error")]
    wrong = [line for line in lines if not any(word in line for word in _PIXELMED_WRONG)]
    if "validation complete" not in result:
        wrong.append(f"it did not finish: {result[-200:]}")
    return [f"pixelmed: {line}" for line in wrong]


def dcmqi(path: Path, case: Case) -> list[str]:
    """The segimage2itkimage of dcmqi, which 3D Slicer uses: places frames by their positions."""
    program = Path(sysconfig.get_path("scripts"), "segimage2itkimage")
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--inputDICOM", path, "--outputDirectory", folder, "--prefix", "part", "-t", "nrrd"]
        result = _run(command)
        files = sorted(Path(folder).glob("part-*.nrrd"), key=lambda file: int(file.stem.split("-")[1]))
        if not files:  # its exit code can be 0 with no file
            return [f"dcmqi: no file; {result[-200:].strip()}"]
        try:
            masks = _labels_of(files, Path(folder, "part-meta.json"), case.segmentation)
        except ValueError as error:
            return [f"dcmqi: {error}"]
    return _compared("dcmqi", masks, case.segmentation)


def _labels_of(files: list[Path], meta: Path, segmentation: Segmentation) -> dict[int, NDArray[np.bool_]]:
    """Masks by segment number on the volume's grid; dcmqi leaves out the empty slices at both ends."""
    described = json.loads(meta.read_text("utf-8"))["segmentAttributes"]
    volume, masks = segmentation.volume, dict[int, NDArray[np.bool_]]()
    for file, attributes in zip(files, described, strict=True):
        image = SimpleITK.ReadImage(str(file))
        affine = np.eye(4)
        affine[:3, :3] = (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing())[:, ::-1]
        affine[:3, 3] = image.GetOrigin()
        labels = SimpleITK.GetArrayFromImage(image)
        for segment in attributes:
            number = int(segment["labelID"])
            indices = volume.index(np.argwhere(labels == number) @ affine[:3, :3].T + affine[:3, 3])
            nearest = np.round(indices).astype(int)
            if nearest.size and np.abs(indices - nearest).max() > 1e-3:
                raise ValueError(f"segment {number} lies {np.abs(indices - nearest).max():.2g} voxels off the grid")
            if nearest.size and (nearest.min() < 0 or (nearest >= volume.shape).any()):
                raise ValueError(f"segment {number} reaches outside the volume")
            masks[number] = np.zeros(volume.shape, np.bool_)
            masks[number][tuple(nearest.T)] = True
    return masks


class Ohif:
    """OHIF's reader (@cornerstonejs/adapters in Node), which puts frames on the images that they refer to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", OHIF_READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def __call__(self, path: Path, case: Case) -> list[str]:
        """Read a file and compare."""
        volume = case.segmentation.volume
        with tempfile.NamedTemporaryFile() as out:
            request = {"seg": str(path), "out": out.name, "images": [_image(header) for header in volume.headers]}
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            print(json.dumps(request), file=stdin, flush=True)
            answer = _answer(stdout)
            if "error" in answer:
                return [f"ohif: {answer['error']}"]
            labels = np.fromfile(out.name, np.uint8)
        if labels.size != answer["layers"] * np.prod(volume.shape):
            return [f"ohif: {labels.size} voxels"]
        layers = labels.reshape(-1, *volume.shape)
        numbers = [segment.number for segment in case.segmentation.segments]
        if layers.max() > max(numbers):
            return [f"ohif: segment {layers.max()}"]
        masks = {number: (layers == number).any(axis=0) for number in numbers}
        return _compared("ohif", masks, case.segmentation)


def _answer(stream: IO[str]) -> dict[str, Any]:
    line = stream.readline()
    return json.loads(line) if line else {"error": "the reader ended"}


def _image(header: Dataset) -> dict[str, Any]:
    return {
        "sop": header.SOPInstanceUID,
        "frame": header.get("ReferencedFrameNumber"),
        "rows": header.Rows,
        "columns": header.Columns,
        "orientation": [float(value) for value in header.ImageOrientationPatient],
        "position": [float(value) for value in header.ImagePositionPatient],
        "spacing": [float(value) for value in header.PixelSpacing],
        "series": header.SeriesInstanceUID,
        "forUid": header.FrameOfReferenceUID,
    }


def by_reference(path: Path, case: Case) -> list[str]:
    """Pixels by pydicom, each frame put on the image that it refers to: all that can be said of a tilted gantry."""
    dataset = dcmread(path)
    segmentation = case.segmentation
    order = {(h.SOPInstanceUID, h.get("ReferencedFrameNumber")): k for k, h in enumerate(segmentation.volume.headers)}
    masks = {segment.number: np.zeros(segmentation.volume.shape, np.bool_) for segment in segmentation.segments}
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for pixels, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        k = order[source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber")]
        if dataset.SegmentationType == "LABELMAP":
            for number in np.unique(pixels[pixels > 0]).tolist():
                masks[number][k] |= pixels == number
        else:
            identification = groups.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence
            masks[int(identification[0].ReferencedSegmentNumber)][k] |= pixels.astype(np.bool_)
    return _compared("pydicom", masks, segmentation)


def _compared(judge: str, masks: dict[int, NDArray[np.bool_]], segmentation: Segmentation) -> list[str]:
    if set(masks) != {segment.number for segment in segmentation.segments}:
        return [f"{judge}: segments {sorted(masks)}"]
    complaints = []
    for number, mask in masks.items():
        apart = int(np.count_nonzero(mask ^ segmentation.masks[number - 1]))
        if apart:
            complaints.append(f"{judge}: {apart} voxels of segment {number}")
    return complaints


def _run(command: list[str | Path]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, errors="replace")
    return result.stdout + result.stderr


Judge = Callable[[Path, Case], list[str]]
READERS = ("identity", "dciodvfy", "pixelmed", "dcmqi", "ohif")


@contextmanager
def judges() -> Iterator[dict[str, Judge]]:
    """The judges that are installed here, by name; `missing` names the others."""
    found: dict[str, Judge] = {"identity": identity, "pydicom": by_reference}
    if shutil.which("dciodvfy"):
        found["dciodvfy"] = dciodvfy
    if shutil.which("java") and _PIXELMED.exists():
        found["pixelmed"] = pixelmed
    if Path(sysconfig.get_path("scripts"), "segimage2itkimage").exists():
        found["dcmqi"] = dcmqi
    ohif = Ohif() if shutil.which("node") and OHIF_READER.exists() else None
    if ohif is not None:
        found["ohif"] = ohif
    try:
        yield found
    finally:
        if ohif is not None:
            ohif.close()
