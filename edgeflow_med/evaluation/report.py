"""The result of an evaluation, and its JSON file: figures first, then every target's own numbers."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.evaluation import summary
from edgeflow_med.evaluation.protocol import SliceRecord
from edgeflow_med.evaluation.settings import Settings
from edgeflow_med.evaluation.volumes import VolumeRecord, volume_summary
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.predictors.base import Predictor

SCHEMA = 1
_PACKAGES = ("edgeflow-med", "numpy", "scipy", "scikit-image", "torch", "monai", "onnxruntime")


@dataclass(frozen=True)
class SetInfo:
    """What was drawn from one data set.

    Attributes:
        name: Of the data set.
        modality: ``"CT"``, ``"MR"`` or empty.
        unit: Of distances: ``"mm"``, or ``"px"`` where the spacing is nominal.
        cases: Cases that were read to draw from.
        eligible: Targets there that are large enough.
        tiny: Targets there that were left out as too small.
        targets: Identifiers of the targets drawn.
        objects: Identifiers of the objects drawn for propagation.
        note: The set's own remark.
    """

    name: str
    modality: str
    unit: str
    cases: int
    eligible: int
    tiny: int
    targets: list[str]
    objects: list[str]
    note: str


@dataclass(frozen=True)
class Report:
    """Everything that an evaluation found out.

    Attributes:
        predictor: Name, version and device of what was evaluated; ``seen`` says whether its training may have held the
            data.
        settings: What was asked for.
        environment: Date, commit, machine and versions.
        sets: What was drawn, one entry per data set.
        slices: One record per target and robot.
        volumes: One record per object propagated.
    """

    predictor: dict[str, str]
    settings: Settings
    environment: dict[str, Any]
    sets: list[SetInfo]
    slices: list[SliceRecord] = field(default_factory=list)
    volumes: list[VolumeRecord] = field(default_factory=list)

    @property
    def cores(self) -> str:
        """How many cores it had, in words."""
        number = self.environment["cores"]
        return f"{number} core{'s' * (number != 1)}"

    def slice_records(self, robot: str, dataset: str) -> list[SliceRecord]:
        """The records of one robot on one data set."""
        return [r for r in self.slices if r.robot == robot and r.dataset == dataset]

    def slice_figures(self, robot: str) -> dict[str, summary.Figures]:
        """Figures of one robot by data set, and their means; see :func:`edgeflow_med.evaluation.summary.with_means`."""
        figures = {}
        for info in self.sets:
            records = self.slice_records(robot, info.name)
            if records:
                figures[info.name] = summary.slice_summary(records, self.settings.max_interactions, info.unit)
        return summary.with_means(figures)

    def volume_figures(self) -> dict[str, summary.Figures]:
        """Figures of propagation by data set, and their mean over the sets as ``"mean"``."""
        figures = {}
        for info in self.sets:
            records = [r for r in self.volumes if r.dataset == info.name]
            if records:
                figures[info.name] = volume_summary(records)
        return summary.with_means(figures)

    def document(self) -> dict[str, Any]:
        """What the JSON file holds."""
        intervals = {
            robot: {
                info.name: summary.slice_intervals(
                    records, self.settings.max_interactions, info.unit, self.settings.seed
                )
                for info in self.sets
                if (records := self.slice_records(robot, info.name))
            }
            for robot in self.settings.robots
        }
        curves = {
            robot: {
                info.name: summary.iou_curve(records, self.settings.max_interactions)
                for info in self.sets
                if (records := self.slice_records(robot, info.name))
            }
            for robot in self.settings.robots
        }
        return {
            "schema": SCHEMA,
            "predictor": self.predictor,
            "settings": asdict(self.settings),
            "environment": self.environment,
            "figures": {robot: self.slice_figures(robot) for robot in self.settings.robots},
            "intervals95": intervals,
            "iou_after_each_interaction": curves,
            "propagation": self.volume_figures(),
            "sets": [asdict(info) for info in self.sets],
            "slices": [asdict(record) for record in self.slices],
            "volumes": [asdict(record) for record in self.volumes],
        }


def write_json(report: Report, path: Path | str) -> None:
    """Write a report; every record on a line of its own, numbers to five digits.

    Raises:
        WriteError: It could not be written.
    """
    document = report.document()
    parts = []
    for name, value in document.items():
        if name in ("sets", "slices", "volumes"):
            lines = ",\n  ".join(to_line(item) for item in value)
            parts.append(f"{json.dumps(name)}: [\n  {lines}\n ]" if value else f"{json.dumps(name)}: []")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(rounded(value), indent=1, allow_nan=False)}")
    text = "{\n " + ",\n ".join(parts) + "\n}\n"

    def verify(temporary: Path) -> None:
        if read_report(temporary).settings != report.settings:
            raise WriteError(f"Report {path} did not read back as written.")

    write_verified(Path(path), lambda temporary: _write_text(temporary, text), verify)


def read_report(path: Path | str) -> Report:
    """Read a report that :func:`write_json` wrote.

    Raises:
        ReadError: It is none, or of another version.
    """
    try:
        document = json.loads(Path(path).read_text("utf-8"))
        if document["schema"] != SCHEMA:
            raise ReadError(
                f"Report {path} has schema {document['schema']}, this program reads {SCHEMA}; evaluate again."
            )
        return report_from(document)
    except (ValueError, KeyError, TypeError) as error:
        raise ReadError(f"{path} is not an evaluation report ({error}); give a JSON file of this command.") from None
    except OSError as error:
        raise ReadError(f"Cannot read report {path}: {error.strerror or error}; give a JSON file.") from None


def report_from(document: Mapping[str, Any]) -> Report:
    """A report from its JSON form."""
    return Report(
        document["predictor"],
        settings_from(document["settings"]),
        document["environment"],
        [SetInfo(**info) for info in document["sets"]],
        [slice_record_from(record) for record in document["slices"]],
        [VolumeRecord(**record) for record in document["volumes"]],
    )


def settings_from(content: Mapping[str, Any]) -> Settings:
    """Settings from their JSON form."""
    return Settings(**{**content, "robots": tuple(content["robots"])})


def slice_record_from(content: Mapping[str, Any]) -> SliceRecord:
    """A record from its JSON form, whose keys are strings."""
    return SliceRecord(**{**content, "measures": {int(mark): m for mark, m in content["measures"].items()}})


def to_line(record: Mapping[str, Any]) -> str:
    """JSON on one line, numbers to five digits."""
    return json.dumps(rounded(record), allow_nan=False)


def rounded(value: Any) -> Any:
    """The same structure with floats to five significant digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [rounded(item) for item in value]
    return value


def describe_predictor(predictor: Predictor, seen: str) -> dict[str, str]:
    """Name, version and device of a predictor, and whether its training may have held the data."""
    return {"name": predictor.name, "version": predictor.version, "device": predictor.device, "seen": seen}


def describe_environment() -> dict[str, Any]:
    """Date, commit, machine and versions; nothing that names a person or a place."""
    torch = sys.modules.get("torch")  # only if the predictor runs on it: importing it here would cost seconds
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": {
            "torch": torch.get_num_threads() if torch else None,
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        },
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {n: v for n in _PACKAGES if (v := _version(n))},
    }


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    """The commit of the source tree that runs, with ``+changes`` if the package differs from it; else ``unknown``."""
    folder = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
