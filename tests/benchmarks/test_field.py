"""The field report on one slice: rows are measured in processes of their own, kept, and laid side by side."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.field import __main__ as command
from benchmarks.field import collect, pictures, propagators
from benchmarks.field.outlines import Drawn, Memory, Recalling, Scene
from benchmarks.field.plan import Folder, Plan, Row, rows
from benchmarks.objects import Object
from benchmarks.quality import PEERS, load_peer
from benchmarks.quality.comparison import Entry
from edgeflow_med.errors import UsageError
from edgeflow_med.evaluation import Report, Settings, write_json
from edgeflow_med.evaluation.protocol import SliceRecord, SliceTask
from edgeflow_med.evaluation.report import SetInfo
from edgeflow_med.metrics import dice, iou
from edgeflow_med.predictors.base import SliceRequest, Stroke
from edgeflow_med.weights import DEFAULT_MODEL

ROWS, COLUMNS = np.mgrid[:64, :64]


def disc(row, column, radius):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


def test_a_row_is_measured_once_and_kept(data, tmp_path):
    folder, plan, row = (
        Folder(tmp_path / "parts"),
        Plan(rounds=1, interactions=2, threads=1),
        Row("slices", "random_walker"),
    )
    assert command.run(plan, data, folder, ["random_walker"]) == {}
    part = json.loads(folder.part(row).read_text("utf-8"))
    assert [(r["robot"], len(r["iou"])) for r in part["report"]["slices"]] == [("clicks", 2), ("scribbles", 2)]
    assert part["peak_megabytes"] > 50
    assert part["answer_cpu_seconds"]["first"] > 0
    assert folder.outlines("random_walker", 0).is_file()
    before = folder.part(row).stat().st_mtime_ns
    assert command.run(plan, data, folder, ["random_walker"]) == {}
    assert folder.part(row).stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="belongs to a report with other settings"):
        command.run(Plan(rounds=1, interactions=3, threads=1), data, folder, ["random_walker"])


def test_what_cannot_be_measured_says_why(data, tmp_path):
    missing = next((name for name, peer in PEERS.items() if not peer.installed), None)
    if missing is None:
        pytest.skip("all peers are installed")
    failed = command.run(Plan(rounds=1, threads=1), data, Folder(tmp_path / "parts"), [missing])
    assert PEERS[missing].install_command in failed[Row("slices", missing)]


def test_rows_are_chosen_by_name_and_kind():
    everything = rows(Plan(rounds=2))
    assert everything[0] == Row("slices", DEFAULT_MODEL)
    assert command.choose(everything, ["propagation/flow", "grabcut"]) == [
        Row("propagation", "flow"),
        Row("slices", "grabcut"),
        Row("slices", "grabcut", 1),
    ]
    with pytest.raises(UsageError, match="No row 'nobody'"):
        command.choose(everything, ["nobody"])


def report(number, targets):
    """A report of a round: each target has an IoU."""
    names = [f"t{n}" for n in targets]
    info = SetInfo("Discs", "MR", "mm", 1, 9, 0, names, [], "")
    slices = [
        SliceRecord("Discs", "a", f"t{n}", "clicks", 99, 1, [v], [0.0], [True], [1.0], [0.1])
        for n, v in targets.items()
    ]
    return Report(
        {"name": "m", "version": "1", "device": "cpu", "seen": ""},
        Settings(seed=number, robots=("clicks",)),
        {},
        [info],
        slices,
    )


def test_rounds_are_joined_and_no_target_counts_twice():
    joined = collect.merge([report(0, {1: 0.5, 2: 0.7}), report(1, {2: 0.1, 3: 0.9})])
    assert joined.sets[0].targets == ["t1", "t2", "t3"]
    assert {r.target: r.iou[0] for r in joined.slices} == {"t1": 0.5, "t2": 0.7, "t3": 0.9}


def test_a_row_is_borrowed_from_a_longer_evaluation_on_more_targets(tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "RESULTS", tmp_path)
    earlier = report(0, {1: 0.5, 2: 0.7})
    for record in earlier.slices:
        for values in (record.iou, record.quality, record.kept, record.seconds, record.obeyed):
            values.extend([0.8, 0.9])
        record.measures.update({mark: {"iou": mark / 10} for mark in (1, 2, 3)})
    write_json(earlier, tmp_path / "peer_grabcut.json")
    wanted = replace(report(0, {2: 0.1}), settings=Settings(max_interactions=2, robots=("clicks", "scribbles")))
    ours = collect.Measured(DEFAULT_MODEL, Entry(DEFAULT_MODEL, None, wanted))
    (record,) = collect.borrow("grabcut", ours).entry.report.slices
    assert (record.target, record.iou, sorted(record.measures)) == ("t2", [0.7, 0.8], [1, 2])
    other = replace(wanted, settings=replace(wanted.settings, seed=1))
    assert collect.borrow("grabcut", collect.Measured(DEFAULT_MODEL, Entry(DEFAULT_MODEL, None, other))) is None
    assert collect.borrow("random_walker", ours) is None


def test_pictures_show_the_best_the_median_and_the_worst():
    ours = report(0, {n: n / 10 for n in range(9)})
    for n, record in enumerate(ours.slices):
        object.__setattr__(record, "dataset", f"set{n % 3}")
    measured = collect.Measured(DEFAULT_MODEL, Entry(DEFAULT_MODEL, None, ours), 1, 1, {}, (0, 0))
    chosen = pictures.choose(collect.Field(Plan(), 1, [measured], {}, {}, {}))
    roles = {role: sorted(int(key[-1]) for key, r in chosen.items() if r == role) for role in pictures.ROLES}
    assert roles == {"best": [6, 7, 8], "median": [3, 4, 5], "worst": [0, 1, 2]}


def test_a_memory_answers_without_asking_again():
    memory = Memory(load_peer("geodesic"))
    image = np.where(disc(30, 32, 12), 0.8, 0.2).astype(np.float32)
    request = SliceRequest(image, strokes=(Stroke(((30.0, 32.0),)),))
    answer = memory.predict(request)
    assert np.array_equal(Recalling(memory).predict(request).mask, answer.mask)
    assert [first for first, _ in memory.cost] == [True]


def test_an_outline_is_drawn_where_it_lies():
    target = disc(30, 32, 12)
    scene = Scene("Discs/t", "t", SliceTask(np.zeros((64, 64), np.float32), target, (2.0, 1.0), true_spacing=True))
    view = pictures.View.around(scene)
    tile = np.asarray(view.tile(scene, Drawn(target, [])).convert("RGB")).astype(int)
    blue = np.argwhere(tile[..., 2] - tile[..., 0] > 80)
    middle = pictures.TILE / 2
    assert np.abs((blue.min(0) + blue.max(0)) / 2 - middle).max() < 2
    # rows are twice as far apart as columns: the disc is an ellipse, twice as high as wide
    height, width = np.ptp(blue, axis=0)
    assert height / width == pytest.approx(2, abs=0.15)


@pytest.fixture(scope="module")
def cone():
    """A disc that shrinks from slice to slice and moves to the right, on noise, from slice 2 to slice 8 of 11."""
    truth = np.zeros((11, 64, 64), bool)
    for k in range(2, 9):
        truth[k] = disc(30, 26 + k, 16 - k)
    images = np.where(truth, 0.7, 0.3) + np.random.default_rng(0).normal(0, 0.01, truth.shape)
    return Object("Cones", "cone", np.clip(images, 0, 1).astype(np.float32), truth, (1.0, 1.0), 3.0, lesion=False)


@pytest.mark.parametrize("name", propagators.WAYS)
@pytest.mark.parametrize("mode", ["one", "two"])
def test_ways_to_propagate_fill_a_cone(cone, name, mode):
    way = propagators.WAYS[name]
    if mode not in way.modes:
        pytest.skip(f"{way.title} needs two slices")
    if way.missing():
        pytest.skip(f"not installed; run `{way.missing()}`")
    known = {5: cone.truth[5]} if mode == "one" else {2: cone.truth[2], 8: cone.truth[8]}
    found = way.make()(cone, known, range(2, 9))
    assert {2, 3, 4, 6, 7, 8} <= set(found) | set(known)
    assert set(found) <= set(range(2, 9))
    least = 0.95 if name in {"flow", "graphcut3d", "growcut3d"} else 0.8
    masks = cone.volume({**found, **known})
    assert dice(masks, cone.truth) > least


def test_copying_gives_the_nearest_slice(cone):
    found = propagators.nearest(cone, {2: cone.truth[2], 8: cone.truth[8]}, range(2, 9))
    assert iou(found[4], cone.truth[2]) == 1
    assert iou(found[6], cone.truth[8]) == 1
