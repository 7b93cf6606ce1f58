"""The figures of propagation's benchmarks: what is counted, and what a calibration makes of steps."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import propagation, propagation_calibration
from edgeflow_med.propagation import Brakes, Calibration, Evidence
from edgeflow_med.propagation.brakes import DEFAULT
from tests.evaluation.conftest import BrightPredictor, make_set

__all__ = ["make_set"]  # a fixture

FINE = Evidence(area=300, growth=1.0, consent=0.97, edge=1.0, tissue=0.2, contrast=1.0, quality=0.85, drift=0.1)


def record(*slices: tuple[float, float]) -> dict[str, Any]:
    """An object with an expected and a true Dice for each of its slices."""
    return {"one": {"review": [[n, quality, dice] for n, (quality, dice) in enumerate(slices)]}}


def test_how_much_sooner_bad_slices_are_found() -> None:
    mixed = record((0.9, 0.95), (0.8, 0.95), (0.2, 0.1), (0.3, 0.5))
    told = propagation.review([mixed, record((0.95, 0.99), (0.85, 0.99))])
    assert (told["slices"], told["bad"]) == (6, 2)
    assert told["looked_at_for_half"] == {
        "by_expected_dice": 1,
        "in_order": 4,
        "at_best": 1,
        "times_sooner": 4.0,
        "times_sooner_at_best": 4.0,
    }
    assert told["looked_at_for_all"]["in_order"] == 6
    within = told["mean_place_of_a_bad_slice_within_its_object"]
    assert within == {"objects": 1, "by_expected_dice": 1.5, "in_order": 3.5, "at_best": 1.5}


def test_nothing_bad_and_nothing_proposed_are_told() -> None:
    assert propagation.review([record((0.9, 0.95))]) == {"slices": 1, "bad": 0}
    assert propagation.review([record()]) == {"slices": 0, "bad": 0}


def test_a_run_that_was_stopped_goes_on_unless_the_model_or_its_brakes_are_others(
    make_set: Any, tmp_path: Path
) -> None:
    block = (slice(2, 7), slice(10, 30), slice(10, 40))  # too short for interpolation, which needs another package
    folder, partial = make_set("Blocks", {"a": {1: [block]}}), tmp_path / "partial.json"
    first = BrightPredictor()
    (found,) = propagation.measure([folder], 1, first, partial)
    assert found["one"]["edgeflow"]["dice"] > 0.95
    assert first.requests
    again = BrightPredictor()
    assert propagation.measure([folder], 1, again, partial) == [found]
    assert again.requests == []
    again.brakes = asdict(replace(DEFAULT, bias=-3.0))  # type: ignore[attr-defined]
    propagation.measure([folder], 1, again, partial)
    assert again.requests


def steps(count: int = 40) -> list[dict[str, Any]]:
    """Steps of two patients; inside, the network consents to what was carried there, outside it does not."""
    dice = np.random.default_rng(0)
    found = []
    for number in range(count):
        inside = number % 4 > 0
        evidence = replace(FINE, consent=(0.9 if inside else 0.6) + 0.05 * dice.normal(), edge=float(dice.random()))
        about = {
            "set": "Toy",
            "object": f"p{number % 2}/label1",
            "direction": 1,
            "inside": inside,
            "dice": dice.random(),
        }
        found.append({**about, "pixels": [1, 1, 1], **asdict(evidence)})
    return found


def test_a_calibration_separates_and_can_be_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = propagation_calibration.report(steps())
    assert Calibration.read(json.loads(json.dumps(asdict(made)))) == made
    assert made.weights["consent"] > 10 * abs(made.weights["edge"])
    brakes = Brakes(calibration=made)
    assert brakes.check(FINE) is None
    assert brakes.check(replace(FINE, consent=0.55)) is not None
    assert "AUC of all, patients left out" in capsys.readouterr().out
    metadata = tmp_path / "model" / "configs" / "metadata.json"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(json.dumps({"version": "1", "edgeflow": {"sha256": "0", "policy": {}, "brakes": {}}}), "utf-8")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    assert propagation_calibration.write(str(tmp_path / "model"), asdict(made)) == metadata
    assert json.loads(metadata.read_text("utf-8"))["edgeflow"]["brakes"]["bias"] == made.bias


def test_of_limits_that_are_as_good_the_one_that_misses_fewest_slices_is_chosen() -> None:
    def found(dice: float, over: float, under: float) -> dict[str, float]:
        return {"dice": dice, "overrun_mean": over, "underrun_mean": under}

    limits = {0.5: found(0.742, 1.57, 0.36), 0.7: found(0.745, 1.32, 0.61), 0.8: found(0.747, 1.07, 1.25)}
    assert propagation_calibration.choose(limits) == 0.7
    assert propagation_calibration.choose(limits | {0.9: found(0.76, 2.0, 2.0)}) == 0.9
