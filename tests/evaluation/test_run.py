"""The whole evaluation, on data made for it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgeflow_med.errors import ReadError, UsageError
from edgeflow_med.evaluation import Settings, evaluate, markdown, read_report, write_json, write_markdown, write_plot
from edgeflow_med.evaluation.summary import iou_curve, slice_intervals, slice_values, with_means
from edgeflow_med.simulation import ROBOTS, Clicks, RobotKind

SMALL = Settings(max_interactions=6, targets_per_set=5, objects_per_set=1, max_object_interactions=4)


def without_times(report):
    slices = [replace(record, seconds=[]) for record in report.slices]
    return slices, [replace(record, seconds_per_slice=0.0) for record in report.volumes]


def test_bright_blocks_take_one_prompt(two_cases, bright):
    heard = []
    report = evaluate([two_cases], bright, SMALL, progress=lambda *args: heard.append(args))
    assert len(report.slices) == 3 * 5
    assert [args[:2] for args in heard] == [(n, 16) for n in range(1, 17)]
    for robot in SMALL.robots:
        figures = report.slice_figures(robot)
        assert figures["Blocks"]["noc90"] == figures["mean"]["noc85"] == 1.0
        assert figures["Blocks"]["hd95_mm@1"] == 0.0
        assert figures["Blocks"]["failures85"] == 0.0
        assert figures["Blocks"]["obeyed"] == 1.0
        assert figures["Blocks"]["quality_error"] == pytest.approx(0.1)
    assert report.volume_figures()["mean"]["dice"] == 1.0
    assert report.sets[0].tiny == 1


def test_every_robot_sees_the_same_targets(two_cases, bright):
    report = evaluate([two_cases], bright, SMALL)
    by_robot = [[record.target for record in report.slice_records(robot, "Blocks")] for robot in SMALL.robots]
    assert by_robot[0] == by_robot[1] == by_robot[2] == report.sets[0].targets


def test_killed_run_goes_on_and_gives_the_same_report(two_cases, bright, tmp_path):
    whole = evaluate([two_cases], bright, SMALL)
    path = tmp_path / "report.json"

    class Killed(type(bright)):
        def predict(self, request):
            if len(self.requests) == 9:
                raise KeyboardInterrupt
            return super().predict(request)

    with pytest.raises(KeyboardInterrupt):
        evaluate([two_cases], Killed(), SMALL, report=path)
    partial = path.with_name("report.json.partial")
    finished = len(partial.read_text().splitlines()) - 1
    assert finished == 9
    assert not path.exists()
    with partial.open("a") as file:
        file.write('{"key": ["Blocks", "cli')  # killed in the middle of a line

    second = type(bright)()
    heard = []
    resumed = evaluate([two_cases], second, SMALL, report=path, progress=lambda *args: heard.append(args[0]))
    assert heard[0] == finished + 1
    assert len(second.requests) < len(bright.requests)
    assert without_times(resumed) == without_times(whole)
    assert path.exists()
    assert not partial.exists()


def test_partial_file_of_another_run_is_refused(two_cases, bright, tmp_path):
    path = tmp_path / "report.json"
    path.with_name("report.json.partial").write_text('{"predictor": {"name": "other"}}\n')
    with pytest.raises(UsageError, match="belongs to a run with another predictor"):
        evaluate([two_cases], bright, SMALL, report=path)


def test_report_reads_back(two_cases, bright, tmp_path):
    path = tmp_path / "report.json"
    report = evaluate([two_cases], bright, SMALL, report=path)
    again = read_report(path)
    assert without_times(again) == without_times(report)
    assert again.slice_figures("clicks")["mean"]["noc85"] == 1.0
    document = json.loads(path.read_text())
    assert document["settings"]["seed"] == 0
    assert set(document["environment"]) >= {"date", "commit", "cpu", "cores", "threads", "versions"}
    assert document["sets"][0]["targets"] == [record["target"] for record in document["slices"][:5]]
    assert str(tmp_path) not in path.read_text()  # a report names no place


def test_report_of_another_kind(tmp_path):
    path = tmp_path / "x.json"
    for content in ("[]", "{}", "no"):
        path.write_text(content)
        with pytest.raises(ReadError, match="not an evaluation report"):
            read_report(path)
    path.write_text('{"schema": 99}')
    with pytest.raises(ReadError, match="schema 99"):
        read_report(path)


def test_tables_and_plot_of_two_predictors(two_cases, bright, tmp_path):
    first = evaluate([two_cases], bright, SMALL)
    second = replace(first, predictor={"name": "second", "version": "2", "device": "cpu", "seen": "half of it"})
    text = markdown([first, second])
    assert text.count("Seen in training: half of it.") == 1
    rows = [line for line in text.splitlines() if line.startswith(("| Blocks | bright |", "| Blocks | second |"))]
    assert len(rows) == 2 * (2 * 3 + 1)
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| ") and "NoC@85" in line}
    assert len(widths) == 1
    assert "| Blocks | MR | 2 | 29 | 1 | 5 | – |" in text
    write_markdown([first, second], tmp_path / "table.md")
    assert (tmp_path / "table.md").read_text("utf-8") == text
    write_plot([first, second], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_robot_of_ones_own_that_counts_twice(two_cases, bright):
    robots = {**ROBOTS, "double": RobotKind(lambda _seed: Clicks(), interactions=2)}
    settings = replace(SMALL, robots=("double",), objects_per_set=0)
    report = evaluate([two_cases], bright, settings, robots=robots)
    figures = report.slice_figures("double")["mean"]
    assert figures["noc85"] == 2.0
    assert (figures["iou@1"], figures["iou@2"]) == (0.0, 1.0)


def test_distances_are_in_pixels_where_the_spacing_is_nominal(make_set, bright):
    folder = make_set("N", {"a": {1: [np.s_[0:1, 5:15, 5:15]]}}, (1, 30, 30), note="nominal spacing")
    figures = evaluate([folder], bright, SMALL).slice_figures("clicks")["N"]
    assert "hd95_px@3" in figures
    assert "hd95_mm@3" not in figures


def test_two_sets_of_one_name_are_refused(two_cases, bright):
    with pytest.raises(UsageError, match="same name"):
        evaluate([two_cases, two_cases], bright, SMALL)


def test_nothing_to_evaluate(make_set, bright):
    folder = make_set("Specks", {"a": {1: [np.s_[0:1, 0:2, 0:2]]}}, (1, 30, 30))
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate([folder], bright, SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"robots": ()}, "at least one"),
        ({"robots": ("clicks", "clicks")}, "each once"),
        ({"max_interactions": 0}, "at least 1"),
        ({"targets_per_set": -1}, "at least 0"),
        ({"max_object_interactions": 2}, "less than max_start_interactions"),
    ],
)
def test_settings_that_make_no_sense(change, message):
    with pytest.raises(UsageError, match=message):
        Settings(**change)


def test_unknown_robot(two_cases, bright):
    with pytest.raises(UsageError, match="Unknown robot user 'typist'; give one of clicks, noisy, scribbles"):
        evaluate([two_cases], bright, Settings(robots=("typist",)))


def test_intervals_hold_the_mean_and_shrink_to_it(two_cases, bright):
    records = evaluate([two_cases], bright, SMALL).slice_records("clicks", "Blocks")
    varied = [replace(record, iou=[0.1 * n, 0.95], case=f"case{n % 6}") for n, record in enumerate(records * 6)]
    mean = slice_values(varied, 20, "mm")["noc80"].mean()
    low, high = slice_intervals(varied, 20, "mm", seed=0)["noc80"]
    assert low < mean < high
    assert slice_intervals(records, 20, "mm", seed=0)["noc80"] == (1.0, 1.0)


def test_mean_leaves_small_targets_out_of_its_second_line():
    sets = {
        "tiny": {"pixels_median": 30.0, "noc85": 20.0, "targets": 4},
        "big": {"pixels_median": 900.0, "noc85": 4.0, "targets": 6},
    }
    figures = with_means(sets)
    assert figures["mean"]["noc85"] == 12.0
    assert figures["mean"]["targets"] == 10.0
    assert figures["mean of larger"]["noc85"] == 4.0
    assert "mean of larger" not in with_means({"big": sets["big"]})


def test_curve_carries_the_last_answer_on(two_cases, bright):
    records = evaluate([two_cases], bright, SMALL).slice_records("clicks", "Blocks")
    assert iou_curve(records, 4) == [1.0, 1.0, 1.0, 1.0]


def test_written_report_equals_the_one_returned(two_cases, bright, tmp_path):
    report = evaluate([two_cases], bright, SMALL)
    write_json(report, tmp_path / "new" / "r.json")
    assert without_times(read_report(tmp_path / "new" / "r.json")) == without_times(report)
