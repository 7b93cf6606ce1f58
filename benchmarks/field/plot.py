"""The plot of the field report: IoU against interactions, and against the time of an answer."""

from __future__ import annotations

from pathlib import Path

from benchmarks.field.collect import Field, Measured, curve, robot_figures
from benchmarks.field.plan import ROBOTS
from edgeflow_med.errors import WriteError
from edgeflow_med.io.atomic import write_verified

OURS = ("black", "crimson", "darkgreen")


def draw(field: Field, path: Path) -> None:
    """Write the plot as a PNG.

    Raises:
        WriteError: It could not be written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 5.2), layout="constrained")
    *panels, cost = figure.subplots(1, 3)
    palette = colormaps["tab20"]
    others = [measured for measured in field.slices if measured.entry.peer is not None]
    ours = [measured for measured in field.slices if measured.entry.peer is None]
    colours = {m.name: palette(n % 20) for n, m in enumerate(others)} | {
        m.name: OURS[n % 3] for n, m in enumerate(ours)
    }
    for panel, robot in zip(panels, ROBOTS, strict=True):
        for measured in field.slices:
            values, start = _curve(measured, robot)
            if not values:
                continue
            style = "-" if measured.entry.peer is None or measured.entry.peer.weights_licence else "--"
            width = 3 if measured.entry.peer is None else 1.3
            where = range(start, start + len(values))
            panel.plot(
                where,
                values,
                style,
                color=colours[measured.name],
                linewidth=width,
                marker=".",
                label=measured.entry.title,
            )
        panel.axhline(0.85, color="0.85", linewidth=0.8, zorder=0)
        panel.set(title=robot, xlabel="interactions", ylabel="mean IoU over the data sets", ylim=(0, 1))
    for measured in field.slices:
        seconds = measured.answer_cpu_seconds["later"] or measured.answer_cpu_seconds["first"]
        figures = [robot_figures(measured, robot) for robot in ROBOTS]
        best = max(found["mean"]["iou@3"] for found in figures if found)
        if seconds:
            cost.plot(
                seconds, best, "o", color=colours[measured.name], markersize=11 if measured.entry.peer is None else 7
            )
    cost.set(
        title="cost",
        xlabel="processor seconds of a later answer",
        ylabel="mean IoU after three interactions",
        ylim=(0, 1),
    )
    cost.set_xscale("log")
    for panel in (*panels, cost):
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)

    def verify(temporary: Path) -> None:
        if temporary.read_bytes()[:8] != b"\x89PNG\r\n\x1a\n":
            raise WriteError(f"Plot {path} did not read back as a PNG.")

    write_verified(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"), verify)


def _curve(measured: Measured, robot: str) -> tuple[list[float], int]:
    """Values, and the number of interactions of the first; a box has no answer after one."""
    report = measured.entry.report
    if report.settings.robots == ("box",):
        return curve(report, "box")[1:], 2
    return curve(report, robot), 1
