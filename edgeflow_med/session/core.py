"""What every part of a session stands on: its volume, its ledger, its options, its past."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from edgeflow_med import __version__
from edgeflow_med.errors import GeometryError, ReadError, UsageError
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.session.changes import SliceKey
from edgeflow_med.session.codec import decode_option, encode_option
from edgeflow_med.session.draft import Draft, packed_region
from edgeflow_med.session.history import Branch
from edgeflow_med.session.identity import check_volume, describe_volume, find_volume
from edgeflow_med.session.journal import Journal, read_records
from edgeflow_med.session.ledger import VERSION, Change, Ledger, new_case_folder
from edgeflow_med.session.state import Overlap, SegmentState, plane_of
from edgeflow_med.volume import Plane, Volume
from edgeflow_med.windows import Window, choose_window


class Core:
    """A volume and what was done to it; see :class:`edgeflow_med.session.Session`.

    Attributes:
        volume: What is segmented.
        predictor: Whatever answers slices; may be set at any time.
        case_dir: The folder with the journal; None for a session in memory.
        lost: After a resume, what was in flight when the session ended; else None.
    """

    def __init__(
        self,
        volume: Volume,
        predictor: Predictor | None = None,
        *,
        case_dir: Path | str | None = None,
        plane: Plane | str | None = None,
        window: str | None = None,
        policy: Overlap | str = Overlap.KEEP_OTHERS,
        reader: str = "",
        journal: bool = True,
    ) -> None:
        options = {
            "plane": _plane(plane) if plane else volume.acquisition_plane,
            "window": choose_window(volume, window),
            "policy": _policy(policy),
        }
        folder = (Path(case_dir) if case_dir is not None else new_case_folder()) if journal else None
        ledger = Ledger(volume.shape, Journal(folder, new=True) if folder is not None else None)
        ledger.state.options.update(options)
        self._attach(volume, predictor, ledger, folder, reader)
        if folder is not None:
            if case_dir is None:  # nobody could find it again otherwise
                print(f"This session is kept in {folder}", file=sys.stderr)
            ledger.note(
                "open",
                version=VERSION,
                software=f"edgeflow-med {__version__}",
                volume=describe_volume(volume, folder),
                options={name: encode_option(value) for name, value in options.items()},
            )

    def _attach(
        self, volume: Volume, predictor: Predictor | None, ledger: Ledger, folder: Path | None, reader: str
    ) -> None:
        self.volume, self.predictor, self.case_dir = volume, predictor, folder
        self.lost: str | None = None
        self._ledger = ledger
        self.reader = reader
        self._handles: dict[int, SegmentState] = {}

    @classmethod
    def resume(
        cls,
        path: Path | str,
        predictor: Predictor | None = None,
        volume: Volume | None = None,
        *,
        reader: str | None = None,
        read_only: bool = False,
    ) -> Self:
        """Go on with a case where it stopped, whatever stopped it.

        Args:
            path: The folder of the case.
            predictor: What answers from now on; nothing that was answered before is asked again.
            volume: The scan; None to read it from where it was.
            reader: Pseudonym of who works now; None for who started it.
            read_only: Only look: nothing is written, so the case may be open elsewhere or in a folder that cannot be
                written to. What is changed all the same stays in memory.

        Raises:
            ReadError: There is no case, it is damaged, or its volume is not where it was.
            GeometryError: Another volume than the one it was started with.
            WriteError: The folder cannot be written to, or the case is open elsewhere.
        """
        folder = Path(path)
        journal = None if read_only else Journal(folder, new=False)
        try:
            records, torn = read_records(folder) if journal is None else (journal.records, journal.torn)
            first = records[0] if records else {}
            if first.get("type") != "open" or first.get("version") != VERSION:
                raise ReadError(f"{folder} holds no case that this version can read; start a new one.")
            if volume is None:
                volume = find_volume(first["volume"], folder)
            else:
                check_volume(first["volume"], volume)
            ledger = Ledger(volume.shape, journal)
            ledger.state.options.update({n: decode_option(n, v) for n, v in first["options"].items()})
            ledger.replay(records, folder)
            session = cls.__new__(cls)
            session._attach(  # noqa: SLF001 - its own
                volume, predictor, ledger, folder, first["reader"] if reader is None else reader
            )
            session.lost = ledger.lost(torn=torn)
            ledger.note("resume", software=f"edgeflow-med {__version__}")
            ledger.pending.clear()
            records.clear()
        except BaseException:
            if journal is not None:
                journal.close()
            raise
        return session

    def close(self) -> None:
        """Let others open the case; the session can still be read, but no longer be changed."""
        if self._ledger.journal is not None:
            self._ledger.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def segments(self) -> tuple[SegmentState, ...]:
        """All segments, in the order in which they were added."""
        return tuple(self._handle(segment) for segment in self._ledger.state.ids)

    @property
    def reader(self) -> str:
        """Pseudonym of who works; settable, and in the journal with every action from then on."""
        return self._reader

    @reader.setter
    def reader(self, reader: str) -> None:
        self._reader = reader
        if self._ledger.journal is not None:
            self._ledger.journal.reader = reader

    @property
    def plane(self) -> Plane:
        """The plane that is meant where none is given; settable, undoable."""
        return Plane(str(self._ledger.state.options["plane"]))

    @plane.setter
    def plane(self, plane: Plane | str) -> None:
        self._set_option("plane", _plane(plane), "Change Plane")

    @property
    def axis(self) -> int:
        """The index axis (0 = k, 1 = j, 2 = i) that steps through the slices of :attr:`plane`."""
        return self.volume.axis(self.plane)

    @property
    def window(self) -> Window:
        """The model's window; settable to what :func:`edgeflow_med.windows.choose_window` takes, undoable."""
        window = self._ledger.state.options["window"]
        assert isinstance(window, Window)  # set in the constructor and by the setter only
        return window

    @window.setter
    def window(self, choice: Window | str | None) -> None:
        window = choice if isinstance(choice, Window) else choose_window(self.volume, choice)
        self._set_option("window", window, "Change Window")

    @property
    def policy(self) -> Overlap:
        """What happens where segments meet; settable, undoable."""
        return Overlap(str(self._ledger.state.options["policy"]))

    @policy.setter
    def policy(self, policy: Overlap | str) -> None:
        self._set_option("policy", _policy(policy), "Change Overlap Policy")

    @property
    def editable_region(self) -> NDArray[np.bool_] | None:
        """``(K, J, I)``, outside of which nothing changes; None for no limit. Settable, undoable."""
        return self._ledger.state.region

    @editable_region.setter
    def editable_region(self, region: NDArray[np.bool_] | None) -> None:
        if region is not None:
            self._check_grid(region)
        self._set_option("editable_region", packed_region(region), "Change Editable Region")

    @property
    def editable_range(self) -> tuple[float, float] | None:
        """Lowest and highest voxel value that may change (HU for CT); None for no limit. Settable, undoable."""
        limits = self._ledger.state.options.get("editable_range")
        return limits if isinstance(limits, tuple) else None

    @editable_range.setter
    def editable_range(self, limits: tuple[float, float] | None) -> None:
        if limits is not None:
            limits = (float(limits[0]), float(limits[1]))
            if not (np.isfinite(limits).all() and limits[0] <= limits[1]):
                raise UsageError(f"Editable range {limits[0]:g} to {limits[1]:g} is empty; give (LOW, HIGH).")
        self._set_option("editable_range", limits, "Change Editable Range")

    @property
    def slice_spacing(self) -> tuple[float, float]:
        """Millimetres between rows and between columns of a slice of :attr:`plane`."""
        return self._spacing(self.axis)

    def slice_image(self, index: int, plane: Plane | str | None = None) -> NDArray[np.float32]:
        """The windowed slice ``(H, W)`` that the model sees, in [0, 1]."""
        return self.window.apply(plane_of(self.volume.array, self._key(plane, index)))

    @property
    def history(self) -> tuple[str, ...]:
        """Names of the steps done, oldest first; undo takes back the last."""
        return tuple(node.name for node in self._ledger.history.done)

    @property
    def redo_names(self) -> tuple[str, ...]:
        """Names of the steps that redo would do, in order."""
        return tuple(node.name for node in self._ledger.history.redoable)

    def undo(self) -> Change | Literal[False]:
        """Take back the last step, with everything that it changed; False if there is none."""
        return self._ledger.undo() or False

    def redo(self) -> Change | Literal[False]:
        """Do again what was undone last; False if there is nothing."""
        return self._ledger.redo() or False

    def branches(self) -> list[Branch]:
        """What was undone and then left for something else; nothing is ever thrown away."""
        return self._ledger.history.branches()

    def switch_branch(self, number: int) -> Change | Literal[False]:
        """Go to the end of a branch; what is left becomes a branch itself.

        Raises:
            UsageError: There is no branch of this number.
        """
        if number not in {branch.number for branch in self.branches()}:
            raise UsageError(f"There is no branch {number}; give the number of one of session.branches().")
        return self._ledger.switch(number) or False

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Have every change told to ``callback`` once it is on disk; returns what ends it."""
        return self._ledger.subscribe(callback)

    def _set_option(self, name: str, value: object, title: str) -> None:
        if value != self._ledger.state.options.get(name):
            draft = self._draft()
            draft.set_option(name, value)
            self._ledger.commit(draft.step(title, "option"))

    def _draft(self) -> Draft:
        return Draft(self._ledger.state, self.volume.array)

    def _handle(self, segment: int) -> SegmentState:
        return self._handles.setdefault(segment, SegmentState(self._ledger.state, segment))

    def _segment(self, segment: SegmentState | int | None) -> SegmentState:
        """The segment that is meant."""
        known = self.segments
        if segment is None:
            if len(known) != 1:
                raise UsageError(f"There are {len(known)} segments; say which one with segment=.")
            return known[0]
        number = segment.id if isinstance(segment, SegmentState) else segment
        found = next((state for state in known if state.id == number), None)
        if found is None or (isinstance(segment, SegmentState) and found is not segment):
            raise UsageError(f"{segment!r} does not belong to this session; use one of session.segments.")
        return found

    def _key(self, plane: Plane | str | None, index: int | None = None) -> SliceKey:
        """Axis and number of a slice."""
        axis = self.axis if plane is None else self.volume.axis(_plane(plane))
        number = 0 if index is None else int(index)
        if not 0 <= number < self.volume.shape[axis]:
            raise UsageError(
                f"There is no slice {number} along {'kji'[axis]}; give 0 to {self.volume.shape[axis] - 1}."
            )
        return axis, number

    def _spacing(self, axis: int) -> tuple[float, float]:
        rows, columns = (mm for a, mm in enumerate(self.volume.spacing) if a != axis)
        return rows, columns

    def _plane_on(self, axis: int) -> Plane:
        return next(plane for plane in Plane if self.volume.axis(plane) == axis)

    def _check_grid(self, mask: NDArray[Any]) -> None:
        if mask.shape != self.volume.shape:
            raise GeometryError(
                f"The mask has shape {mask.shape}, the volume {self.volume.shape}; give one on its grid."
            )


def _plane(plane: Plane | str) -> Plane:
    try:
        return Plane(plane)
    except ValueError:
        raise UsageError(f"Unknown plane {plane!r}; give axial, coronal or sagittal.") from None


def _policy(policy: Overlap | str) -> Overlap:
    try:
        return Overlap(policy)
    except ValueError:
        raise UsageError(f"Unknown overlap policy {policy!r}; give {', '.join(Overlap)}.") from None
