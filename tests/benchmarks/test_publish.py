"""What is written about results is what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.publish import ROOT, texts
from edgeflow_med.training.model_card import with_figures

MADE = texts()


@pytest.mark.parametrize("path", MADE, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_quote_the_results(path: Path) -> None:
    assert path.read_text("utf-8") == MADE[path], f"{path} is out of date; run python -m benchmarks.publish."


def test_figures_of_a_card_are_replaced_and_nothing_else() -> None:
    card = "# A model\n\n## Figures\n\nold\n\n## What it was never tested on\n\n- Cats.\n"
    assert with_figures(card, "new\n") == card.replace("old", "new")
