"""Where the mouse goes while its button is down: a click, or a stroke."""

from __future__ import annotations

DRAG_PIXELS = 4  # a hand that trembles less than this has clicked

Pixel = tuple[int, int]


class Drag:
    """The mouse in one view; nothing while its button is up.

    Attributes:
        path: Pixels that it went through since the button went down.
    """

    def __init__(self) -> None:
        self.path: list[Pixel] = []

    def press(self, at: Pixel) -> None:
        """The button goes down; whatever was before is forgotten, as a double click has a press without a release."""
        self.path = [at]

    def move(self, at: Pixel) -> bool:
        """The mouse moves; tells whether a stroke has become longer."""
        if not self.path or at == self.path[-1]:
            return False
        self.path.append(at)
        return self.is_stroke

    def release(self) -> list[Pixel]:
        """The button goes up; returns where the mouse went, one pixel for a click, none if it was up."""
        path, self.path = self.path if self.is_stroke else self.path[:1], []
        return path

    @property
    def is_stroke(self) -> bool:
        """Whether the mouse has gone far enough."""
        return any(max(abs(x - self.path[0][0]), abs(y - self.path[0][1])) >= DRAG_PIXELS for x, y in self.path)
