"""The mean of the weights of several runs, as a run that can be exported.

    python -m edgeflow_med.training.mean runs/a runs/b --output runs/mean

Runs that started from the same weights and drew other samples end close enough to each other for the mean of their
weights to answer at least as well as either (Wortsman et al., *Model soups*, ICML 2022, arXiv 2203.05482). So machines
that cannot reach each other, or the cores of one, learn a network together.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeflow_med.errors import EdgeFlowError, ReadError, UsageError
from edgeflow_med.training.checkpoints import read_checkpoint


def average_runs(runs: Sequence[Path], folder: Path) -> Path:
    """Write the mean of runs' running averages as the checkpoint of another run.

    Its config, log and notes are those of the first; its steps and seconds are those of all together.

    Args:
        runs: Folders of at least two runs of the same network.
        folder: The run to make.

    Returns:
        The checkpoint.

    Raises:
        UsageError: Fewer than two runs, runs of different networks, or ``folder`` is one already.
        ReadError: A folder holds no run.
    """
    target = folder / "checkpoint.pt"
    if len(runs) < 2:
        raise UsageError(f"A mean needs at least two runs; {len(runs)} given.")
    if target.exists():
        raise UsageError(f"{folder} is a run already; give a new folder.")
    for run in runs:
        if not (run / target.name).is_file():
            raise ReadError(f"There is no {target.name} in {run}; give the folder of a training run.")
    states = [read_checkpoint(run / target.name) for run in runs]
    first = states[0]
    if any(shapes(state) != shapes(first) for state in states):
        raise UsageError("The runs are of different networks; only equal ones have a mean.")
    mean = {name: mean_tensor([state["average"][name] for state in states]) for name in first["average"]}
    made: dict[str, Any] = {
        "network": mean,
        "average": mean,
        "step": sum(state["step"] for state in states),
        "seconds": sum(state["seconds"] for state in states),
        "config": first["config"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("log.jsonl", "notes.md"):
        if (runs[0] / part).is_file():
            shutil.copy(runs[0] / part, folder / part)
    torch.save(made, target)
    return target


def shapes(state: dict[str, Any]) -> dict[str, Any]:
    """What must be equal in two runs: the network's config, and the names and shapes of its weights."""
    network = json.loads(state["config"])["network"]
    return {"": network} | {name: tensor.shape for name, tensor in state["average"].items()}


def mean_tensor(tensors: Sequence[Tensor]) -> Tensor:
    """The mean; of whole numbers, which only count batches, the first."""
    return torch.stack([*tensors]).mean(0) if tensors[0].is_floating_point() else tensors[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m edgeflow_med.training.mean", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a training run")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the run to make")
    given = parser.parse_args(arguments)
    try:
        print(average_runs(given.runs, given.output))
    except EdgeFlowError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
