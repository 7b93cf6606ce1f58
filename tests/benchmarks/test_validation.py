from __future__ import annotations

import json
from pathlib import Path

from benchmarks.validation import validation_sets
from edgeflow_med.training.cases import validation_names


def test_only_validation_cases_are_used_or_only_the_others(tmp_path: Path) -> None:
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
    (others,) = validation_sets(tmp_path / "data", tmp_path / "seen", seen=True)
    assert {path.name for path in (others / "imagesTr").iterdir()} == {
        f"{name}.nii.gz" for name in names if name not in held_out
    }
