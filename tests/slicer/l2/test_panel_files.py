"""What the panel reads and writes: exports, scenes, sample scans, models, and its own installation."""

from __future__ import annotations

import shutil
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import slicer

from edgeflow_med.io import read_segmentation, read_volume
from edgeflow_med.resources import resource
from edgeflow_med.weights import DEFAULT_MODEL, bundle_names
from tests.slicer import headless
from tests.slicer.l2.hand import Hand, show, until
from tests.slicer.l2.reader import BALL, CENTRE, Reader, world

SERIES = resource("sample_data") / "sts_003_ct" / "series"


class Database:
    """Slicer's DICOM database, which is Qt and not here, as far as the module asks it."""

    def __init__(self, *files: Path) -> None:
        self.isOpen = True
        self._files = {str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID): file for file in files}
        self.taken: list[pydicom.Dataset] = []

    def fileForInstance(self, uid: str) -> str:
        return str(self._files.get(uid, ""))

    def insert(self, file: str, _copies: bool, _thumbnail: bool) -> None:
        self.taken.append(pydicom.dcmread(file))


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database that holds the sample CT."""
    made = Database(*SERIES.iterdir())
    monkeypatch.setattr(slicer, "dicomDatabase", made, raising=False)
    return made


def choose_format(reader: Reader, word: str) -> None:
    combo = reader.ui.exportFormatCombo
    combo.currentIndex = next(row for row in range(combo.count) if word in combo.itemText(row))


def test_export_writes_what_is_shown(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt
    import SimpleITK

    mask = reader.clicked(*CENTRE)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_words: str(tmp_path))
    reader.node().SetName('3: Thorax 1.0/B30f "lung"')  # as scanners name series; no file can be called so
    choose_format(reader, "NIfTI")
    reader.press(reader.ui.exportButton)
    until(lambda: "Saved" in reader.ui.statusLabel.text)
    written = next(iter(tmp_path.glob("*.nii.gz")))
    assert reader.ui.statusLabel.text == f"Saved and read back: {written}."
    assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(written)).astype(bool) == mask).all()


@pytest.mark.usefixtures("hand", "network")
def test_a_dicom_seg_goes_into_the_database(database: Database, request: pytest.FixtureRequest) -> None:
    volume = read_volume(SERIES)
    matrix = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine)[:, [2, 1, 0, 3]]
    node = headless.volume_node(volume.array, matrix)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(str(header.SOPInstanceUID) for header in volume.headers))
    show(node)
    panel = request.getfixturevalue("panel")
    until(lambda: panel.case is not None)
    mask = np.zeros(volume.shape, bool)
    mask[20:24, 60:80, 60:80] = True
    panel.case.session.add_segment("Lesion", mask)
    panel.act("export")
    until(lambda: database.taken)
    (seg,) = database.taken
    assert (seg.Modality, seg.PatientID) == ("SEG", volume.headers[0].PatientID)
    uids = {str(item.ReferencedSOPInstanceUID) for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert uids <= {str(header.SOPInstanceUID) for header in volume.headers}
    assert panel.ui.statusLabel.text.endswith("It is in the DICOM database.")
    assert not [*Path(slicer.app.temporaryPath).rglob("*.dcm")], "a copy stays behind"
    seg.save_as(Path(slicer.app.temporaryPath) / "seg.dcm")
    np.testing.assert_array_equal(read_segmentation(Path(slicer.app.temporaryPath) / "seg.dcm", volume).masks[0], mask)
    (Path(slicer.app.temporaryPath) / "seg.dcm").unlink()


def test_why_no_dicom_seg_can_be_written_is_told(reader: Reader, database: Database) -> None:
    reader.clicked(*CENTRE)
    choose_format(reader, "database")
    reader.press(reader.ui.exportButton)
    until(lambda: "must refer to a DICOM series" in reader.ui.statusLabel.text)
    database.isOpen = False
    reader.press(reader.ui.exportButton)
    assert "There is no DICOM database" in reader.ui.statusLabel.text
    assert database.taken == []


def test_a_bundle_saved_by_slicer_brings_the_session_back(reader: Reader, tmp_path: Path) -> None:
    """Whatever saves the scene: the panel hears of it, and hears of the scene that is read."""
    mask = reader.clicked(*CENTRE)
    folder = reader.panel.case.session.case_dir
    until(lambda: not reader.panel.worker.unfinished)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "case.mrb"), None, None)
    slicer.mrmlScene.Clear(0)
    assert reader.panel.case is None
    shutil.rmtree(folder)  # as on another machine
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "case.mrb"), True, None)
    until(lambda: reader.panel.case is not None and not reader.panel.worker.unfinished)
    (reader.volume,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert reader.ui.statusLabel.text.startswith("Resumed; 2 steps can be undone. ")
    np.testing.assert_array_equal(reader.mask(), mask)
    reader.press(reader.ui.undoButton)
    until(lambda: not reader.mask().any())


def test_all_models_can_be_chosen(reader: Reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights, combo = tmp_path / "weights", reader.ui.modelCombo
    assert [combo.itemText(row) for row in range(combo.count)] == bundle_names()
    assert combo.currentText == reader.panel.case.desk.model[0] == DEFAULT_MODEL
    weights.mkdir()
    for name in (*bundle_names(), "another"):
        (weights / name).symlink_to(resource("weights") / (DEFAULT_MODEL if name == "another" else name))
    monkeypatch.setattr("edgeflow_med.weights.resource", lambda _name: weights)
    slicer.mrmlScene.Clear(0)
    show(headless.volume_node(BALL.astype(np.int16)))
    reader.panel.enter()
    until(lambda: reader.panel.case is not None)
    assert [combo.itemText(row) for row in range(combo.count)] == bundle_names()
    combo.setCurrentText("another")
    combo.activated.emit(combo.currentIndex)
    until(lambda: reader.ui.statusLabel.text.startswith("another is ready"))
    assert reader.panel.logic.getParameterNode().model == "another"


def test_samples_are_offered_and_loaded_by_the_dicom_database(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rules of Slicer's SampleData: as many file names as addresses, thumbnails that exist."""
    import EdgeFlow

    offered, imported = {}, []

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataCategory(category: str, title: str) -> None:
            assert category == title == "EdgeFlow"

        @staticmethod
        def registerCustomSampleDataSource(**source: Any) -> None:
            assert source["category"] == "EdgeFlow"
            assert isinstance(source["uris"], str), "Slicer takes the length of what is no text"
            assert isinstance(source["fileNames"], str)
            assert Path(source["thumbnailFileName"]).is_file()
            offered[source["sampleName"]] = source["customDownloader"]

    utilities = types.SimpleNamespace(
        importDicom=imported.append,
        seriesUIDsForFiles=lambda files: {str(pydicom.dcmread(file).SeriesInstanceUID) for file in files},
        loadSeriesByUID=lambda uids: [headless.volume_node(BALL.astype(np.int16), name=uid).GetID() for uid in uids],
    )
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=SampleDataLogic))
    monkeypatch.setitem(sys.modules, "DICOMLib", types.SimpleNamespace(DICOMUtils=utilities))
    assert hand.window.visible
    EdgeFlow.register_sample_data()
    assert list(offered) == ["CT, lung tumour", "CT, sarcoma", "MR, sarcoma"]
    (node,) = offered["CT, sarcoma"](None)
    assert imported == [str(SERIES)]
    assert node.GetName() == pydicom.dcmread(next(SERIES.iterdir())).SeriesInstanceUID


def test_the_installation_is_checked_on_request(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeflow_med.cli import doctor

    look, threads = doctor.checks, []
    monkeypatch.setattr(doctor, "checks", lambda: [threads.append(threading.current_thread()), *look()][1:])
    reader.press(reader.ui.checkButton)
    assert reader.ui.installationLabel.text.startswith("edgeflow_med ")
    assert "All packages that it needs are there." in reader.ui.installationLabel.text
    until(lambda: "ok: Answer, the model answered" in reader.ui.installationLabel.text)
    assert threading.main_thread() not in threads
    assert f"ok: Model, {DEFAULT_MODEL}" in reader.ui.installationLabel.text


@pytest.mark.usefixtures("ct")
def test_missing_packages_are_told_not_asked_for(hand: Hand, monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    monkeypatch.setattr("EdgeFlowLib.installation.missing", lambda: ["torch>=2.8"])
    panel = request.getfixturevalue("panel")
    assert panel.case is None
    assert "missing" in panel.ui.statusLabel.text
    hand.click(world(*CENTRE))


@pytest.mark.usefixtures("ct")
def test_packages_come_from_a_folder_of_wheels(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, request: Any, tmp_path: Path
) -> None:
    import qt

    lacking, told = ["torch>=2.8"], []
    monkeypatch.setattr("EdgeFlowLib.installation.missing", lambda: list(lacking))
    monkeypatch.setattr("EdgeFlowLib.installation.install", lambda wheels: told.append(wheels) or lacking.clear())
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_words: str(tmp_path))
    panel = request.getfixturevalue("panel")
    panel.ui.advancedSection.collapsed = False
    hand.press(panel.ui.wheelsButton)
    assert told == [tmp_path]
    until(lambda: panel.case is not None)
