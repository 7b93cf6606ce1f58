"""Draw the pictures of ``docs/how-to/lesion.md`` from the sample CT: one click, its propagation, the order of review.

Run it from the root of the repository: ``python scripts/lesion_pictures.py``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from edgeflow_med import Session, load_predictor, read_volume
from edgeflow_med.cli.panels import caption, picture_rows
from edgeflow_med.picture import draw_picture
from edgeflow_med.report import describe
from edgeflow_med.session import SliceStatus

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "images"
WIDTH = 1200
COLOURS = {SliceStatus.ANNOTATED: "#009e73", SliceStatus.ACCEPTED: "#56b4e9", SliceStatus.PROPOSED: "#b8bec9"}

LABELS = {
    SliceStatus.ANNOTATED: "clicked on by the reader",
    SliceStatus.ACCEPTED: "accepted by the reader",
    SliceStatus.PROPOSED: "proposed",
}


def main() -> None:
    """Draw all of them."""
    volume = read_volume(ROOT / "sample_data" / "sts_003_ct" / "series")
    session = Session(volume, load_predictor(device="cpu"), journal=False)
    lesion = session.add_segment("Lesion")
    session.click((23, 79, 76))
    _draw(session, "lesion-click.jpg")
    for _ in session.propagate():
        pass
    for _, index in session.review_order()[-3:]:
        session.accept(index)
    _draw(session, "lesion-propagated.jpg")
    _chart(session, "lesion-review.png")
    place = session.next_to_review()
    print(f"{lesion.label}: {session.unreviewed()} slices unreviewed, look next at {place}")


def _draw(session: Session, name: str) -> None:
    found = describe(session)
    picture = draw_picture(picture_rows(session, found), caption(session, found), found["notice"])
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.save(FOLDER / name, quality=88, subsampling=0, optimize=True)


def _chart(session: Session, name: str) -> None:
    """What is expected of every slice, coloured by who stands behind it, and the one to look at next."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rcParams["font.size"] = 11
    figure = Figure((WIDTH / 150, 2.6), layout="constrained")
    axes = figure.add_subplot()
    known = dict(session.segments[0].on_axis(session.axis))
    for status, colour in COLOURS.items():
        chosen = {index: value.quality or 0.0 for index, value in known.items() if value.status is status}
        if status is SliceStatus.ANNOTATED:
            chosen = dict.fromkeys(chosen, 1.0)  # of a click the model tells the IoU instead
        axes.bar(list(chosen), list(chosen.values()), color=colour, label=LABELS[status])
    place = session.next_to_review()
    if place is not None:
        quality = known[place[2]].quality or 0.0
        axes.annotate("look next", (place[2], quality), (0, 14), textcoords="offset points", ha="center")
        axes.bar([place[2]], [quality], color="#d55e00")
    axes.set(xlabel="slice k", ylabel="expected Dice", ylim=(0, 1.15))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(FOLDER / name, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
