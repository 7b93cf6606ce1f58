"""The main job: read, click, propagate, measure, save. What can be refused is refused before the network runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from edgeflow_med import __version__
from edgeflow_med.cli.files import check_outputs, check_sources, read_masks, write_json
from edgeflow_med.cli.output import counts, heading, lengths, make_progress, row, warn
from edgeflow_med.errors import PromptError
from edgeflow_med.io import MeasuredSegment, SaveOptions, read_volume, save_measurements
from edgeflow_med.metrics import dice
from edgeflow_med.predictors import find_model
from edgeflow_med.prompts import Prompt, PromptSet, check_prompt
from edgeflow_med.propagation import SliceStep
from edgeflow_med.report import NOTICE, describe
from edgeflow_med.segmentation import Segmentation
from edgeflow_med.session import SegmentState, Session
from edgeflow_med.volume import Plane, Volume
from edgeflow_med.weights import DEFAULT_MODEL

DEFAULT_LABEL = "Lesion"


@dataclass(frozen=True)
class Job:
    """What was asked for; see ``edgeflow-med segment --help``.

    An empty label in ``prompts`` means the one segment of the initial mask, or else a new one called "Lesion".

    Attributes:
        reference: A mask that somebody else drew; how well the first segment agrees with it is told.
        keep: Files that were read besides ``input`` and that no output may replace.
        measurements: A DICOM report on the first DICOM-SEG among the outputs.
        options: How files are written, see `edgeflow_med.io.save`.
    """

    input: Path
    outputs: tuple[Path, ...]
    prompts: PromptSet
    series: str | None = None
    initial_mask: Path | None = None
    plane: Plane | None = None
    window: str | None = None
    modality: str | None = None
    allow_gaps: bool = False
    straighten: bool = False
    propagate: bool = False
    limit: int | None = None
    lesion: bool | None = None
    model: str = DEFAULT_MODEL
    device: str = "auto"
    report: Path | None = None
    picture: Path | None = None
    reference: Path | None = None
    keep: tuple[Path, ...] = ()
    measurements: Path | None = None
    options: SaveOptions = field(default_factory=SaveOptions)


@dataclass
class Clock:
    """How long the parts of a run took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Time a part."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


def run_job(job: Job, console: Console) -> Session:
    """Do a job and print what happens.

    Raises:
        EdgeFlowError: It cannot be done; files that could not be written whole are not there.
    """
    check_outputs(job)
    model = find_model(job.model)
    clock = Clock()
    console.print(f"EdgeFlow-Med {__version__}", style="bold")
    with clock.measure("read"):
        volume = _read(job)
        initial = read_masks(job.initial_mask, volume, console) if job.initial_mask else None
    _print_volume(console, volume)
    check_sources(volume, job)
    plane = job.plane or job.prompts.plane or volume.acquisition_plane
    for entry in job.prompts.segments:
        for prompt in entry.prompts:
            check_prompt(prompt, volume, volume.axis(plane))
    with clock.measure("load_model"):
        session = _start(job, volume, plane)
    _print_engine(console, session, clock)
    asked = _segments(session, job.prompts, initial)
    steps: dict[int, list[SliceStep]] = {}
    for state, prompts in asked:
        with clock.measure(f"segment {state.label}"):
            steps[id(state)] = _segment(session, state, prompts, job, console)
    found = describe(
        session,
        [steps.get(id(state), []) for state in session.segments],
        checksum=model.sha256,
        seconds=clock.seconds,
    )
    if job.reference is not None:
        reference = read_masks(job.reference, volume, console).masks[0]
        found["dice_with_reference"] = round(dice(session.segments[0].mask, reference), 4)
    _print_findings(console, found)
    _write(job, session, found, console)
    console.print()
    console.print(NOTICE)
    return session


def _read(job: Job) -> Volume:
    """The volume; ``--modality`` wins over the file, with a warning if the file says otherwise."""
    volume = read_volume(job.input, series=job.series, allow_gaps=job.allow_gaps, straighten=job.straighten)
    if job.modality is None or job.modality == volume.modality:
        return volume
    if not volume.modality:
        return replace(volume, modality=job.modality)
    note = f"The file says that it is {volume.modality}, --modality says {job.modality}; taken as {job.modality}."
    return replace(volume, modality=job.modality, warnings=(*volume.warnings, note))


def _start(job: Job, volume: Volume, plane: Plane) -> Session:
    from edgeflow_med.predictors import load_predictor

    return Session(volume, load_predictor(job.model, job.device), plane=plane, window=job.window, journal=False)


def _segments(
    session: Session, prompts: PromptSet, initial: Segmentation | None
) -> list[tuple[SegmentState, tuple[Prompt, ...]]]:
    """Which segment each group of prompts speaks of: one of the initial mask, by label, or a new one.

    Raises:
        PromptError: Clicks without a label, and an initial mask with several segments.
    """
    if initial is not None:
        session.add_segments(initial)
    free = list(session.segments)
    if not prompts.segments[0].label and len(free) > 1:
        labels = ", ".join(repr(state.label) for state in free)
        raise PromptError(f"The initial mask has {len(free)} segments; say by --label which one is meant: {labels}.")
    asked = []
    for entry in prompts.segments:
        state = next((known for known in free if entry.label in ("", known.label)), None)
        if state is None:
            state = session.add_segment(entry.label or DEFAULT_LABEL)
        else:
            free.remove(state)
        asked.append((state, entry.prompts))
    return asked


def _segment(
    session: Session, state: SegmentState, prompts: tuple[Prompt, ...], job: Job, console: Console
) -> list[SliceStep]:
    """Answer the prompts of a segment and propagate it; returns the steps of the propagation."""
    heading(console, state.label)
    pixel = session.slice_spacing[0] * session.slice_spacing[1]
    slices = session.volume.shape[session.axis]
    steps = []
    with make_progress(console) as progress:
        task = progress.add_task("Answering prompts", total=len(prompts))
        for prompt in prompts:
            change = session.prompt(prompt, state)
            assert change.answer is not None  # that of a prompt always has one
            console.print(
                f"  {_name(prompt):<28}{change.seconds:6.2f} s {change.answer.mask.sum() * pixel:9.0f} mm2"
                f"  quality {change.answer.quality:.2f}"
            )
            for line in change.warnings:
                warn(console, line)
            progress.advance(task)
        if not state.mask.any():
            raise PromptError(f"The mask of {state.label!r} came out empty; give a click inside it, or other clicks.")
        if job.propagate:
            task = progress.add_task("Propagating", total=slices)
            for step in session.propagate(state, limit=job.limit, lesion=job.lesion):
                steps.append(step)
                console.print(_told(step, pixel))
                progress.advance(task)
    return steps


def _name(prompt: Prompt) -> str:
    kind = type(prompt).__name__
    sign = "" if prompt.positive else "negative "
    point = ", ".join(f"{value:g}" for value in prompt.points[0])
    return f"{sign}{kind}".capitalize() + f" ({point})"


def _told(step: SliceStep, pixel_mm2: float) -> str:
    """One line on a step of propagation."""
    if step.prediction is None:
        return f"  Stopped before slice {step.index}: {step.why}."
    area = step.prediction.mask.sum() * pixel_mm2
    return f"  {'Slice ' + str(step.index):<28}{'':8} {area:9.0f} mm2  quality {step.prediction.quality:.2f}"


def _print_volume(console: Console, volume: Volume) -> None:
    heading(console, "Scan")
    row(console, "Read", f"{volume.modality or 'unknown modality'}, {volume.name}")
    row(console, "Size", f"{counts(volume.shape)} voxels (k, j, i), {lengths(volume.spacing)}")
    row(console, "Orientation", volume.orientation)
    for line in volume.warnings:
        warn(console, line)


def _print_engine(console: Console, session: Session, clock: Clock) -> None:
    predictor = session.predictor
    assert predictor is not None  # _start gave it one
    row(console, "Plane", f"{session.plane}, slices along {'kji'[session.axis]}")
    row(console, "Window", str(session.window))
    row(console, "Model", f"{predictor.name} {predictor.version}, loaded in {clock.seconds['load_model']:.1f} s")
    row(console, "Device", predictor.device)


def _print_findings(console: Console, found: dict[str, Any]) -> None:
    heading(console, "Found")
    for entry in found["segments"]:
        row(console, "Segment", entry["label"], "bold")
        row(console, "Volume", f"{entry['volume_ml']:.4g} ml on {len(entry['slices'])} slices")
        diameters = entry["diameters"]
        if diameters is not None:
            pair = f"{diameters['longest_mm']:.1f} x {diameters['perpendicular_mm']:.1f} mm"
            row(console, "Diameters", f"{pair} on slice {diameters['slice']}, the longest and across it")
        row(
            console,
            "Unreviewed",
            f"{entry['unreviewed_slices']} slices that propagation filled and nobody has accepted",
        )
    if "dice_with_reference" in found:
        row(console, "Agreement", f"3-D Dice {found['dice_with_reference']:.3f} with the expert's outline of this scan")
    times = [value for entry in found["segments"] for value in entry["prompt_seconds"]]
    later = f", later prompts {statistics.median(times[1:]):.2f} s (median of {len(times) - 1})" if times[1:] else ""
    row(console, "Time", f"first prompt {times[0]:.2f} s{later}")


def _write(job: Job, session: Session, found: dict[str, Any], console: Console) -> None:
    written: list[Path] = []
    for path in job.outputs:
        saved = session.save(path, **job.options)
        written += saved.paths
        for line in saved.warnings:
            warn(console, f"{path.name}: {line}")
    if job.measurements is not None:
        _write_measurements(job.measurements, job, found)
    if job.picture is not None:
        from edgeflow_med.cli.files import write_picture

        write_picture(job.picture, session, found)
    if job.report is not None:
        write_json(job.report, found)
    heading(console, "Files")
    for file in (*written, job.measurements, job.picture, job.report):
        if file is not None:
            console.print(f"  {file}")


def _write_measurements(path: Path, job: Job, found: dict[str, Any]) -> None:
    """A measurement report on the first DICOM-SEG that was written."""
    seg = next(output for output in job.outputs if output.suffix.lower() == ".dcm")
    measured = [
        MeasuredSegment(
            number, entry["volume_ml"], entry["diameters"]["longest_mm"], entry["diameters"]["perpendicular_mm"]
        )
        for number, entry in enumerate(found["segments"], 1)
    ]
    options = job.options
    save_measurements(
        path, seg, measured, creator=options.get("creator", ""), deidentify=options.get("deidentify", False)
    )
