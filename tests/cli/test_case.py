"""A case on the command line: every verb does what the session does, tells it, and leaves it in the journal."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from edgeflow_med.io import local, read_segmentation, read_volume
from edgeflow_med.io.atomic import write_together
from edgeflow_med.io.nifti import image_part
from edgeflow_med.metrics import dice
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.session import Session, read_journal
from tests.cli.conftest import Ran, run_command
from tests.cli.scans import CENTRE, Flood, ball, volume
from tests.io.test_rtstruct import write_rtstruct

K, J, I = CENTRE  # noqa: E741 - the axis
CLICK = f"{K},{J},{I}"
Verb = Callable[..., Ran]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process, and a predictor without a network answers."""
    monkeypatch.setattr("edgeflow_med.io.child.read_volume", local.read_volume)
    monkeypatch.setattr("edgeflow_med.io.child.read_segmentation", local.read_segmentation)
    monkeypatch.setattr("edgeflow_med.predictors.lazy.load_predictor", lambda *_: Flood())


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "ball.nii.gz"
    write_together([image_part(volume(), path)])
    return path


@pytest.fixture
def case(tmp_path: Path, scan: Path) -> Verb:
    """A case with an empty segment "Ball"; runs a verb on it that must succeed."""

    def verb(*arguments: object) -> Ran:
        ran = run_command("case", tmp_path / "case", *arguments)
        assert (ran.status, ran.err) == (0, ""), ran.err
        return ran

    verb("new", scan, "--modality", "CT", "--label", "Ball")
    return verb


def look(tmp_path: Path) -> Session:
    return Session.resume(tmp_path / "case", read_only=True)


def test_a_click_is_answered_undone_and_done_again(case: Verb, tmp_path: Path) -> None:
    said = case("click", CLICK).out
    assert said.startswith("Click on Ball: ")
    assert "expected IoU 0.90" in said
    clicked = look(tmp_path).mask()
    assert dice(clicked[K], ball()[K]) > 0.9
    assert case("undo").out == "Undid: Click\n"
    assert not look(tmp_path).mask().any()
    assert case("redo", 3).out == "Did again: Click\nNothing left to redo\n"
    np.testing.assert_array_equal(look(tmp_path).mask(), clicked)


@pytest.mark.parametrize(
    ("words", "kind", "positive"),
    [
        (("click", f"{CLICK},neg"), "click", False),
        (("click", CLICK, "--negative"), "click", False),
        (("scribble", CLICK, f"{K},{J},{I + 4}", "--width", 2), "scribble", True),
        (("scribble", CLICK, f"{K},{J},{I + 4}", "--negative"), "scribble", False),
        (("box", f"{K},{J - 10},{I - 20}", f"{K},{J + 10},{I + 20}"), "box", True),
        (("lasso", f"{K},{J - 9},{I}", f"{K},{J},{I + 18}", f"{K},{J + 9},{I - 9}"), "lasso", True),
        (("line", f"{K},{J},{I - 18}", f"{K},{J},{I + 18}"), "line", True),
        (("click", CLICK, "--plane", "coronal"), "click", True),
    ],
)
def test_prompts_reach_the_journal_as_they_were_given(
    case: Verb, tmp_path: Path, words: tuple[object, ...], kind: str, positive: bool
) -> None:
    case(*words)
    (prompt,) = [record for record in read_journal(tmp_path / "case") if record["type"] == "prompt"]
    assert prompt["prompt"]["type"] == kind
    assert prompt["prompt"].get("positive", True) == positive
    assert prompt["plane"] == ("coronal" if "coronal" in words else "axial")


def test_paint_erase_and_delete_prompt(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK)
    case("paint", f"{K},2,2", f"{K},2,9", "--width", 3)
    assert look(tmp_path).mask()[K, 2, 2:10].all()
    case("paint", CLICK, "--erase", "--width", 4)
    assert not look(tmp_path).mask()[K, J, I]
    case("delete-prompt", K)
    mask = look(tmp_path).mask()
    assert mask[K, 2, 2:10].all()
    assert not mask[K, J - 5 : J + 5].any()


def test_propagation_review_and_export(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK)
    said = case("propagate", "--range", 2).out
    assert "the range limit is reached" in said
    assert said.endswith("4 slices of Ball are unreviewed\n")
    assert case("next", "--count", 9).out.count("axial slice") == 4
    wrong = run_command("case", tmp_path / "case", "propagate", "--from", K + 1)
    assert f"nothing to propagate on slice {K + 1}; set out from what you annotated or accepted: {K}." in wrong.err
    assert "Accepted 2 slices of Ball; 3 are unreviewed" in case("accept", f"{K}-{K + 1}", K).out
    assert case("undo").out == "Undid: Accept\n"
    assert case("redo").out == "Did again: Accept\n"
    assert case("next", "--count", 9).out.count("axial slice") == 3
    case("flag", K - 2, "--comment", "look again")
    assert case("next").out.startswith(f"Ball  axial slice {K - 2}  expected Dice ")
    assert ": look again\n" in case("next").out
    all_of_it, accepted = tmp_path / "all.nii.gz", tmp_path / "accepted.nii.gz"
    assert "3 unreviewed slices of 'Ball' are contained." in case("export", all_of_it).out
    assert "3 unreviewed slices of 'Ball' are left out." in case("export", accepted, "--accepted-only").out
    scan = look(tmp_path).volume
    filled = [np.flatnonzero(read_segmentation(path, scan).masks[0].any((1, 2))) for path in (all_of_it, accepted)]
    assert filled[0].tolist() == [K - 2, K - 1, K, K + 1, K + 2]
    assert filled[1].tolist() == [K, K + 1]
    sidecar = json.loads((tmp_path / "accepted.nii.gz.provenance.json").read_text("utf-8"))
    assert [row["Origin"] for row in sidecar["Segments"][0]["Slices"]] == ["prompted", "propagated"]


def test_cancelling_leaves_what_is_done_and_says_so(
    case: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case("click", CLICK)
    before = look(tmp_path).mask()

    class Tired(Flood):
        left = 4  # a warm-up, then three slices

        def predict(self, request: SliceRequest) -> Prediction:
            Tired.left -= 1
            if Tired.left < 0:
                raise KeyboardInterrupt
            return super().predict(request)

    monkeypatch.setattr("edgeflow_med.predictors.lazy.load_predictor", lambda *_: Tired())
    ran = run_command("case", tmp_path / "case", "propagate", "--no-lesion")
    assert ran.status == 130
    assert ran.out.endswith("Cancelled; what was done stays, and one undo takes it back\n")
    assert look(tmp_path).unreviewed() == ran.out.count("expected Dice") > 0
    case("undo")
    np.testing.assert_array_equal(look(tmp_path).mask(), before)


def test_measurements_for_people_and_programs(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK)
    case("propagate")
    out = case("measure", "--output", tmp_path / "m.csv", "--output", tmp_path / "m.json").out
    rows = json.loads((tmp_path / "m.json").read_text("utf-8"))["rows"]
    whole, *slices = rows
    mask = look(tmp_path).mask()
    assert [row["slice"] for row in slices] == np.flatnonzero(mask.any((1, 2))).tolist()
    assert whole["longest_mm"] == max(row["longest_mm"] for row in slices)
    assert whole["volume_ml"] == pytest.approx(sum(row["area_mm2"] for row in slices) * 2.5 / 1000, rel=1e-3)
    assert (whole["unit"], round(whole["mean"], -1)) == ("HU", 60)
    assert f"{whole['volume_ml']:.4g} ml" in out
    table = list(csv.DictReader((tmp_path / "m.csv").open(encoding="utf-8")))
    assert [row["slice"] for row in table] == ["", *(str(row["slice"]) for row in slices)]
    assert table[0]["surface_cm2"] == str(whole["surface_cm2"])


def test_segments_options_and_branches(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK)
    case("export", tmp_path / "ball.nii.gz")
    case("add", "Second")
    case("add", "--mask", tmp_path / "ball.nii.gz")
    case("rename", "Third", "--segment", "3")
    case("clear", "--segment", "Third")
    assert not look(tmp_path).mask(3).any()
    case("undo")
    assert look(tmp_path).mask(3).any()
    case("describe", "lymph node", "--segment", "Third")
    case("lock", "--segment", "Ball")
    case("remove", "--segment", "Second")
    case("set", "--policy", "allow", "--window", "0,100", "--editable-range", "0,200", "--plane", "coronal")
    session = look(tmp_path)
    assert [(state.id, state.label, state.locked) for state in session.segments] == [
        (1, "Ball", True),
        (3, "Third", False),
    ]
    assert session.segments[1].type.meaning == "Lymph Node"
    assert (session.policy, session.plane, session.editable_range) == ("allow", "coronal", (0, 200))
    assert (session.window.low, session.window.high) == (0, 100)
    case("undo", 4)
    case("add", "Other")
    cleared, changed = case("branches").out.splitlines()
    assert cleared.endswith(": Clear Segment")
    assert "Change Window" in changed
    case("branches", "--switch", changed.partition(":")[0])
    assert look(tmp_path).plane == "coronal"


def test_structures_that_could_not_be_read_are_told(case: Verb, tmp_path: Path, scan: Path) -> None:
    square = [(J - 2, I - 2), (J - 2, I + 2), (J + 2, I + 2), (J + 2, I - 2)]
    path = write_rtstruct(tmp_path / "rs.dcm", volume(), [(K, square)])
    dataset, region = dcmread(path), Dataset()
    region.ROINumber, region.ROIName = 8, "Isocentre"
    dataset.StructureSetROISequence.append(region)
    dataset.save_as(path)
    for verb in ("paint", "add"):
        assert "closed contour: Isocentre" in case(verb, "--mask", path).out
    assert "closed contour: Isocentre" in run_command("case", tmp_path / "other", "new", scan, "--mask", path).out


def test_status_and_resume_tell_what_was_lost_and_what_waits(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK)
    case("propagate", "--range", 1)
    with Session.resume(tmp_path / "case") as session:
        session.ask(next(iter(session.segments[0].slices.values())).prompts[0])
    said = [case("status").out, run_command("resume", tmp_path / "case").out]
    for text in said:
        assert "a click for 'Ball' on slice 8 along k was not answered" in text
        assert "2 unreviewed" in text
        assert f"Look next   Ball, axial slice {K - 1}" in text or f"Look next   Ball, axial slice {K + 1}" in text
    assert "was not answered" not in case("status").out, "resume has put it on record"


def test_looking_writes_nothing(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK)
    journal = tmp_path / "case" / "journal.jsonl"
    before = journal.read_bytes()
    with Session.resume(tmp_path / "case") as held:  # open elsewhere, and that writes one record
        after = journal.read_bytes()
        for words in (["status"], ["next"], ["measure"], ["branches"], ["export", tmp_path / "a.nii"]):
            case(*words)
        assert held.mask().any()
    assert journal.read_bytes() == after != before


def test_a_scan_that_was_moved_is_found_where_it_is_said_to_be(case: Verb, tmp_path: Path, scan: Path) -> None:
    case("click", CLICK)
    elsewhere, record = tmp_path / "moved" / "ball.nii.gz", tmp_path / "case" / "journal.jsonl"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(scan.read_bytes())
    (tmp_path / "far" / "away").mkdir(parents=True)
    lost = tmp_path / "far" / "away" / "case"
    lost.mkdir()
    (lost / record.name).write_bytes(record.read_bytes())
    gone = run_command("case", lost, "status")
    assert gone.status == 2
    assert "--volume" in gone.err
    found = run_command("case", "--volume", elsewhere, "--reader", "second", lost, "undo")
    assert (found.status, found.out) == (0, "Undid: Click\n")
    assert [record["reader"] for record in read_journal(lost) if record["type"] == "resume"] == ["", "second"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jump"], "jump"),
        (["click"], "Missing argument"),
        (["click", "1,2"], "is not K,J,I"),
        (["click", "8,22,500"], "(8, 22, 500) lies outside"),
        (["click", CLICK, "--segment", "Liver"], "these segments: 1 'Ball'"),
        (["click", CLICK, "--model", "gpt"], "Unknown model 'gpt'"),
        (["scribble", CLICK], "at least two points"),
        (["box", CLICK], "A box has two corners, got 1"),
        (["box", CLICK, "9,22,50"], "must stay on one slice"),
        (["paint"], "or --mask FILE"),
        (["describe", "lymph"], "'Lymph Node'"),
        (["paint", "1,2,x"], "is not K,J,I"),
        (["propagate"], "nothing to propagate"),
        (["accept", "99"], "no slice 99"),
        (["accept", "x"], "'x' is no slice"),
        (["accept", "9-7"], "'9-7' is no slice"),
        (["export", "a.png"], "unknown suffix"),
        (["export", "a.nii"], "came out empty"),
        (["export", "SCAN"], "it would replace what was read"),
        (["export", "a.nii", "--accepted-only"], "No slice of 'Ball' is accepted"),
        (["measure", "--output", "a.txt"], "a table is .csv or .json"),
        (["set", "--editable-range", "wide"], "is no range"),
        (["branches", "--switch", "7"], "no branch 7"),
        (["new", "SCAN"], "already holds a case"),
    ],
)
@pytest.mark.usefixtures("case")
def test_what_cannot_be_done_is_refused_in_one_line(
    tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    def unwanted(*_: object) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr("edgeflow_med.predictors.lazy.load_predictor", unwanted)
    before = look(tmp_path).history
    ran = run_command("case", tmp_path / "case", *[scan if word == "SCAN" else word for word in words])
    assert ran.status == 2, ran.out
    assert len(ran.err.splitlines()) == 1
    assert said in ran.err
    assert look(tmp_path).history == before
    assert {path.name for path in tmp_path.iterdir()} == {"case"}


def test_a_folder_without_a_case_is_refused(tmp_path: Path) -> None:
    for words in (["case", tmp_path, "undo"], ["resume", tmp_path], ["effort", tmp_path]):
        ran = run_command(*words)
        assert ran.status == 2
        assert "There is no case at" in ran.err


def test_effort_of_cases_as_a_table(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK, f"{K},2,2,neg")
    assert "case: Ball: 2 clicks" in run_command("effort", tmp_path / "case", "--output", tmp_path / "e.csv").out
    rows = list(csv.DictReader((tmp_path / "e.csv").open(encoding="utf-8")))
    assert [(row["label"], row["clicks"]) for row in rows] == [("Ball", "2"), ("", "2")]


def test_accepted_slices_become_a_data_set(case: Verb, tmp_path: Path) -> None:
    case("click", CLICK)
    wanted = ("export-dataset", tmp_path / "case", "--layout", "decathlon", "--licence", "own", "--reference", "here")
    ran = run_command(*wanted, "--output", tmp_path / "Set")
    assert (ran.status, ran.err) == (0, "")
    assert "1 images with 1 slices of 1 patients" in ran.out
    (image,) = (tmp_path / "Set" / "imagesTr").iterdir()
    np.testing.assert_array_equal(read_volume(image).array[0], volume().array[K])
