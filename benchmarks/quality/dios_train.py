"""Train the network of :mod:`benchmarks.quality.dios` on the training sets of our own models.

    python -m benchmarks.quality.dios_train TRAIN_DATA --seconds 900

Crops and targets are those that our own training draws (:class:`edgeflow_med.training.samples.Samples`: balanced by
data set, validation cases left out); clicks are drawn as in the article: one to five inside the object, apart from
each other and from its border, and up to ten outside, in a band around it or anywhere.
"""

from __future__ import annotations

import argparse
import math
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from safetensors.torch import save_file
from scipy import ndimage

from benchmarks.quality.dios import WEIGHTS, build, distance_maps
from edgeflow_med import metrics
from edgeflow_med.predictors.seeds import Mask
from edgeflow_med.training.cases import read_cases, validation_names
from edgeflow_med.training.samples import SampleConfig, Samples

CONFIG = SampleConfig(
    size=128, propagate_share=0, correct_share=0, region_share=0, line_share=0, excluded_share=0, extent=(0.05, 0.6)
)
BATCH = 8
LEARNING_RATE = 2e-3
APART = 10  # pixels between clicks of one sign
MARGIN = 3  # pixels between a click and the object's border
BAND = 24  # pixels around the object for negative clicks


def draw_clicks(target: Mask, rng: np.random.Generator) -> list[Mask]:
    """Pixels clicked inside and outside a target, two masks ``(H, W)``."""
    depth, height = ndimage.distance_transform_edt(target), ndimage.distance_transform_edt(~target)
    inner = depth > min(MARGIN, depth.max() / 2)
    outer = (height > MARGIN) & ((height < BAND) if rng.random() < 0.7 else True)
    return [_scatter(inner, int(rng.integers(1, 6)), rng), _scatter(outer, int(rng.integers(0, 11)), rng)]


def _scatter(region: Mask, count: int, rng: np.random.Generator) -> Mask:
    clicks, free = np.zeros(region.shape, bool), region.copy()
    rows, columns = np.ogrid[: region.shape[0], : region.shape[1]]
    for _ in range(count):
        candidates = np.argwhere(free)
        if len(candidates) == 0:
            break
        row, column = candidates[rng.integers(len(candidates))]
        clicks[row, column] = True
        free &= (rows - row) ** 2 + (columns - column) ** 2 > APART**2
    return clicks


def batch(samples: Samples, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs ``(BATCH, 3, S, S)`` and targets ``(BATCH, 1, S, S)`` of one step."""
    rng = np.random.default_rng((samples.seed, number, 1))
    inputs, targets = [], []
    for n in range(number * BATCH, (number + 1) * BATCH):
        item = samples[n]
        maps = distance_maps(draw_clicks(item["target"][0].numpy() > 0.5, rng))
        inputs.append(torch.cat([item["image"], torch.from_numpy(maps)]))
        targets.append(item["target"])
    return torch.stack(inputs), torch.stack(targets)


def choose_level(network: torch.nn.Module, samples: Samples, steps: int = 12) -> float:
    """The probability from which on a pixel is foreground: with which the mean IoU on validation crops is highest.

    Cross entropy over so short a training leaves the probabilities of small objects far below one half.
    """
    levels = np.arange(0.05, 0.55, 0.05)
    scores: list[list[float]] = []
    with torch.inference_mode():
        for number in range(steps):
            inputs, targets = batch(samples, number)
            for probability, target in zip(torch.sigmoid(network.eval()(inputs)).numpy(), targets.numpy(), strict=True):
                scores.append([metrics.iou(probability[0] >= level, target[0] > 0.5) for level in levels])
    return float(levels[np.mean(scores, axis=0).argmax()])


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of data sets in the Decathlon layout")
    parser.add_argument("--seconds", type=float, default=900.0, help="how long")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    cases, validation = [], []
    for folder in sorted(path.parent for path in given.data.glob("*/dataset.json")):
        found = read_cases(folder)
        held_out = validation_names([case.name for case in found])
        cases += [case for case in found if case.name not in held_out]
        validation += [case for case in found if case.name in held_out]
    samples = Samples(cases, CONFIG, 10**9, seed=0)
    network = build()
    # Cross entropy alone, as in the article, is long content with an empty mask when it does not start from FCN-8s.
    measure = DiceCELoss(sigmoid=True)
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-4)
    began, step, mean = time.monotonic(), 0, 1.5
    while (share := (time.monotonic() - began) / given.seconds) < 1:
        inputs, targets = batch(samples, step)
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        loss = measure(network(inputs), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step, mean = step + 1, 0.98 * mean + 0.02 * float(loss)
        if step % 50 == 0:
            print(f"step {step}, {share:.0%} of the time, loss {mean:.3f}", flush=True)
    made = f"{datetime.now(UTC):%Y-%m-%d}, {step} steps of {BATCH} crops in {given.seconds / 60:.0f} minutes"
    level = choose_level(network, Samples(validation, CONFIG, 10**9, seed=1))
    notes = {"made": made, "level": f"{level:.2f}"}
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, WEIGHTS, notes)
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"{WEIGHTS}: {made}, {count:,} parameters, loss {mean:.3f}, level {level:.2f}")


if __name__ == "__main__":
    main()
