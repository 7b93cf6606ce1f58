"""What a field report measures: how much, with whom, and where the parts of it are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from benchmarks.field.propagators import WAYS
from benchmarks.quality import PEERS
from benchmarks.quality.run import Method
from edgeflow_med.errors import UsageError
from edgeflow_med.evaluation import Settings
from edgeflow_med.weights import DEFAULT_MODEL, bundle_names

ROBOTS = ("clicks", "scribbles")
LOOK_MARKS = (1, 3)
"""Interactions after which the pictures show the outlines."""


@dataclass(frozen=True)
class Plan:
    """What is asked of every row alike.

    The sample grows in rounds, each drawn with a seed of its own, and every row goes through one round before any goes
    through the next: however long there is, what was measured is the same for all rows.

    Attributes:
        rounds: How often to draw.
        targets: On slices, from each data set in each round.
        interactions: At most so many on each.
        objects: Whole objects for propagation, from each data set.
        threads: Cores that a row may use.
    """

    rounds: int = 6
    targets: int = 1
    interactions: int = 10
    objects: int = 1
    threads: int = 2

    def settings(self, method: Method, number: int) -> Settings:
        """What a method is evaluated with in a round; for one that takes nothing but a box all robots are alike."""
        boxes = method.peer is not None and method.peer.prompts == ("box",)
        return Settings(
            robots=("box",) if boxes else ROBOTS,
            max_interactions=self.interactions,
            targets_per_set=self.targets,
            objects_per_set=0,
            seed=number,
        )


FULL = Plan()
QUICK = Plan(rounds=1, interactions=3)


@dataclass(frozen=True)
class Row:
    """One thing to measure.

    Attributes:
        kind: ``"slices"``, ``"annotations"`` (what propagation starts from), or ``"propagation"``.
        name: Of the model, peer or way.
        number: Of the round, from 0; 0 for all but slices.
    """

    kind: str
    name: str
    number: int = 0

    @property
    def title(self) -> str:
        """As the progress bar calls it."""
        what = {"slices": f"round {self.number + 1}"}.get(self.kind, self.kind)
        return f"{self.name}, {what}"


ANNOTATIONS = Row("annotations", "slices")
"""Once there they stay, whichever model is the default later: all propagation rows start from the same masks."""


def models() -> list[str]:
    """Our models, the default first: it chooses the pictures, and annotates what is propagated."""
    return sorted(bundle_names(), key=lambda name: (name != DEFAULT_MODEL, name))


def methods() -> list[str]:
    """Names of all that is asked about slices: ours, then the peers."""
    return [*models(), *PEERS]


def rows(plan: Plan) -> list[Row]:
    """All that is to be measured, in order."""
    first, *later = [[Row("slices", name, number) for name in methods()] for number in range(plan.rounds)]
    ways = [Row("propagation", name) for name in (*models(), *WAYS)]
    return [*first, ANNOTATIONS, *ways, *chain(*later)]


@dataclass(frozen=True)
class Folder:
    """Where the parts of a report are.

    Attributes:
        path: The folder.
    """

    path: Path

    def part(self, row: Row) -> Path:
        """The file of a row that was measured."""
        return self.path / row.kind / f"{row.name}.{row.number}.json"

    def outlines(self, name: str, number: int) -> Path:
        """A method's outlines on the targets of a round, for the pictures."""
        return self.path / "outlines" / f"{name}.{number}.npz"

    @property
    def annotations(self) -> Path:
        """The masks that propagation starts from."""
        return self.path / "annotations.npz"

    def keep(self, plan: Plan, data: Path) -> None:
        """Note what the parts belong to; more rounds may follow later.

        Raises:
            UsageError: The folder holds parts of another plan.
        """
        note = self.path / "plan.json"
        text = json.dumps({**asdict(replace(plan, rounds=0)), "sets": [folder.name for folder in find_sets(data)]})
        if note.exists() and note.read_text("utf-8") != text:
            raise UsageError(
                f"{self.path} belongs to a report with other settings; delete it, or give another --parts."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        note.write_text(text, "utf-8")


def find_sets(data: Path) -> Sequence[Path]:
    """The data sets in a folder.

    Raises:
        UsageError: There is none.
    """
    found = sorted(path.parent for path in data.glob("*/dataset.json"))
    if not found:
        raise UsageError(f"No */dataset.json in {data}; give a folder of data sets in the Decathlon layout.")
    return found


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
