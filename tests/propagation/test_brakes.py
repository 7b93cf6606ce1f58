"""What the brakes make of the evidence, and the evidence of answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeflow_med.errors import ModelError
from edgeflow_med.predictors.base import Prediction
from edgeflow_med.propagation import Brakes, Calibration, Evidence, Stop, edge_agreement, expected_dice
from edgeflow_med.propagation.brakes import DEFAULT, TERMS
from edgeflow_med.propagation.evidence import Look, weigh
from tests.region_growing import disk, picture

SHAPE = (64, 72)
CENTRE = (30.0, 40.0)
FINE = Evidence(area=300, growth=1.0, consent=0.97, edge=1.0, tissue=0.2, contrast=1.0, quality=0.85, drift=0.1)


def prediction(mask: NDArray[np.bool_], edge: float = 0.8, quality: float = 0.9) -> Prediction:
    return Prediction(mask.astype(np.float32), np.full(SHAPE, edge, np.float32), quality)


def test_nothing_wrong_is_no_reason_to_stop() -> None:
    assert Brakes().check(FINE) is None
    assert DEFAULT.presence(FINE) > 0.8


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"area": 3}, Stop.ENDED),
        ({"growth": 0.0}, Stop.ENDED),
        ({"growth": 2.6}, Stop.CHANGED),
    ],
)
def test_hard_limits(change: dict[str, float], wanted: Stop) -> None:
    assert Brakes().check(replace(FINE, **change)) is wanted


def test_the_reason_is_what_is_most_missing() -> None:
    doubtful = replace(FINE, consent=0.7, edge=0.6, tissue=0.4, contrast=0.8, quality=0.6)
    strict = Brakes(presence=0.95)
    assert strict.check(doubtful) is Stop.CHANGED
    assert strict.check(replace(doubtful, consent=0.93, quality=0.35)) is Stop.UNSURE
    assert strict.check(replace(doubtful, consent=0.93, contrast=-0.5, tissue=3.0)) is Stop.TISSUE


@given(
    st.sampled_from(sorted(TERMS)),
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.builds(replace, st.just(FINE), quality=st.floats(0, 1), consent=st.floats(0, 1)),
)
def test_better_evidence_never_makes_a_structure_less_likely(
    name: str, one: float, other: float, evidence: Evidence
) -> None:
    low, high = sorted((one, other))
    worse, better = (low, high) if TERMS[name].sign > 0 else (high, low)
    assert DEFAULT.presence(replace(evidence, **{name: worse})) <= DEFAULT.presence(replace(evidence, **{name: better}))


def test_a_model_brings_its_own_calibration() -> None:
    class Cautious:
        brakes = asdict(replace(DEFAULT, bias=-9.0))

    assert Brakes.of(Cautious()).calibration == replace(DEFAULT, bias=-9.0)
    assert Brakes.of(Cautious()).check(FINE) is not None
    assert Brakes.of(object()) == Brakes()
    Cautious.brakes = asdict(replace(DEFAULT, stop_below=0.7))
    assert Brakes.of(Cautious()).presence == 0.7
    assert Brakes.of(Cautious()).check(FINE) is None
    Cautious.brakes["stop_below"] = 0.999
    assert Brakes.of(Cautious()).check(FINE) is not None
    del Cautious.brakes["stop_below"]  # made before there was such a thing
    assert Brakes.of(Cautious()) == Brakes()
    assert Calibration.read(json.loads(json.dumps(asdict(DEFAULT)))) == DEFAULT


WRONG: list[Callable[[dict[str, Any]], object]] = [
    lambda told: told.pop("bias"),
    lambda told: told["weights"].pop("edge"),
    lambda told: told["usual"].update(colour=1.0),
    lambda told: told["weights"].update(tissue=0.5),  # the wrong sign
    lambda told: told["weights"].update(edge="much"),
    lambda told: told.update(bias=float("nan")),
    lambda told: told.update(weights=[1, 2, 3]),
    lambda told: told.update(stop_below=1.5),
]


@pytest.mark.parametrize("spoil", WRONG)
def test_a_calibration_of_another_kind_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads(json.dumps(asdict(DEFAULT)))
    spoil(told)
    with pytest.raises(ModelError, match="make it anew"):
        Calibration.read(told)


@given(st.floats(0, 1), st.floats(0, 50))
def test_expected_dice_is_a_dice_and_falls_with_drift(quality: float, drift: float) -> None:
    near, far = (expected_dice(replace(FINE, quality=quality, drift=d)) for d in (drift, drift + 0.5))
    assert 0.0 <= far <= near <= 1.0


def test_edge_agreement_is_the_edge_along_the_outline() -> None:
    mask = disk(SHAPE, CENTRE, 10)
    edge = np.zeros(SHAPE, np.float32)
    edge[:, 40:] = 0.6
    half = edge_agreement(Prediction(mask.astype(np.float32), edge, 1.0))
    assert half == pytest.approx(0.3, abs=0.05)
    edge[~mask & ~disk(SHAPE, CENTRE, 12)] = 1.0  # far away does not count
    assert edge_agreement(Prediction(mask.astype(np.float32), edge, 1.0)) == pytest.approx(half, abs=0.01)
    assert edge_agreement(prediction(np.zeros(SHAPE, bool))) == 0.0
    assert edge_agreement(prediction(np.ones(SHAPE, bool), edge=0.0)) == 1.0  # no outline to disagree with


def test_a_look_measures_inside_and_rim() -> None:
    mask = disk(SHAPE, CENTRE, 10)
    look = Look.of(prediction(mask), picture(mask, inside=0.7, outside=0.3))
    assert look == Look(
        int(mask.sum()), pytest.approx(0.8), pytest.approx(0.7), pytest.approx(0.0, abs=1e-5), pytest.approx(0.4)
    )
    nothing = Look.of(prediction(np.zeros(SHAPE, bool)), picture(mask))
    assert nothing == Look(0, 0.0, 0.0, 0.0, 0.0)


def test_evidence_compares_with_the_slice_before_and_with_the_annotated_one() -> None:
    large, small = disk(SHAPE, CENTRE, 12), disk(SHAPE, CENTRE, 8)
    start = Look(500, 0.8, 0.6, 0.1, 0.2)
    before, now = Look(450, 0.7, 0.5, 0.1, 0.2), Look(300, 0.4, 0.4, 0.1, -0.1)
    found = weigh(prediction(small, quality=0.7), prediction(large), before, now, start, drift=0.25)
    consent = 2 * small.sum() / (small.sum() + large.sum())
    assert found.area == 300
    assert found.growth == pytest.approx(small.sum() / 450)
    assert found.consent == pytest.approx(consent)
    assert found.drift == pytest.approx(0.25 + 1 - consent)
    assert (found.edge, found.quality) == (pytest.approx(0.5), 0.7)
    assert found.tissue == pytest.approx(2.0)
    assert found.contrast == pytest.approx(-0.5)
