"""Measurement reports: judged by dciodvfy, read by highdicom, and refused where they would say something else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import Comprehensive3DSR
from pydicom import Dataset, dcmread

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.io import MeasuredSegment, save, save_measurements
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation
from edgeflow_med.volume import Volume
from tests.io.here import read_volume
from tests.phantoms import Phantom, ellipsoid, write_series

PHANTOM = Phantom()
MEASURED = (MeasuredSegment(1, 12.34567, 31.254, 20.5), MeasuredSegment(2, 0.5, 9.0, 7.25))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("oblique")
    write_series(folder, PHANTOM)
    return read_volume(folder)


@pytest.fixture
def seg(volume: Volume, tmp_path: Path) -> Path:
    mask = ellipsoid(PHANTOM)
    segments = (
        Segment(1, "Lesion 腫", algorithm_name="EdgeFlow", region=Code("39607008", "SCT", "Lung"), unreviewed_slices=4),
        Segment(2, "Cyst", algorithm_type=AlgorithmType.MANUAL, tracking_id="Finding 7"),
    )
    save(Segmentation(volume, segments, (mask, np.roll(mask, 3, axis=2))), tmp_path / "seg.dcm")
    return tmp_path / "seg.dcm"


def test_highdicom_finds_the_numbers_under_their_segments(seg: Path, tmp_path: Path) -> None:
    saved = save_measurements(tmp_path / "report.dcm", seg, MEASURED, creator="Doe^Jane")
    assert saved.paths == (tmp_path / "report.dcm",)
    report, source = Comprehensive3DSR.from_dataset(dcmread(tmp_path / "report.dcm")), dcmread(seg)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        assert report.get(keyword) == source.get(keyword)
    assert report.CompletionFlagDescription == "Not for clinical use; 4 unreviewed slices"
    groups = report.content.get_volumetric_roi_measurement_groups()
    for group, entry, item in zip(groups, MEASURED, source.SegmentSequence, strict=True):
        assert group.referenced_segment.referenced_sop_instance_uid == source.SOPInstanceUID
        assert group.referenced_segment.referenced_segment_numbers == [entry.number]
        assert (group.tracking_uid, group.tracking_identifier) == (item.TrackingUID, item.TrackingID)
        assert group.finding_type.value == "52988006"
        found = {(m.name.meaning, m.unit.value): float(m.value) for m in group.get_measurements()}
        assert found == {
            ("Volume", "cm3"): round(entry.volume_ml, 4),
            ("Long Axis", "mm"): round(entry.longest_mm, 2),
            ("Short Axis", "mm"): round(entry.perpendicular_mm, 2),
        }
    assert [group.finding_sites[0].topographical_modifier for group in groups[:1]] == [None]


def test_dciodvfy_finds_no_error(seg: Path, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; `apt-get install dicom3tools` enables this check")
    save_measurements(tmp_path / "report.dcm", seg, MEASURED)
    result = subprocess.run(["dciodvfy", tmp_path / "report.dcm"], capture_output=True, text=True, check=False)
    assert [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")] == []


def test_what_does_not_fit_the_segmentation_is_refused(seg: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"seg\.dcm has no segment 9"):
        save_measurements(tmp_path / "report.dcm", seg, [MeasuredSegment(9, 1.0, 1.0, 1.0)])
    image = write_series(tmp_path / "in", PHANTOM)[0]
    with pytest.raises(ReadError, match="is not a DICOM Segmentation"):
        save_measurements(tmp_path / "report.dcm", image, MEASURED)
    with pytest.raises(WriteError, match=r"give a name that ends in \.dcm"):
        save_measurements(tmp_path / "report.nrrd", seg, MEASURED)
    assert not (tmp_path / "report.dcm").exists()


@pytest.mark.parametrize("altered", ["number", "segment", "patient"])
def test_a_report_that_reads_back_differently_is_never_given_its_name(altered, seg, tmp_path, monkeypatch) -> None:
    plain = Dataset.save_as

    def careless(dataset: Dataset, path: Path, **options: object) -> None:
        for item in _items(dataset):
            if altered == "number" and item.ValueType == "NUM":
                item.MeasuredValueSequence[0].NumericValue = 99
            elif altered == "segment" and "ReferencedSOPSequence" in item:
                item.ReferencedSOPSequence[0].ReferencedSegmentNumber = 2
        if altered == "patient":
            dataset.PatientID = "X-9"
        plain(dataset, path, **options)

    monkeypatch.setattr(Dataset, "save_as", careless)
    with pytest.raises(WriteError, match="did not read back as written"):
        save_measurements(tmp_path / "report.dcm", seg, MEASURED)
    assert not (tmp_path / "report.dcm").exists()


def _items(item: Dataset) -> list[Dataset]:
    children = list(item.get("ContentSequence") or [])
    return [*children, *(inner for child in children for inner in _items(child))]
