"""How many clicks an outline takes: robot users on labelled images, for any predictor.

:func:`evaluate` runs the protocols and returns a :class:`Report`; :func:`write_markdown` and :func:`write_plot` lay one
or several reports side by side. What the figures mean and do not mean: ``docs/explanation/validity.md``.
"""

from edgeflow_med.evaluation.plots import write_plot
from edgeflow_med.evaluation.report import Report, read_report, write_json
from edgeflow_med.evaluation.run import evaluate
from edgeflow_med.evaluation.settings import Settings
from edgeflow_med.evaluation.tables import markdown, write_markdown

__all__ = ["Report", "Settings", "evaluate", "markdown", "read_report", "write_json", "write_markdown", "write_plot"]
