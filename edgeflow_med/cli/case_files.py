"""The verbs of ``edgeflow-med case`` that begin a case, walk through it, or write files of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgeflow_med.cli.opened import (
    DeviceOption,
    LesionOption,
    ModelOption,
    PlaneOption,
    SegmentOption,
    answering,
    choose_segment,
    load_model,
    opened,
    options_of,
    print_status,
)
from edgeflow_med.cli.output import counts, lengths, make_console, make_progress, row, warn
from edgeflow_med.errors import UsageError


def new(  # noqa: PLR0913 - one parameter per option
    context: typer.Context,
    scan: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A folder with a DICOM series, or a DICOM, NIfTI, NRRD or MHA file.")
    ],
    *,
    label: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help='A segment. May be given again. [default: "Lesion"]')
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Segments to start from: DICOM-SEG, NIfTI or NRRD.")
    ] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="Which series, where there are several.")] = None,
    modality: Annotated[Literal["CT", "MR"] | None, typer.Option(help="For files that do not say.")] = None,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Fill missing slices with air.")] = False,
    straighten: Annotated[bool, typer.Option("--straighten", help="Resample a tilted scan to right angles.")] = False,
    plane: PlaneOption = None,
    window: Annotated[
        str | None, typer.Option(metavar="NAME|LOW,HIGH", help="The model's intensity window. [default: by modality]")
    ] = None,
    policy: Annotated[
        Literal["keep-others", "allow", "overwrite"], typer.Option(help="What happens where segments meet.")
    ] = "keep-others",
) -> None:
    """Start a case on a scan; nothing of the scan is copied, the case refers to where it is."""
    from edgeflow_med.cli.files import read_masks
    from edgeflow_med.io import read_volume
    from edgeflow_med.session import Session

    options, console = options_of(context), make_console()
    volume = read_volume(scan, series=series, modality=modality, allow_gaps=allow_gaps, straighten=straighten)
    initial = read_masks(mask, volume, console) if mask is not None else None
    with Session(
        volume, case_dir=options.folder, plane=plane, window=window, policy=policy, reader=options.reader or ""
    ) as session:
        if initial is not None:
            session.add_segments(initial)
        for name in label or ([] if initial is not None else ["Lesion"]):
            session.add_segment(name)
        print_status(session)
        row(console, "Size", f"{counts(volume.shape)} voxels (k, j, i), {lengths(volume.spacing)}")
        for text in volume.warnings:
            warn(console, text)


def status(context: typer.Context) -> None:
    """Say where the case stands, without changing anything."""
    with opened(options_of(context), read_only=True) as session:
        print_status(session)


def set_options(
    context: typer.Context,
    plane: PlaneOption = None,
    window: Annotated[str | None, typer.Option(metavar="NAME|LOW,HIGH", help="The model's intensity window.")] = None,
    policy: Annotated[
        Literal["keep-others", "allow", "overwrite"] | None, typer.Option(help="What happens where segments meet.")
    ] = None,
    editable_range: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH|none", help="Only voxels of these values may change.")
    ] = None,
    editable_region: Annotated[
        str | None, typer.Option(metavar="FILE|none", help="Only voxels inside this file's segments may change.")
    ] = None,
) -> None:
    """Change what holds for the whole case; each change can be undone."""
    import numpy as np

    from edgeflow_med.cli.files import read_masks

    with opened(options_of(context)) as session:
        if plane is not None:
            session.plane = plane
        if window is not None:
            session.window = window
        if policy is not None:
            session.policy = policy
        if editable_range is not None:
            session.editable_range = None if editable_range == "none" else _parse_range(editable_range)
        if editable_region == "none":
            session.editable_region = None
        elif editable_region is not None:
            masks = read_masks(Path(editable_region), session.volume, make_console()).masks
            session.editable_region = np.any(list(masks), axis=0)
        print_status(session)


def propagate(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    starts: Annotated[
        list[int] | None, typer.Option("--from", metavar="SLICE", help="Where to set out. May be given again.")
    ] = None,
    direction: Annotated[
        Literal["both", "up", "down"], typer.Option(help="To higher slice numbers, to lower ones, or both.")
    ] = "both",
    limit: Annotated[
        int | None, typer.Option("--range", metavar="N", min=1, help="At most so many slices from each start.")
    ] = None,
    limit_mm: Annotated[float | None, typer.Option("--range-mm", metavar="MM", help="At most so far.")] = None,
    lesion: LesionOption = None,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Carry the segment from slices you stand behind to their neighbours, which wait for review; one step for undo."""
    directions = {"both": (-1, 1), "up": (1,), "down": (-1,)}[direction]
    console = make_console()
    with answering(context, model, device) as session, make_progress(console) as bar:
        state = choose_segment(session, segment)
        steps = session.propagate(
            state, plane=plane, starts=starts, directions=directions, limit=limit, limit_mm=limit_mm, lesion=lesion
        )
        load_model(session)
        task = bar.add_task("Propagating", total=None)
        try:
            for step in steps:
                bar.advance(task)
                if step.prediction is not None:
                    console.print(f"Slice {step.index}: expected Dice {step.quality:.2f}")
                if step.stop is not None:
                    console.print(f"Stopped before slice {step.index}: {step.why}")
        except KeyboardInterrupt:
            console.print("Cancelled; what was done stays, and one undo takes it back")
            raise
        console.print(f"{session.unreviewed(state)} slices of {state.label} are unreviewed")


def measure(
    context: typer.Context,
    output: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help=".csv or .json. May be given again.")
    ] = None,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
) -> None:
    """Measure segments: volume, diameters (RECIST 1.1), voxel values, surface."""
    from edgeflow_med.tables import check_tables, measurement_rows, write_table

    check_tables(output or [])
    console = make_console()
    with opened(options_of(context), read_only=True) as session:
        states = session.segments if segment is None else (choose_segment(session, segment),)
        rows = measurement_rows(session, states, plane)
    for entry in rows:
        if entry["slice"] is None:
            _print_measured(entry)
    for path in output or []:
        write_table(path, rows)
        console.print(str(path))


def export(
    context: typer.Context,
    outputs: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help=".dcm (DICOM-SEG), .nii.gz, .nii, .seg.nrrd or .nrrd.")
    ],
    *,
    accepted_only: Annotated[
        bool, typer.Option("--accepted-only", help="Leave out slices that nobody annotated or accepted.")
    ] = False,
    seg_encoding: Annotated[
        Literal["binary", "deflated", "labelmap"], typer.Option(help="DICOM-SEG: how it holds its masks.")
    ] = "binary",
    bids: Annotated[
        bool, typer.Option("--bids", help="With *_dseg.nii.gz: the sidecar and label table of BIDS.")
    ] = False,
    separate: Annotated[bool, typer.Option("--separate", help="NIfTI: one file for each segment.")] = False,
    creator: Annotated[str, typer.Option(metavar="FAMILY^GIVEN", help="DICOM-SEG: who made it.")] = "",
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Leave out what tells who the patient is, and dates.")
    ] = False,
) -> None:
    """Save the segments, and beside each file how they came to be; says how many slices are unreviewed."""
    from edgeflow_med.cli.files import keep_sources
    from edgeflow_med.io import check_writable

    console = make_console()
    for path in outputs:
        check_writable(path)
    with opened(options_of(context), read_only=True) as session:
        source = session.volume.source
        keep_sources(outputs, session.volume, [source.path] if source is not None else [])
        for path in outputs:
            saved = session.save(
                path,
                accepted_only,
                encoding=seg_encoding,
                bids=bids,
                separate=separate,
                creator=creator,
                deidentify=deidentify,
            )
            for written in saved.paths:
                console.print(str(written))
            for text in saved.warnings:
                warn(console, text)
        for state in session.segments:
            waiting = session.unreviewed(state)
            what = "left out" if accepted_only else "contained"
            if waiting:
                warn(console, f"{waiting} unreviewed slices of {state.label!r} are {what}.")


def _print_measured(entry: dict[str, Any]) -> None:
    console = make_console()
    console.print(entry["label"], style="bold")
    row(console, "Volume", f"{entry['volume_ml']:.4g} ml")
    if entry["longest_mm"] is not None:
        pair = f"{entry['longest_mm']:.1f} x {entry['perpendicular_mm']:.1f} mm"
        row(console, "Diameters", f"{pair} on {entry['plane']} slice {entry['longest_slice']}")
        row(console, "Values", f"{entry['mean']:.1f} +- {entry['sd']:.1f} {entry['unit']}".rstrip())
        row(console, "Surface", f"{entry['surface_cm2']:.4g} cm2")
    row(console, "Unreviewed", f"{entry['unreviewed_slices']} slices")
    for text in entry["warnings"]:
        warn(console, text)


def _parse_range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is no range; give LOW,HIGH, e.g. -100,200, or none.") from None
    return low, high
