"""What the parts of a trained network contribute: the same answers with one part silenced at a time.

    python -m benchmarks.ablations DATA --model edgeflow_lite

DATA holds data sets in the Decathlon layout; only their validation cases are used, those that training never sees. The
network was trained with all of its parts, so this says how much it leans on each, not how good one trained without it
would be.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from edgeflow_med.cli.output import make_console, make_progress
from edgeflow_med.evaluation import Report, Settings, evaluate
from edgeflow_med.predictors.torch import TorchPredictor
from edgeflow_med.predictors.zoom import Square, SquareAnswer, ZoomPolicy
from edgeflow_med.training.cases import validation_names
from edgeflow_med.weights import Bundle, find_bundle, load_network

RESULT = Path(__file__).parent / "results" / "ablations.json"
KEYS = ("noc85", "iou@1", "iou@3", "iou@5")
VARIANTS = (
    "all parts",
    "previous edge not fed back",
    "previous mask not fed back",
    "neither fed back",
    "FineNet left out",
)


class Silenced(TorchPredictor):
    """A model with one of its parts silenced."""

    def __init__(self, bundle: Bundle, variant: str) -> None:
        policy = ZoomPolicy(**bundle.policy)
        super().__init__(load_network(bundle), bundle.name, bundle.version, torch.device("cpu"), policy)
        self.variant = variant

        if variant == "FineNet left out":
            self.network.fine.register_forward_hook(lambda _module, _inputs, output: torch.zeros_like(output))

    def infer(self, image: Square, previous: Square, guidance: Square) -> SquareAnswer:
        """See :meth:`ZoomPredictor.infer`."""
        kept = previous.copy()
        if self.variant in {"previous mask not fed back", "neither fed back"}:
            kept[0] = 0.0
        if self.variant in {"previous edge not fed back", "neither fed back"}:
            kept[1] = 0.0
        return super().infer(image, kept, guidance)


def validation_sets(data: Path, folder: Path) -> list[Path]:
    """Data sets of links to the validation cases of those in ``data``."""
    made = []
    for source in sorted(path.parent for path in data.glob("*/dataset.json")):
        names = [case_name(path) for path in (source / "imagesTr").glob("*.nii.gz")]
        held_out = validation_names(names)
        for part in ("imagesTr", "labelsTr") if held_out else ():
            (folder / source.name / part).mkdir(parents=True)
            for name in held_out:
                link = folder / source.name / part / f"{name}.nii.gz"
                link.symlink_to((source / part / f"{name}.nii.gz").resolve())
        if held_out:
            manifest = json.loads((source / "dataset.json").read_text("utf-8"))
            manifest["training"] = [entry for entry in manifest["training"] if case_name(entry["image"]) in held_out]
            (folder / source.name / "dataset.json").write_text(json.dumps(manifest), "utf-8")
            made.append(folder / source.name)
    return made


def case_name(image: Path | str) -> str:
    """A case's name from its image's path."""
    return Path(image).name.removesuffix(".nii.gz")


def measure(bundle: Bundle, datasets: Sequence[Path], settings: Settings) -> dict[str, Report]:
    """A report for each variant."""
    reports = {}
    with make_progress(make_console()) as bar:
        for variant in VARIANTS:
            task = bar.add_task(variant, total=None)
            reports[variant] = evaluate(
                datasets,
                Silenced(bundle, variant),
                settings,
                progress=lambda done, total, _, task=task: bar.update(task, completed=done, total=total),
            )
    return reports


def figures(report: Report) -> dict[str, float]:
    """Means over the data sets, and 3-D Dice of propagation."""
    clicks: Mapping[str, float] = report.slice_figures("clicks")["mean"]
    found = {key: round(clicks[key], 3) for key in KEYS}
    volumes = report.volume_figures()
    return found | ({"propagation_dice": round(volumes["mean"]["dice"], 3)} if volumes else {})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablations", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of data sets that the model was trained on")
    parser.add_argument("--model", default="edgeflow_lite", metavar="NAME", help="a model, or a bundle's folder")
    parser.add_argument("--targets", type=int, default=6, metavar="N", help="of each data set")
    parser.add_argument("--objects", type=int, default=2, metavar="N", help="of each data set, for propagation")
    given = parser.parse_args(arguments)
    bundle = find_bundle(given.model)
    asked = Settings(
        robots=("clicks",),
        max_interactions=10,
        targets_per_set=given.targets,
        objects_per_set=given.objects,
        max_object_interactions=3,
    )
    with tempfile.TemporaryDirectory() as folder:
        reports = measure(bundle, validation_sets(given.data, Path(folder)), asked)
    first = reports[VARIANTS[0]]
    content = {
        "model": f"{bundle.name} {bundle.version}",
        "environment": first.environment,
        "targets": len(first.slices),
        "objects": len(first.volumes),
        "figures": {variant: figures(report) for variant, report in reports.items()},
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    for variant, found in content["figures"].items():
        print(f"{variant:28}", *(f"{key} {value:.3f}" for key, value in found.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
