"""Saved scenes bring the session back; exported files hold what the scene shows; the real model on a real scan."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import slicer

from edgeflow_med.io import read_segmentation, read_volume
from edgeflow_med.segmentation import AlgorithmType
from tests.slicer import headless
from tests.slicer.l1.bench import Reader, ball
from tests.slicer.l1.conftest import ROOT

BALL = ball() > 0
MIDDLE = (12, 30, 40)
SERIES = ROOT / "sample_data" / "sts_003_ct" / "series"


def work(desk: Reader) -> np.ndarray:
    """Two clicks and a propagation; returns the mask."""
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    desk.click(12, 24, 40, ctrl=True)
    desk.case.desk.propagate_up()
    desk.settle()
    return desk.mask()


@pytest.mark.parametrize("moved", [False, True], ids=["same machine", "other machine"])
def test_a_saved_bundle_brings_the_session_back(reader: Callable[..., Reader], tmp_path: Path, moved: bool) -> None:
    desk = reader()
    mask = work(desk)
    history = desk.case.session.history
    folder = desk.case.session.case_dir
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "case.mrb"), None, None)
    desk.close()
    slicer.mrmlScene.Clear(0)
    if moved:
        shutil.rmtree(folder)

    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "case.mrb"), True, None)
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")]
    assert len(names) == 1  # what is drawn besides is not saved
    volume = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0]
    again = reader(volume, segmentation=slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0])
    assert again.case.opened == f"Resumed; {len(history)} steps can be undone."
    assert again.case.session.history[: len(history)] == history
    np.testing.assert_array_equal(again.mask(), mask)
    assert len(again.case.session.segments) == 1
    again.look_at(*MIDDLE)
    assert again.painted(12, 33, 43)
    for _ in range(len(again.case.session.history) - 3):
        again.case.desk.undo()
    again.settle()
    np.testing.assert_array_equal(again.mask()[12], BALL[12])


def test_a_saved_scene_keeps_its_journal_beside_it(reader: Callable[..., Reader], tmp_path: Path) -> None:
    scene = slicer.mrmlScene
    scene.SetURL(str(tmp_path / "study.mrml"))
    scene.SetRootDirectory(str(tmp_path))
    scene.Commit()
    desk = reader()
    scene.SetURL("")
    assert desk.case.session.case_dir.parent == tmp_path / "study-edgeflow"


def test_a_crash_loses_nothing(reader: Callable[..., Reader], tmp_path: Path) -> None:
    """The scene was saved once, early; what was done since is in the journal."""
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "early.mrb"), None, None)
    mask = work(desk)
    desk.case.session.close()  # the process is gone
    desk.case.close = lambda: None
    desk.case._drawing.close()
    desk.close()
    slicer.mrmlScene.Clear(0)

    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "early.mrb"), True, None)
    volume = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0]
    again = reader(volume, segmentation=slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0])
    np.testing.assert_array_equal(again.mask(), mask)


def test_what_was_edited_without_the_module_becomes_a_step(reader: Callable[..., Reader], tmp_path: Path) -> None:
    desk = reader()
    desk.look_at(*MIDDLE)
    desk.click(*MIDDLE)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "case.mrb"), None, None)
    desk.close()
    slicer.mrmlScene.Clear(0)

    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "case.mrb"), True, None)
    volume = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0]
    node = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]
    identifier = node.GetSegmentation().GetNthSegmentID(0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(BALL.astype(np.uint8), node, identifier, volume)
    again = reader(volume, segmentation=node)
    again.settle()
    assert again.case.session.history[-1] == "Edit"
    np.testing.assert_array_equal(again.mask(), BALL)


def test_slicers_own_segmentation_file(reader: Callable[..., Reader], tmp_path: Path) -> None:
    desk = reader()
    mask = work(desk)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "lesion.seg.nrrd"))
    assert storage.WriteData(desk.node)
    found = read_segmentation(tmp_path / "lesion.seg.nrrd", desk.case.session.volume)
    np.testing.assert_array_equal(found.masks[0], mask)
    assert found.segments[0].algorithm_type is AlgorithmType.SEMIAUTOMATIC
    assert found.segments[0].tracking_uid == desk.case.desk.current.tracking_uid
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(other)
    np.testing.assert_array_equal(
        slicer.util.arrayFromSegmentBinaryLabelmap(other, other.GetSegmentation().GetNthSegmentID(0), desk.volume) > 0,
        mask,
    )


@pytest.mark.parametrize("name", ["lesion.nii.gz", "lesion.seg.nrrd"])
def test_export(reader: Callable[..., Reader], tmp_path: Path, name: str) -> None:
    desk = reader()
    mask = work(desk)
    written: list[Path] = []
    desk.case.export(tmp_path / name, written.append, accepted_only=False)
    desk.settle()
    assert written == [tmp_path / name]
    waiting = len(desk.case.desk.current.proposed)
    assert desk.told[-1] == f"Saved and read back: {tmp_path / name}; nobody has accepted {waiting} of its slices."
    np.testing.assert_array_equal(read_segmentation(tmp_path / name, desk.case.session.volume).masks[0], mask)
    desk.case.export(tmp_path / f"accepted-{name}", written.append, accepted_only=True)
    desk.settle()
    accepted = read_segmentation(written[-1], desk.case.session.volume).masks[0]
    assert accepted.any((1, 2)).sum() == 1


class Database:
    """Slicer's DICOM database as far as the module asks it; Slicer's own is Qt and not in slicer-core."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")


@pytest.mark.slow
def test_the_real_model_on_a_real_ct_to_a_dicom_seg(
    reader: Callable[..., Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded with its slices the other way round, as Slicer may; clicked; written with references to the files."""
    from edgeflow_med.predictors.lazy import LazyPredictor

    volume = read_volume(SERIES)
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix = (flip @ volume.affine)[:, [2, 1, 0, 3]]
    matrix[:3, 3] += matrix[:3, 2] * (volume.shape[0] - 1)  # slices from the other end
    matrix[:3, 2] *= -1
    node = headless.volume_node(volume.array[::-1].copy(), matrix)
    uids = {str(header.SOPInstanceUID): header for header in volume.headers}
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    by_uid = {str(read_uid(file)): str(file) for file in SERIES.glob("*.dcm")}
    monkeypatch.setattr(slicer, "dicomDatabase", Database(by_uid), raising=False)

    desk = reader(node, predictor=LazyPredictor(device="cpu"), window="soft-tissue")
    k = volume.shape[0] - 1 - 23
    desk.look_at(k, 79, 76)
    desk.click(k, 79, 76)
    assert desk.mask()[k].sum() > 50
    assert desk.painted(k, 79, 76)
    desk.case.export(tmp_path / "lesion.dcm", lambda _path: None, accepted_only=False)
    desk.settle()
    assert desk.told[-1].startswith("Saved and read back"), desk.told
    found = read_segmentation(tmp_path / "lesion.dcm", volume)
    np.testing.assert_array_equal(found.masks[0], desk.mask()[::-1])


def read_uid(file: Path) -> str:
    import pydicom

    return pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
