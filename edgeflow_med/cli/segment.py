"""``edgeflow-med segment``: the main job."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeflow_med.cli.opened import LesionOption
from edgeflow_med.cli.pacs import CaFile, CredentialsFile, Exchange, exchanged
from edgeflow_med.errors import PromptError, UsageError
from edgeflow_med.io import SaveOptions, SegEncoding
from edgeflow_med.prompts import Click, PromptSet, SegmentPrompts, read_prompts
from edgeflow_med.volume import Plane
from edgeflow_med.weights import DEFAULT_MODEL

Device = Literal["auto", "cpu", "cuda"]


def segment(  # noqa: PLR0913 - one parameter per option
    input: Annotated[  # noqa: A002 - the word that the help shows
        Path | None,
        typer.Argument(metavar="INPUT", help="A folder with a DICOM series, or a DICOM, NIfTI, NRRD or MHA file."),
    ] = None,
    *,
    output: Annotated[
        list[Path],
        typer.Option(metavar="PATH", help=".dcm (DICOM-SEG), .nii.gz, .nii, .seg.nrrd or .nrrd. May be given again."),
    ],
    series: Annotated[str | None, typer.Option(metavar="UID", help="Which series, where there are several.")] = None,
    click: Annotated[
        list[str] | None,
        typer.Option(metavar="K,J,I[,neg]", help="Zero-based voxel: slice, row, column. May be given again."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Clicks and scribbles of one or several segments.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="TEXT", help='Name of the segment that --click means. [default: "Lesion"]')
    ] = None,
    initial_mask: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Segments to start from: DICOM-SEG, NIfTI or NRRD.")
    ] = None,
    plane: Annotated[
        Plane | None, typer.Option(help="Plane of the slices. [default: that of the prompts file, or of the scan]")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="NAME|LOW,HIGH", help="The model's intensity window. [default: by modality]"),
    ] = None,
    modality: Annotated[Literal["CT", "MR"] | None, typer.Option(help="For files that do not say.")] = None,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Fill missing slices with air instead of refusing the series.")
    ] = False,
    straighten: Annotated[
        bool, typer.Option("--straighten", help="Resample a tilted scan to right angles; not for .dcm outputs.")
    ] = False,
    propagate: Annotated[bool, typer.Option(help="Carry the outline to the neighbouring slices.")] = False,
    range_: Annotated[
        int | None, typer.Option("--range", metavar="N", min=1, help="At most so many slices in each direction.")
    ] = None,
    lesion: LesionOption = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Which model; graphcut needs no weights.")] = DEFAULT_MODEL,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = "auto",
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="All that was found, without patient data.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="The outline, drawn on the slices.")] = None,
    measurements: Annotated[
        Path | None,
        typer.Option(metavar="FILE.dcm", help="Volume and diameters as a DICOM report (TID 1500) on the DICOM-SEG."),
    ] = None,
    seg_encoding: Annotated[
        SegEncoding | None, typer.Option(help="How a DICOM-SEG holds its masks. [default: binary]")
    ] = None,
    bids: Annotated[bool, typer.Option(help="With *_dseg.nii.gz: the sidecar and label table of BIDS.")] = False,
    separate: Annotated[bool, typer.Option(help="NIfTI: one file for each segment.")] = False,
    creator: Annotated[
        str | None, typer.Option(metavar="FAMILY^GIVEN", help="Who made it, for DICOM files. [default: nobody]")
    ] = None,
    deidentify: Annotated[
        bool, typer.Option(help="Leave out of all files who the patient is (PS3.15 basic profile).")
    ] = False,
    from_pacs: Annotated[
        str | None, typer.Option(metavar="URL", help="Fetch the scan from this DICOMweb server, instead of INPUT.")
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="With --from-pacs: the study.")] = None,
    to_pacs: Annotated[
        str | None, typer.Option(metavar="URL", help="Store the DICOM-SEG on this DICOMweb server too.")
    ] = None,
    credentials: CredentialsFile = None,
    ca_file: CaFile = None,
) -> None:
    """Outline what clicks point at, and save it."""
    from edgeflow_med.cli.job import Job, run_job
    from edgeflow_med.cli.output import make_console

    for name, given in (("--range", range_), ("--lesion/--no-lesion", lesion)):
        if given is not None and not propagate:
            raise UsageError(f"{name} is about propagation, which was not asked for; give --propagate too.")
    options = SaveOptions(
        encoding=seg_encoding or SegEncoding.BINARY,
        bids=bids,
        separate=separate,
        creator=creator or "",
        deidentify=deidentify,
    )
    job = partial(
        Job,
        outputs=tuple(output),
        prompts=choose_prompts(click or [], prompts, label),
        series=series,
        initial_mask=initial_mask,
        plane=plane,
        window=window,
        modality=modality,
        allow_gaps=allow_gaps,
        straighten=straighten,
        propagate=propagate,
        limit=range_,
        lesion=lesion,
        model=model,
        device=device,
        report=report,
        picture=picture,
        measurements=measurements,
        options=options,
        keep=(prompts,) if prompts is not None else (),
    )
    console = make_console()
    servers = Exchange(from_pacs, to_pacs, study, series, credentials, ca_file)
    with exchanged(input, servers, output, console) as path:
        run_job(job(input=path), console)


def choose_prompts(clicks: list[str], file: Path | None, label: str | None) -> PromptSet:
    """The prompts of the command line; the label is empty where none was given.

    Raises:
        PromptError: A click or a file that cannot be used.
        UsageError: Neither clicks nor a file, or both.
    """
    if clicks and file is not None:
        raise UsageError("--click and --prompts were both given; put the clicks into the file, or leave it out.")
    if file is not None:
        if label is not None:
            raise UsageError("--label names the segment of --click; with --prompts the labels stand in the file.")
        return read_prompts(file)
    if not clicks:
        raise UsageError("No prompts were given; give --click K,J,I or --prompts FILE.json.")
    if label is not None and not label.strip():
        raise UsageError("A label has 1 to 64 characters, got none; give --label TEXT, or leave it out.")
    return PromptSet((SegmentPrompts(label or "", tuple(parse_click(text) for text in clicks)),))


def parse_click(text: str) -> Click:
    """``"K,J,I"`` or ``"K,J,I,neg"``.

    Raises:
        PromptError: Anything else.
    """
    numbers = text.split(",")
    positive = numbers[-1].strip() != "neg"
    try:
        k, j, i = (int(number) for number in (numbers if positive else numbers[:-1]))
    except ValueError:
        raise PromptError(
            f"Click {text!r} is not K,J,I or K,J,I,neg; give zero-based whole numbers: slice, row, column."
        ) from None
    return Click((k, j, i), positive)
