"""``edgeflow-med case CASE VERB``: all that a session can do, one act per command, kept in the case's journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgeflow_med.cli import case_files
from edgeflow_med.cli.opened import (
    CaseOptions,
    DeviceOption,
    ModelOption,
    PlaneOption,
    SegmentOption,
    answer,
    answering,
    choose_segment,
    opened,
    options_of,
    parse_points,
    parse_slices,
    tell,
)
from edgeflow_med.cli.output import make_console
from edgeflow_med.errors import UsageError

app = typer.Typer(
    help="Work on a case: a folder that keeps a scan's segments and every step that led to them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Points = Annotated[list[str], typer.Argument(metavar="K,J,I...", help="Zero-based voxels: slice, row, column.")]
Negative = Annotated[bool, typer.Option("--negative", help="This does not belong to the segment.")]


@app.callback()
def case(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="CASE", help="The folder of the case.")],
    volume: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where the scan is now, if it was moved. Stands before CASE.")
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(metavar="NAME", envvar="EDGEFLOW_READER", help="Pseudonym of who works. Stands before CASE."),
    ] = None,
) -> None:
    """Keep what stands before the verb."""
    context.obj = CaseOptions(folder, volume, reader)


for command in (
    case_files.new,
    case_files.status,
    case_files.propagate,
    case_files.measure,
    case_files.export,
):
    app.command()(command)
app.command("set")(case_files.set_options)


@app.command()
def add(
    context: typer.Context,
    label: Annotated[str | None, typer.Argument(metavar="[LABEL]", help="Name of an empty segment.")] = None,
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="Or: the segments of this file.")] = None,
) -> None:
    """Add a segment, or those of a DICOM-SEG, NIfTI or NRRD file."""
    from edgeflow_med.cli.files import read_masks

    if (label is None) == (mask is None):
        raise UsageError("Give a LABEL, or --mask FILE with segments that have theirs.")
    with opened(options_of(context)) as session:
        console = make_console()
        if mask is not None:
            added = session.add_segments(read_masks(mask, session.volume, console))
        else:
            added = (session.add_segment(label or ""),)
        for state in added:
            console.print(f"Added segment {state.id} {state.label}")


@app.command()
def remove(context: typer.Context, segment: SegmentOption = None) -> None:
    """Remove a segment; undo brings it back."""
    with opened(options_of(context)) as session:
        tell(session, session.remove_segment(choose_segment(session, segment)))


@app.command()
def clear(context: typer.Context, segment: SegmentOption = None) -> None:
    """Empty a segment and forget its prompts."""
    with opened(options_of(context)) as session:
        tell(session, session.clear_segment(choose_segment(session, segment)))


@app.command()
def rename(
    context: typer.Context,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The new name.")],
    segment: SegmentOption = None,
) -> None:
    """Give a segment another name."""
    with opened(options_of(context)) as session:
        tell(session, session.rename_segment(choose_segment(session, segment), label))


@app.command()
def describe(
    context: typer.Context,
    term: Annotated[str, typer.Argument(metavar="TERM", help='What it shows, in DICOM\'s words, e.g. "lymph node".')],
    segment: SegmentOption = None,
) -> None:
    """Code what a segment shows (SNOMED CT); a word that fits several terms gets them listed."""
    from edgeflow_med.terminology import find

    found = find(term)
    with opened(options_of(context)) as session:
        state = choose_segment(session, segment)
        tell(session, session.set_segment(state, category=found.category, type=found.type))
        make_console().print(f"{state.label}: {found}")


@app.command()
def lock(
    context: typer.Context,
    segment: SegmentOption = None,
    off: Annotated[bool, typer.Option("--off", help="Unlock it.")] = False,
) -> None:
    """Lock a segment, so that nothing changes its voxels."""
    with opened(options_of(context)) as session:
        tell(session, session.lock(choose_segment(session, segment), not off))


@app.command()
def click(
    context: typer.Context,
    points: Annotated[list[str], typer.Argument(metavar="K,J,I[,neg]...", help="Zero-based: slice, row, column.")],
    negative: Negative = False,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Click on voxels that belong to the segment, or with ",neg" or --negative do not."""
    from edgeflow_med.cli.segment import parse_click

    given = [parse_click(text) for text in points]
    clicks = [replace(each, positive=False) for each in given] if negative else given
    with answering(context, model, device) as session:
        answer(session, clicks, choose_segment(session, segment), plane)


@app.command()
def scribble(
    context: typer.Context,
    points: Points,
    negative: Negative = False,
    width: Annotated[float, typer.Option("--width", metavar="MM", help="Width of the stroke.")] = 3.0,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw a stroke through the segment, or with --negative through what does not belong to it."""
    from edgeflow_med.prompts import Scribble

    prompt = Scribble(tuple(parse_points(points)), not negative, width)
    with answering(context, model, device) as session:
        answer(session, [prompt], choose_segment(session, segment), plane)


@app.command()
def box(
    context: typer.Context,
    points: Points,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Give two opposite corners of a rectangle that holds the segment."""
    from edgeflow_med.prompts import Box

    prompt = Box(*_two(points, "A box has two corners"))
    with answering(context, model, device) as session:
        answer(session, [prompt], choose_segment(session, segment), plane)


@app.command()
def lasso(
    context: typer.Context,
    points: Points,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw a closed line round the segment; the last point joins the first."""
    from edgeflow_med.prompts import Lasso

    prompt = Lasso(tuple(parse_points(points)))
    with answering(context, model, device) as session:
        answer(session, [prompt], choose_segment(session, segment), plane)


@app.command()
def line(
    context: typer.Context,
    points: Points,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure across the segment from outline to outline, like the long axis of RECIST."""
    from edgeflow_med.prompts import Line

    prompt = Line(*_two(points, "A line has two ends"))
    with answering(context, model, device) as session:
        answer(session, [prompt], choose_segment(session, segment), plane)


@app.command()
def paint(
    context: typer.Context,
    points: Annotated[list[str] | None, typer.Argument(metavar="[K,J,I...]", help="A stroke through voxels.")] = None,
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="Or: the voxels of this file's segments.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Take voxels away.")] = False,
    width: Annotated[float, typer.Option("--width", metavar="MM", help="Width of the stroke.")] = 3.0,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
) -> None:
    """Paint or erase by hand; no prediction changes these voxels until that is undone."""
    import numpy as np

    from edgeflow_med.cli.files import read_masks

    if bool(points) == (mask is not None):
        raise UsageError("Give the points K,J,I of a stroke, or --mask FILE.")
    with opened(options_of(context)) as session:
        state = choose_segment(session, segment)
        if mask is not None:
            voxels = np.any(list(read_masks(mask, session.volume, make_console()).masks), axis=0)
            tell(session, session.paint(voxels, state, erase, plane))
        else:
            tell(session, session.paint((parse_points(points or []), width), state, erase, plane))


@app.command("delete-prompt")
def delete_prompt(
    context: typer.Context,
    index: Annotated[int, typer.Argument(metavar="SLICE", min=0)],
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="Which of the slice's prompts, from 0.")] = 0,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Take back one prompt; its slice is answered anew from what is left."""
    with answering(context, model, device) as session:
        tell(session, session.delete_prompt(choose_segment(session, segment), plane, index, number))


@app.command()
def undo(
    context: typer.Context, count: Annotated[int, typer.Argument(metavar="[N]", min=1, help="How many steps.")] = 1
) -> None:
    """Take back the last step, with everything that it changed."""
    _travel(context, count, back=True)


@app.command()
def redo(
    context: typer.Context, count: Annotated[int, typer.Argument(metavar="[N]", min=1, help="How many steps.")] = 1
) -> None:
    """Do again what was undone last."""
    _travel(context, count, back=False)


@app.command()
def branches(
    context: typer.Context,
    switch: Annotated[int | None, typer.Option(metavar="N", help="Go to the end of this branch.")] = None,
) -> None:
    """List what was undone and then left for something else; nothing is thrown away."""
    with opened(options_of(context), read_only=switch is None) as session:
        if switch is not None and (change := session.switch_branch(switch)):
            tell(session, change)
        for branch in session.branches():
            make_console().print(f"{branch.number}: {', '.join(branch.names)}")


@app.command()
def accept(
    context: typer.Context,
    slices: Annotated[
        list[str] | None, typer.Argument(metavar="[SLICE|FIRST-LAST...]", help="All proposed slices if left out.")
    ] = None,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
) -> None:
    """Stand behind slices as they are; they become anchors and leave the order of review."""
    with opened(options_of(context)) as session:
        state = choose_segment(session, segment)
        chosen = parse_slices(slices) if slices else None
        count = len(state.proposed if chosen is None else chosen)
        session.accept(chosen, state, plane)
        console = make_console()
        console.print(f"Accepted {count} slices of {state.label}; {session.unreviewed(state)} are unreviewed")


@app.command()
def flag(
    context: typer.Context,
    index: Annotated[int, typer.Argument(metavar="SLICE", min=0)],
    comment: Annotated[str | None, typer.Option(metavar="TEXT", help="A remark; an empty one removes it.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Take the mark away.")] = False,
    segment: SegmentOption = None,
    plane: PlaneOption = None,
) -> None:
    """Mark a slice for another look, with a remark if you like."""
    with opened(options_of(context)) as session:
        state = choose_segment(session, segment)
        tell(session, session.flag(index, state, plane, flagged=not off, comment=comment))


@app.command("next")
def next_(
    context: typer.Context,
    segment: SegmentOption = None,
    count: Annotated[int, typer.Option(min=1, help="Name so many slices.")] = 1,
) -> None:
    """Name the slices that are most likely wrong, the worst first: segment, plane, slice, expected Dice."""
    with opened(options_of(context), read_only=True) as session:
        states = session.segments if segment is None else (choose_segment(session, segment),)
        places = [(state, plane, index) for state in states for plane, index in session.review_order(state)]
        for state, plane, index in places[:count]:
            known = state.slices[session.volume.axis(plane), index]
            words = f"{state.label}  {plane} slice {index}"
            words += f"  expected Dice {known.quality:.2f}" if known.quality is not None else ""
            words += "  flagged" if known.flagged else ""
            make_console().print(words + (f": {known.comment}" if known.comment else ""))
        make_console().print(f"{len(places)} slices are unreviewed")


def resume(
    folder: Annotated[Path, typer.Argument(metavar="CASE", help="The folder of the case.")],
    volume: Annotated[Path | None, typer.Option(metavar="PATH", help="Where the scan is now, if it was moved.")] = None,
    reader: Annotated[
        str | None, typer.Option(metavar="NAME", envvar="EDGEFLOW_READER", help="Pseudonym of who works now.")
    ] = None,
) -> None:
    """Open a case where it stopped: what was lost, what stands, what is unreviewed."""
    from edgeflow_med.cli.opened import print_status

    with opened(CaseOptions(folder, volume, reader)) as session:
        print_status(session)
        make_console().print(
            f"Go on with `edgeflow-med case {folder} VERB`; `edgeflow-med case --help` lists the verbs."
        )


def _travel(context: typer.Context, count: int, *, back: bool) -> None:
    with opened(options_of(context)) as session:
        for _ in range(count):
            change = session.undo() if back else session.redo()
            if not change:
                make_console().print(f"Nothing left to {'undo' if back else 'redo'}")
                return
            make_console().print(f"{'Undid' if back else 'Did again'}: {change.name}")


def _two(points: list[str], rule: str) -> list[tuple[float, float, float]]:
    """Two points, no more and no less."""
    if len(points) != 2:
        raise UsageError(f"{rule}, got {len(points)} points; give two, each K,J,I.")
    return parse_points(points)
