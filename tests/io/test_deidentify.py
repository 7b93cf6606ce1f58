"""Who the patient is: in a DICOM-SEG only, and not even there on request."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from edgeflow_med.errors import WriteError
from edgeflow_med.io import MeasuredSegment, save, save_measurements
from edgeflow_med.io.deidentify import deidentified
from edgeflow_med.segmentation import Segmentation
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import Phantom, ellipsoid, one_segment, write_series

PHANTOM = Phantom()
# What must not be found, anywhere: each is unlike anything that the code writes.
CANARIES = {
    "PatientName": "Kanarienvogel^Karl",
    "PatientID": "CANARY-4711",
    "PatientBirthDate": "19331224",
    "StudyDate": "20250314",
    "StudyTime": "031415",
    "AccessionNumber": "CANARY-ACC",
    "StudyID": "CANARY-ST",
    "ReferringPhysicianName": "Canary^Physician",
    "InstitutionName": "Canary Hospital",
    "StationName": "CANARYSTATION",
    "DeviceSerialNumber": "CANARY-SERIAL",
    "SeriesDescription": "Canary chest",
    "StudyDescription": "Canary study",
    "PatientComments": "Canary comment",
    "OperatorsName": "Canary^Operator",
}
CREATOR = "Canary^Reader"


def _sing(dataset: Dataset, _: int) -> None:
    for keyword, value in CANARIES.items():
        setattr(dataset, keyword, value)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Segmentation:
    folder = tmp_path_factory.mktemp("canary")
    write_series(folder, PHANTOM, _sing)
    segmentation = one_segment(read_volume(folder), ellipsoid(PHANTOM))
    return replace(segmentation, segments=(replace(segmentation.segments[0], tracking_uid="1.2.3.4711"),))


def heard(content: bytes, source: Segmentation) -> list[str]:
    """The canaries that sing in a file."""
    header = source.volume.headers[0]
    uids = [header[keyword].value for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    words = [*CANARIES.values(), CREATOR, *uids, header.FrameOfReferenceUID, "1.2.3.4711"]
    return [word for word in words if word.encode() in content]


def files(source: Segmentation, folder: Path, *, deidentify: bool) -> dict[str, Path]:
    for name in ("lesion.dcm", "x_dseg.nii.gz", "lesion.seg.nrrd"):
        save(source, folder / name, bids=True, creator=CREATOR, deidentify=deidentify)
    measured = [MeasuredSegment(1, 1.0, 2.0, 1.5)]
    save_measurements(folder / "report.dcm", folder / "lesion.dcm", measured, creator=CREATOR, deidentify=deidentify)
    return {path.name: path for path in folder.iterdir()}


def test_the_canaries_sing_in_dicom_files_and_nowhere_else(source: Segmentation, tmp_path: Path) -> None:
    written = files(source, tmp_path, deidentify=False)
    singing = {name for name, path in written.items() if set(heard(path.read_bytes(), source)) - {"1.2.3.4711"}}
    assert singing == {"lesion.dcm", "report.dcm"}
    assert not any("anary" in name.lower() for name in written)


def test_no_canary_sings_in_any_file_that_is_deidentified(source: Segmentation, tmp_path: Path) -> None:
    written = files(source, tmp_path, deidentify=True)
    assert len(written) == 6
    assert not [(name, word) for name, path in written.items() for word in heard(path.read_bytes(), source)]


def test_it_says_so_and_holds_the_same_mask_on_images_of_the_same_places(source: Segmentation, tmp_path: Path) -> None:
    save(source, tmp_path / "lesion.dcm", deidentify=True)
    dataset = dcmread(tmp_path / "lesion.dcm")
    assert (dataset.PatientIdentityRemoved, dataset.DeidentificationMethodCodeSequence[0].CodeValue) == (
        "YES",
        "113100",
    )
    assert dataset.ContentDescription.startswith("Not for clinical use")
    assert dataset.SegmentSequence[0].SegmentLabel == "Lesion"
    assert {dataset.ContentDate, dataset.InstanceCreationDate} == {"19000101"}
    volume = deidentified(source).volume  # replaces the same UIDs by the same, throughout a process
    np.testing.assert_array_equal(read_segmentation(tmp_path / "lesion.dcm", volume).masks[0], source.masks[0])
    assert dataset.StudyInstanceUID == volume.headers[0].StudyInstanceUID


def test_files_of_one_run_belong_together(source: Segmentation, tmp_path: Path) -> None:
    written = files(source, tmp_path, deidentify=True)
    seg, report = dcmread(written["lesion.dcm"]), dcmread(written["report.dcm"])
    assert seg.StudyInstanceUID == report.StudyInstanceUID
    sidecar = json.loads(written["x_dseg.json"].read_text("utf-8"))
    assert sidecar["Segments"][0]["tracking_uid"] == seg.SegmentSequence[0].TrackingUID


def test_the_volume_keeps_its_headers(source: Segmentation, tmp_path: Path) -> None:
    before = [header.to_json() for header in source.volume.headers]
    save(source, tmp_path / "lesion.dcm", deidentify=True)
    assert [header.to_json() for header in source.volume.headers] == before


def test_dciodvfy_finds_no_error(source: Segmentation, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; `apt-get install dicom3tools` enables this check")
    written = files(source, tmp_path, deidentify=True)
    for name in ("lesion.dcm", "report.dcm"):
        result = subprocess.run(["dciodvfy", written[name]], capture_output=True, text=True, check=False)
        assert [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")] == []


def test_headers_that_cannot_be_deidentified_are_refused_in_one_line(source: Segmentation, tmp_path: Path) -> None:
    header = source.volume.headers[0]
    strange = header[:]
    strange.add_new("PatientComments", "OW", b"\0\0")
    volume = replace(source.volume, headers=(strange, *source.volume.headers[1:]))
    save(replace(source, volume=volume), tmp_path / "lesion.nii.gz", deidentify=True)
    strange.add_new("ContentCreatorName", "OW", b"\0\0")
    with pytest.raises(WriteError, match=r"cannot be de-identified \(NotImplementedError\)"):
        save(replace(source, volume=volume), tmp_path / "lesion.dcm", deidentify=True)
