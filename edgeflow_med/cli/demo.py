"""``edgeflow-med demo``: the main job on a scan that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeflow_med.cli.output import make_console, row
from edgeflow_med.cli.segment import Device
from edgeflow_med.errors import UsageError
from edgeflow_med.resources import resource
from edgeflow_med.session import Session
from edgeflow_med.weights import DEFAULT_MODEL

DEFAULT_SAMPLE = "sts_003_ct"


def demo(
    sample: Annotated[str, typer.Option(metavar="NAME", help="Which of the packaged scans.")] = DEFAULT_SAMPLE,
    output_dir: Annotated[Path, typer.Option(metavar="PATH", help="Where the files go.")] = Path("edgeflow-demo"),
    model: Annotated[str, typer.Option(metavar="NAME", help="Which model.")] = DEFAULT_MODEL,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = "auto",
) -> None:
    """Outline a lesion on a real CT that comes with the package."""
    from edgeflow_med.cli.job import Job, run_job
    from edgeflow_med.prompts import read_prompts

    folder = find_sample(sample)
    console = make_console()
    job = Job(
        input=folder / "series",
        outputs=(output_dir / "lesion.dcm", output_dir / "lesion.nii.gz"),
        prompts=read_prompts(folder.with_name(f"{sample}.clicks.json")),
        propagate=True,
        model=model,
        device=device,
        report=output_dir / "report.json",
        picture=output_dir / "lesion.png",
    )
    session = run_job(job, console)
    outline = folder / "tumour.nii.gz"
    if outline.exists():
        _compare(console, session, outline)


def find_sample(name: str) -> Path:
    """The folder of a packaged scan.

    Raises:
        UsageError: There is none of this name.
    """
    folder = resource("sample_data")
    names = sorted(path.name.removesuffix(".clicks.json") for path in folder.glob("*.clicks.json"))
    if name not in names:
        listed = ", ".join(names) or "none is installed"
        raise UsageError(f"Unknown sample {name!r}; give one of: {listed}.")
    return folder / name


def _compare(console: Console, session: Session, outline: Path) -> None:
    """Print how well the first segment agrees with the expert's outline."""
    from edgeflow_med.io import read_segmentation
    from edgeflow_med.metrics import dice

    expert = read_segmentation(outline, session.volume)
    agreement = dice(session.segments[0].mask, expert.masks[0])
    row(console, "Expert", f"3-D Dice {agreement:.3f} with the outline that an expert drew on this scan")
