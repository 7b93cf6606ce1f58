"""Compare peers and our models on the same targets in one run.

    python -m benchmarks.quality.run --data FOLDER --peers sam2_hiera_tiny,mobilesam --models edgeflow_w18 --out F.json

FOLDER is a data set in the Decathlon layout or holds several. A run that was stopped goes on where it was, as long as
the same is asked for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.progress import TaskID

from benchmarks.quality import PEERS, load_peer
from benchmarks.quality.comparison import Entry, page, write
from benchmarks.quality.peer import Peer
from edgeflow_med.cli.output import make_console, make_progress
from edgeflow_med.errors import EdgeFlowError, ModelError, UsageError
from edgeflow_med.evaluation import Report, Settings, evaluate, read_report
from edgeflow_med.predictors import load_predictor
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.simulation import ROBOTS, TWO_POINTS, Boxes, RobotKind
from edgeflow_med.weights import find_bundle

BOX = RobotKind(partial(Boxes, corrects=False), TWO_POINTS)
WITH_BOX: Mapping[str, RobotKind] = {**ROBOTS, "box": BOX}


@dataclass(frozen=True)
class Method:
    """A peer, or a model of ours where ``peer`` is None."""

    name: str
    peer: Peer | None

    @property
    def title(self) -> str:
        """As the tables call it."""
        return self.name if self.peer is None else self.peer.title

    def load(self, threads: int) -> Predictor:
        """Its predictor, on the CPU."""
        return load_predictor(self.name, "cpu") if self.peer is None else load_peer(self.name, threads)

    def settings(self, asked: Settings) -> Settings | None:
        """What it can be asked to do; None if that is nothing."""
        if self.peer is None:
            refused = {"box"}  # ours are corrected after one: "boxes"
        elif "box" in self.peer.prompts:
            refused = set()
        else:
            refused = {"box", "boxes"}
        robots = tuple(robot for robot in asked.robots if robot not in refused)
        return replace(asked, robots=robots) if robots else None

    def robots(self) -> Mapping[str, RobotKind]:
        """The robot users by name; a method that takes nothing but a box gets one from each."""
        if self.peer is not None and self.peer.prompts == ("box",):
            return dict.fromkeys(WITH_BOX, BOX)
        return WITH_BOX


def choose(peers: str, models: str) -> list[Method]:
    """The methods named, peers first.

    Raises:
        ModelError: A peer or model is unknown, or its files are not there.
        UsageError: Nothing is named.
    """
    methods = []
    for name in filter(None, peers.split(",")):
        if name not in PEERS:
            raise ModelError(f"Unknown peer {name!r}; give some of {','.join(PEERS)}.")
        if not PEERS[name].installed:
            raise ModelError(f"The files of peer {name!r} are not installed; run `{PEERS[name].install_command}`.")
        methods.append(Method(name, PEERS[name]))
    methods += [Method(find_bundle(name).name, None) for name in filter(None, models.split(","))]
    if not methods:
        raise UsageError("Nothing to compare; give --peers, --models or both.")
    return methods


def find_datasets(folder: Path) -> list[Path]:
    """The folder itself if it is a data set, else the data sets in it.

    Raises:
        UsageError: There is none.
    """
    found = [folder] if (folder / "dataset.json").is_file() else sorted(p.parent for p in folder.glob("*/dataset.json"))
    if not found:
        raise UsageError(f"No dataset.json in {folder} or in a folder of it; give data in the Decathlon layout.")
    return found


def compare(
    methods: Sequence[Method], datasets: Sequence[Path], asked: Settings, out: Path, threads: int
) -> list[Entry]:
    """Evaluate all methods and write what came out.

    Raises:
        EdgeFlowError: Data that cannot be read, a model that cannot be loaded, or results that cannot be written.
    """
    import torch

    torch.set_num_threads(threads)
    parts = out.with_suffix(".parts")
    console = make_console()
    entries = []
    with make_progress(console) as bar:
        for method in methods:
            settings = method.settings(asked)
            if settings is None:
                console.print(f"{method.title}: takes none of {', '.join(asked.robots)}; left out")
                continue
            part = parts / f"{method.name}.json"
            report = _finished(part, settings)
            if report is None:
                task = bar.add_task(method.title, total=None)

                def show(done: int, total: int, _last: str, task: TaskID = task) -> None:
                    bar.update(task, completed=done, total=total)

                seen = "" if method.peer is None else method.peer.seen
                predictor = method.load(threads)
                report = evaluate(
                    datasets, predictor, settings, report=part, progress=show, robots=method.robots(), seen=seen
                )
            report.predictor["name"] = method.title
            entries.append(Entry(method.title, method.peer, report))
    if not entries:
        raise UsageError("No method takes what the robots give; give other --robots.")
    write(entries, out)
    shutil.rmtree(parts)
    return entries


def _finished(part: Path, settings: Settings) -> Report | None:
    """The report of a method that an earlier, stopped run had finished."""
    if not part.is_file():
        return None
    report = read_report(part)
    if report.settings != settings:
        raise UsageError(f"{part} belongs to a run with other settings; delete {part.parent}, or give another --out.")
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="a data set, or a folder of some")
    parser.add_argument("--peers", default="", metavar="A,B", help=f"some of {','.join(PEERS)}")
    parser.add_argument("--models", default="", metavar="A,B", help="models of ours, by name")
    parser.add_argument("--out", type=Path, required=True, metavar="F.json", help="results; a page (.md) beside them")
    parser.add_argument("--robots", default="clicks", metavar="A,B", help=f"some of {','.join(WITH_BOX)}")
    parser.add_argument("--targets", type=int, default=40, metavar="N", help="targets to draw from each data set")
    parser.add_argument(
        "--max-clicks", type=int, default=20, metavar="N", help="after so many prompts a robot gives up"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample and the robots")
    parser.add_argument("--threads", type=int, default=cores, metavar="N", help="cores for every method alike")
    options = parser.parse_args(arguments)
    try:
        settings = Settings(
            robots=tuple(options.robots.split(",")),
            max_interactions=options.max_clicks,
            targets_per_set=options.targets,
            objects_per_set=0,  # peers know no neighbouring slices
            seed=options.seed,
        )
        methods = choose(options.peers, options.models)
        entries = compare(methods, find_datasets(options.data), settings, options.out, options.threads)
    except EdgeFlowError as error:
        print(error, file=sys.stderr)
        return 2
    print(page(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
