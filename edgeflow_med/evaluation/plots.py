"""Reports as pictures: IoU against interactions, one panel per data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeflow_med.errors import WriteError
from edgeflow_med.evaluation.report import Report
from edgeflow_med.evaluation.summary import iou_curve
from edgeflow_med.io.atomic import write_verified

COLUMNS = 4


def write_plot(reports: Sequence[Report], path: Path | str) -> None:
    """Draw mean IoU against the number of interactions, a line per predictor and robot, and write a PNG.

    Raises:
        WriteError: It could not be written.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(info.name for report in reports for info in report.sets if info.targets))
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(3.6 * min(COLUMNS, len(names)), 3.0 * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, min(COLUMNS, len(names)), sharex=True, sharey=True, squeeze=False).ravel()
    styles = ("-", "--", ":")
    for panel, name in zip(panels, names, strict=False):
        for number, report in enumerate(reports):
            for robot, style in zip(report.settings.robots, styles, strict=False):
                records = report.slice_records(robot, name)
                if records:
                    curve = iou_curve(records, report.settings.max_interactions)
                    label = f"{report.predictor['name']}, {robot}"
                    panel.plot(range(1, len(curve) + 1), curve, style, color=f"C{number}", label=label, linewidth=1.5)
        panel.axhline(0.85, color="0.8", linewidth=0.8, zorder=0)
        panel.set(title=name, ylim=(0, 1))
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    figure.supxlabel("interactions")
    figure.supylabel("mean IoU")
    handles = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False)

    def verify(temporary: Path) -> None:
        if temporary.read_bytes()[:8] != b"\x89PNG\r\n\x1a\n":
            raise WriteError(f"Plot {path} did not read back as a PNG.")

    write_verified(Path(path), lambda temporary: figure.savefig(temporary, dpi=110, format="png"), verify)
