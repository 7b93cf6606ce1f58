"""A case as the commands open it, and how they tell what they did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgeflow_med.cli.output import make_console, row, warn
from edgeflow_med.errors import PromptError, UsageError

if TYPE_CHECKING:
    from edgeflow_med.prompts import Prompt
    from edgeflow_med.session import Change, SegmentState, Session
    from edgeflow_med.volume import Plane, Volume

Device = Literal["auto", "cpu", "cuda"]
SegmentOption = Annotated[
    str | None, typer.Option("--segment", metavar="LABEL|ID", help="Which segment, where there are several.")
]
PlaneOption = Annotated[
    Literal["axial", "coronal", "sagittal"] | None,
    typer.Option("--plane", help="Plane of the slices. [default: the case's]"),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Which model answers; graphcut needs no weights.")
]
LesionOption = Annotated[
    bool | None,
    typer.Option(
        "--lesion/--no-lesion",
        help="It gets smaller away from its middle, as lesions do and vessels do not. [default: by what it shows]",
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the model runs.")]


@dataclass(frozen=True)
class CaseOptions:
    """What stands before a verb: the folder of the case, where its scan is now, who works."""

    folder: Path
    volume: Path | None = None
    reader: str | None = None


def options_of(context: typer.Context) -> CaseOptions:
    """What stands before the verb that is being run."""
    given = context.obj
    assert isinstance(given, CaseOptions)  # the group's callback has set it
    return given


@contextmanager
def opened(options: CaseOptions, *, read_only: bool = False) -> Iterator[Session]:
    """A case, to be closed again; says what was lost when it was left.

    Raises:
        EdgeFlowError: There is no case, or its scan is gone or another one; see `Session.resume`.
    """
    from edgeflow_med.session import Session

    session = Session.resume(options.folder, volume=moved_volume(options), reader=options.reader, read_only=read_only)
    with session:
        if session.lost:
            warn(make_console(), session.lost)
        yield session


def moved_volume(options: CaseOptions) -> Volume | None:
    """The scan from where ``--volume`` says that it is, read as it was when the case was started."""
    if options.volume is None:
        return None
    from edgeflow_med.session.identity import find_volume_at
    from edgeflow_med.session.journal import read_journal

    return find_volume_at(next(read_journal(options.folder))["volume"], options.volume)


@contextmanager
def answering(context: typer.Context, model: str | None, device: Device) -> Iterator[Session]:
    """A case and a model, which is loaded when the first question is asked."""
    from edgeflow_med.predictors.lazy import LazyPredictor
    from edgeflow_med.weights import DEFAULT_MODEL

    predictor = LazyPredictor(model or DEFAULT_MODEL, device)
    with opened(options_of(context)) as session:
        session.predictor = predictor
        yield session


def answer(session: Session, prompts: Sequence[Prompt], state: SegmentState, plane: Plane | str | None) -> None:
    """Have prompts answered and tell about each; the model is loaded once they are known to be answerable.

    Raises:
        PromptError: One does not lie on one slice of the volume.
    """
    from edgeflow_med.prompts import check_prompt

    for prompt in prompts:
        check_prompt(prompt, session.volume, session.volume.axis(plane or session.plane))
    load_model(session)
    for prompt in prompts:
        tell(session, session.prompt(prompt, state, plane))


def load_model(session: Session) -> None:
    """Load the model of `answering`, so that no answer's time includes it."""
    from edgeflow_med.predictors.lazy import LazyPredictor

    assert isinstance(session.predictor, LazyPredictor)  # `answering` has set it
    session.predictor.warm_up()


def choose_segment(session: Session, name: str | None) -> SegmentState:
    """The segment that ``--segment`` means: by its label, else by its id; the only one if it was not given.

    Raises:
        UsageError: None is meant, or several are.
    """
    known = session.segments
    found = [state for state in known if name is None or state.label == name]
    if not found and name is not None:
        found = [state for state in known if str(state.id) == name]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{state.id} {state.label!r}" for state in known) or "none"
    asked = "no --segment was given" if name is None else f"--segment {name} means {len(found)} of them"
    raise UsageError(f"The case has these segments: {listed}; {asked}; give one by label or number.")


def parse_points(texts: Sequence[str]) -> list[tuple[float, float, float]]:
    """Voxels ``K,J,I``; fractions are allowed.

    Raises:
        PromptError: Anything else.
    """
    return [_parse_point(text) for text in texts]


def _parse_point(text: str) -> tuple[float, float, float]:
    try:
        k, j, i = (float(number) for number in text.split(","))
    except ValueError:
        raise PromptError(f"Point {text!r} is not K,J,I; give zero-based numbers: slice, row, column.") from None
    return k, j, i


def parse_slices(texts: Sequence[str]) -> list[int]:
    """Slice numbers and ranges: ``20 25-30``.

    Raises:
        UsageError: Anything else.
    """
    found: list[int] = []
    for text in texts:
        first, dash, last = text.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            raise UsageError(f"{text!r} is no slice; give zero-based numbers or ranges like 20-25.")
        found += range(int(first), int(last) + 1)
    return list(dict.fromkeys(found))


def tell(session: Session, change: Change) -> None:
    """One line about what was done, and its warnings."""
    console = make_console()
    names = {state.id: state.label for state in session.segments}
    touched = ", ".join(names[number] for number in change.segments if number in names)
    words = f"{change.name}{f' on {touched}' if touched else ''}"
    if change.answer is not None:
        pixels = int(change.answer.mask.sum())
        words += f": {pixels} pixels, expected IoU {change.answer.quality:.2f}, {change.seconds:.2f} s"
    console.print(words)
    for line in change.warnings:
        warn(console, line)


def print_status(session: Session) -> None:
    """Where a case stands: its scan, its steps, its segments, and what nobody has reviewed."""
    console = make_console()
    volume, history = session.volume, session.history
    console.print(f"Case {session.case_dir}", style="bold")
    row(console, "Scan", f"{volume.modality or 'unknown modality'}, {volume.name}")
    row(console, "Plane", f"{session.plane}, slices along {'kji'[session.axis]}")
    row(console, "Window", str(session.window))
    row(console, "Policy", session.policy.value)
    last = f", the last: {history[-1]}" if history else ""
    row(console, "Steps", f"{len(history)} that undo can take back{last}")
    redo, branches = session.redo_names, session.branches()
    if redo or branches:
        row(console, "Undone", f"{len(redo)} steps that redo can do again, {len(branches)} branches left")
    for state in session.segments:
        waiting = session.unreviewed(state)
        flags = sum(known.flagged for known in state.slices.values())
        words = f"{state.id} {state.label}, {int(state.mask.sum()) * volume.voxel_ml:.4g} ml, {waiting} unreviewed"
        words += f", {flags} flagged" if flags else ""
        row(console, "Segment", words + (", locked" if state.locked else ""))
    place = session.next_to_review()
    if place is not None:
        segment, plane, index = place
        label = next(state.label for state in session.segments if state.id == segment)
        row(console, "Look next", f"{label}, {plane} slice {index}")
    elif not session.segments:
        row(console, "Segments", "none yet")
    else:
        row(console, "Review", "nothing is unreviewed")
