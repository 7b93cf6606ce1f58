from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ablations import VARIANTS, Silenced, validation_sets
from edgeflow_med.predictors.torch import TorchPredictor
from edgeflow_med.training.cases import validation_names
from edgeflow_med.weights import find_bundle

BUNDLE = find_bundle("edgeflow_lite")
SILENT = {"previous edge not fed back": [1], "previous mask not fed back": [0], "neither fed back": [0, 1]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_part_is_silent_and_the_others_are_as_they_are(variant: str) -> None:
    rng = np.random.default_rng(0)
    image, previous, guidance = rng.random((96, 96)), rng.random((2, 96, 96)), rng.random((2, 96, 96)) > 0.99
    given = [part.astype(np.float32) for part in (image, previous, guidance)]
    got = Silenced(BUNDLE, variant).infer(*given)
    given[1][SILENT.get(variant, [])] = 0.0
    wanted = TorchPredictor.from_bundle(BUNDLE, "cpu").infer(*given)
    if variant == "FineNet left out":
        assert not np.allclose(got.probability, wanted.probability, atol=1e-3)
        np.testing.assert_allclose(got.edge, wanted.edge, atol=1e-5)
    else:
        np.testing.assert_allclose(got.probability, wanted.probability, atol=1e-5)


def test_only_validation_cases_are_used(tmp_path: Path) -> None:
    names = [f"case_{number}" for number in range(40)]
    source = tmp_path / "data" / "Liver"
    for part in ("imagesTr", "labelsTr"):
        (source / part).mkdir(parents=True)
        for name in names:
            (source / part / f"{name}.nii.gz").touch()
    entries = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    (source / "dataset.json").write_text(json.dumps({"training": entries}), "utf-8")
    (made,) = validation_sets(tmp_path / "data", tmp_path / "links")
    held_out = validation_names(names)
    assert 0 < len(held_out) < 20
    assert {path.name for path in (made / "imagesTr").iterdir()} == {f"{name}.nii.gz" for name in held_out}
    assert len(json.loads((made / "dataset.json").read_text("utf-8"))["training"]) == len(held_out)
