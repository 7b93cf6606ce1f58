"""What the parts are worth: the same training with each of them left out, or changed, in turn.

    python -m benchmarks.ablations weights/edgeflow_lite/docs/train_config.json --start edgeflow_lite

Every variant starts from the same weights, learns from as many samples, drawn in the same order, and answers the same
crops of the validation cases, which training never sees. Training starts from a network that had all of its parts: a
variant has to learn to do without, in a few hundred steps. Differences from the unchanged training are paired, crop by
crop.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from edgeflow_med.cli.output import make_console, make_progress
from edgeflow_med.evaluation.report import describe_environment
from edgeflow_med.network import EdgeFlowOutput, normalise
from edgeflow_med.predictors.crop import Crop
from edgeflow_med.training.cases import Case, plane
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.loop import Trainer, gather_cases
from edgeflow_med.training.losses import overlap
from edgeflow_med.training.robots import draw_round
from edgeflow_med.training.samples import Samples, window_slice
from edgeflow_med.weights import find_bundle

RESULT = Path(__file__).parent / "results" / "ablations.json"
PROMPTS = (1, 3, 5, 10)  # robot clicks after which the IoU is reported


@dataclass(frozen=True)
class Variant:
    """What differs from the unchanged training.

    Attributes:
        previous: Whether the previous mask and edge reach the network.
        fine: Whether FineNet adds to the coarse mask.
        neighbours: Show the slices before and after in the colour channels, which are all grey otherwise.
        size: Side of the crop at the network, in pixels.
        pseudo: Whether objects without names are learnt from.
        superpixels: Whether pieces of one grey are learnt from, where the config asks for them.
    """

    previous: tuple[bool, bool] = (True, True)
    fine: bool = True
    neighbours: bool = False
    size: int = 192
    pseudo: bool = True
    superpixels: bool = True

    def config(self, asked: TrainConfig) -> TrainConfig:
        """The unchanged training's config, changed."""
        samples = replace(asked.samples, size=self.size)
        if not self.superpixels:
            samples = replace(samples, superpixel_share=0.0)
        return replace(asked, samples=samples)


UNCHANGED = "unchanged"
VARIANTS = {
    UNCHANGED: Variant(),
    "previous edge not fed back": Variant(previous=(True, False)),
    "previous mask not fed back": Variant(previous=(False, True)),
    "neither fed back": Variant(previous=(False, False)),
    "FineNet left out": Variant(fine=False),
    "neighbouring slices as channels": Variant(neighbours=True),
    "crops of 256 pixels": Variant(size=256),
    "no objects without names": Variant(pseudo=False),
    "no superpixels": Variant(superpixels=False),
}


class NeighbourSamples(Samples):
    """Samples that show the slices before and after in the first and last channel."""

    def picture(self, case: Case, axis: int, number: int, crop: Crop, rng: np.random.Generator) -> NDArray[np.float32]:
        """Three slices ``(3, S, S)``; at the end of a scan, and of single slices, the slice itself again."""
        last = case.image.shape[axis] - 1
        numbers = (max(number - 1, 0), number, min(number + 1, last))
        values = np.stack([plane(case.image, axis, k)[crop.region] for k in numbers])
        return np.stack([crop.extract_region(one) for one in window_slice(case, values, rng)])


class Silent(nn.Module):
    """In the place of FineNet: adds nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> zeros ``(N, 1, H, W)``."""
        return torch.zeros_like(x[:, :1])


class VariantTrainer(Trainer):
    """Trains a variant for a number of steps instead of a time."""

    def __init__(self, config: TrainConfig, folder: Path, variant: Variant) -> None:
        super().__init__(config, folder)
        self.kept = torch.tensor(variant.previous, dtype=torch.float32).view(1, 2, 1, 1)
        for network in () if variant.fine else (self.network, self.average):
            network.fine = Silent()

    def _answer(self, network: nn.Module, batch: dict[str, Tensor]) -> EdgeFlowOutput:
        return super()._answer(network, batch | {"previous": batch["previous"] * self.kept.to(self.device)})

    def steps(self, batches: Iterator[dict[str, Tensor]], count: int) -> Iterator[float]:
        """Learn so many steps; yields the IoU of each."""
        played = self._play(batches)
        for n in range(count):
            self.seconds = self.config.budget_seconds * n / count
            yield next(played)["iou"]

    @torch.no_grad()
    def answers(self, batch: dict[str, Tensor], prompts: int) -> list[Tensor]:
        """IoU ``(N,)`` after each of some robot clicks; the first is that of the batch as it is."""
        batch = {name: part.to(self.device) for name, part in batch.items()}
        truth = batch["target"][:, 0].cpu().numpy() >= 0.5
        batch["image"] = normalise(batch["image"])
        found: list[Tensor] = []
        for n in range(prompts):
            with self._autocast():
                output = self._answer(self.average, batch)
            found.append(overlap(output.mask, batch["target"]).cpu())
            batch["previous"] = torch.cat([torch.sigmoid(o.float()) for o in (output.mask, output.edge)], dim=1)
            guess = batch["previous"][:, 0].cpu().numpy() >= 0.5
            clicks = draw_round(guess, truth, np.arange(len(guess)) + 1000 * n, np.zeros(len(guess), bool))
            drawn = torch.from_numpy(clicks)
            batch["guidance"] = torch.maximum(batch["guidance"], drawn.to(self.device, torch.float32))
        return found


def validate(
    trainer: VariantTrainer, cases: Sequence[Case], kind: type[Samples], count: int
) -> dict[str, NDArray[np.float64]]:
    """IoU of crops of validation cases: after clicks from nothing, and carried over from a slice nearby.

    Where a structure has ended, 1 for an answer that says so and 0 for any other; apart from those where it goes on,
    since an answer that is always empty would be right there.
    """
    asked = replace(
        trainer.config.samples, correct_share=0.0, scribble_share=0.0, region_share=0.0, line_share=0.0,
        synthetic_share=0.0, lesion_share=0.0, superpixel_share=0.0, pseudo_share=0.0, excluded_share=0.0,
    )  # fmt: skip
    found: dict[str, list[Tensor]] = {}
    samples = kind(cases, replace(asked, propagate_share=0.0), count, seed=77)
    for batch in DataLoader(samples, 16):
        for n, reached in enumerate(trainer.answers(batch, max(PROMPTS)), 1):
            found.setdefault(f"iou@{n}", []).append(reached)
    samples = kind(cases, replace(asked, propagate_share=1.0), 2 * count, seed=78)
    for batch in DataLoader(samples, 16):
        carried = batch["previous"].flatten(1).any(1)  # single slices have no neighbour to be carried over from
        if not carried.any():
            continue
        (reached,) = trainer.answers({key: part[carried] for key, part in batch.items()}, 1)
        there = batch["target"][carried].flatten(1).any(1)
        found.setdefault("propagation", []).append(reached[there])
        found.setdefault("ended", []).append(reached[~there])
    kept = [*(f"iou@{n}" for n in PROMPTS), "propagation", "ended"]
    return {name: torch.cat(found[name]).double().numpy() for name in kept}


def figures(
    reached: Mapping[str, NDArray[np.float64]], unchanged: Mapping[str, NDArray[np.float64]]
) -> dict[str, dict[str, float]]:
    """Mean IoU, and how far it is from the unchanged training: mean and half of the 95 % interval, paired."""
    rows = {}
    for name, values in reached.items():
        difference = values - unchanged[name]
        rows[name] = {
            "mean": round(float(values.mean()), 4),
            "change": round(float(difference.mean()), 4),
            "margin": round(float(1.96 * difference.std() / np.sqrt(len(difference))), 4),
        }
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablations",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="JSON of the training; its budget does not count")
    parser.add_argument("--start", default="edgeflow_lite", metavar="NAME", help="model to start from")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="steps of each variant")
    parser.add_argument(
        "--crops", type=int, default=400, metavar="N", help="validation crops for clicks; twice as many to carry over"
    )
    parser.add_argument("--learning-rate", type=float, default=5e-4, metavar="RATE", help="at its highest")
    parser.add_argument(
        "--only", action="append", metavar="VARIANT", help="one of the variants, beside the unchanged; repeatable [all]"
    )
    parser.add_argument("--output", type=Path, default=RESULT, metavar="F.json", help="where the figures go")
    given = parser.parse_args(arguments)
    if unknown := set(given.only or ()) - set(VARIANTS):
        parser.error(f"no variant {unknown.pop()!r}; there are {', '.join(VARIANTS)}")
    chosen = [name for name in VARIANTS if not given.only or name in given.only or name == UNCHANGED]
    bundle = find_bundle(given.start)
    asked = TrainConfig.read(given.config)
    asked = replace(
        asked, start=str(bundle.model_file), learning_rate=given.learning_rate, warmup_steps=30, budget_seconds=1e9,
        again_share=0.0, samples=replace(asked.samples, synthetic_share=0.0),
    )  # fmt: skip
    training, validation = gather_cases(asked)
    bare = gather_cases(replace(asked, pseudo=None))[0]
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    rows: dict[str, dict[str, dict[str, float]]] = {}
    content = {
        "model": f"{bundle.name} {bundle.version}",
        "environment": describe_environment(),
        "steps": given.steps,
        "batch": asked.batch,
        "figures": rows,
    }
    with make_progress(make_console()) as bar:
        for name in chosen:
            variant = VARIANTS[name]
            kind = NeighbourSamples if variant.neighbours else Samples
            config = variant.config(asked)
            samples = kind(training if variant.pseudo else bare, config.samples, 10**9, seed=5)
            with tempfile.TemporaryDirectory() as folder:
                trainer = VariantTrainer(config, Path(folder), variant)
            batches = iter(DataLoader(samples, config.batch, num_workers=config.workers))
            for _ in bar.track(trainer.steps(batches, given.steps), total=given.steps, description=name):
                pass
            del batches
            found[name] = validate(trainer, validation, kind, given.crops)
            content["crops"] = {key: len(values) for key, values in found[name].items()}
            rows[name] = figures(found[name], found[UNCHANGED])
            given.output.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
            print(name, json.dumps(rows[name]), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
