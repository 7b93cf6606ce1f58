"""``edgeflow-med demo``: the main job on a scan that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeflow_med.cli.segment import Device
from edgeflow_med.errors import UsageError
from edgeflow_med.resources import resource
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
    from edgeflow_med.cli.output import make_console
    from edgeflow_med.prompts import read_prompts

    folder = find_sample(sample)
    outline = folder / "tumour.nii.gz"
    job = Job(
        input=folder / "series",
        outputs=(output_dir / "lesion.dcm", output_dir / "lesion.nii.gz"),
        prompts=read_prompts(folder.with_name(f"{sample}.clicks.json")),
        propagate=True,
        model=model,
        device=device,
        report=output_dir / "report.json",
        picture=output_dir / "lesion.png",
        reference=outline if outline.exists() else None,
    )
    run_job(job, make_console())


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
