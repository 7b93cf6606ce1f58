"""Left mouse button in the slice views: clicks, strokes and their modifiers, by VTK observers.

The observers come before Slicer's own and keep only left-button events that are theirs, so wheel, zoom, pan and the
other mouse modes go on as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer
import vtk

PRIORITY = 100.0  # before Slicer's interactor style and displayable managers
DRAG_PIXELS = 4
NEAR_PIXELS = 6

Point = tuple[float, float, float]


class Gesture:
    """A click or stroke that has ended.

    Attributes:
        points: World positions (RAS, mm) that the mouse went through; one for a click.
        across, down: World directions of the view's two axes.
        inverted: Ctrl was held.
        near_mm: What counts as the same place at the view's zoom.
    """

    def __init__(self, node: slicer.vtkMRMLSliceNode, path: Sequence[tuple[int, int]], inverted: bool) -> None:
        matrix = node.GetXYToRAS()
        self.points: list[Point] = [matrix.MultiplyPoint((x, y, 0.0, 1.0))[:3] for x, y in path]
        self.across: Point = matrix.MultiplyPoint((1.0, 0.0, 0.0, 0.0))[:3]
        self.down: Point = matrix.MultiplyPoint((0.0, 1.0, 0.0, 0.0))[:3]
        self.inverted = inverted
        self.near_mm = NEAR_PIXELS * vtk.vtkMath.Norm(self.across)


class Interaction:
    """Watches slice views while it is armed.

    Args:
        views: Slice node and interactor of each view.
        on_gesture: Called when the button is released.

    Attributes:
        armed: Whether the left button is ours.
        adds: Whether strokes add; the colour in which they are drawn.
    """

    def __init__(
        self,
        views: Sequence[tuple[slicer.vtkMRMLSliceNode, vtk.vtkRenderWindowInteractor]],
        on_gesture: Callable[[Gesture], None],
    ) -> None:
        self.armed = self.adds = True
        self._on_gesture = on_gesture
        self._path: list[tuple[int, int]] = []
        self._trail: vtk.vtkActor2D | None = None
        self._observers: list[tuple[vtk.vtkRenderWindowInteractor, int]] = []
        events = {
            "LeftButtonPressEvent": self._press,
            "LeftButtonDoubleClickEvent": self._press,
            "MouseMoveEvent": self._move,
            "LeftButtonReleaseEvent": self._release,
        }
        for node, interactor in views:
            for event, react in events.items():
                self._observe(node, interactor, event, react)

    def _observe(self, node: Any, interactor: Any, event: str, react: Callable[[Any, Any], bool]) -> None:
        def observed(_caller: Any, _event: str) -> None:
            if react(node, interactor):
                interactor.GetCommand(tag).SetAbortFlag(1)

        tag = interactor.AddObserver(event, observed, PRIORITY)
        self._observers.append((interactor, tag))

    def close(self) -> None:
        """Leave the views as they were."""
        for interactor, tag in self._observers:
            interactor.RemoveObserver(tag)
        self._observers.clear()

    def _ours(self, interactor: Any) -> bool:
        """Armed, nothing but Ctrl held, and the mouse is in its normal mode (not placing, not window/level)."""
        mode = slicer.app.applicationLogic().GetInteractionNode().GetCurrentInteractionMode()
        normal = mode == slicer.vtkMRMLInteractionNode.ViewTransform
        held = interactor.GetShiftKey() or interactor.GetAltKey()
        return self.armed and normal and not held and not slicer.mrmlScene.IsClosing()

    def _press(self, _node: Any, interactor: Any) -> bool:
        if not self._ours(interactor):
            return False
        self._path = [interactor.GetEventPosition()]  # a double click arrives as a second press
        return True

    def _move(self, _node: Any, interactor: Any) -> bool:
        if not self._path:
            return False
        if interactor.GetEventPosition() != self._path[-1]:
            self._path.append(interactor.GetEventPosition())
            if self._is_stroke():
                self._draw_trail(interactor)
        return True

    def _release(self, node: Any, interactor: Any) -> bool:
        if not self._path:
            return False
        if self._trail is not None:
            self._renderer(interactor).RemoveViewProp(self._trail)
            self._trail = None
        path = self._path if self._is_stroke() else self._path[:1]
        self._path = []
        self._on_gesture(Gesture(node, path, bool(interactor.GetControlKey())))
        return True

    def _is_stroke(self) -> bool:
        x, y = self._path[0]
        return any(max(abs(a - x), abs(b - y)) >= DRAG_PIXELS for a, b in self._path)

    def _draw_trail(self, interactor: Any) -> None:
        """The stroke so far, in the view."""
        if self._trail is None:
            self._trail = vtk.vtkActor2D()
            self._trail.SetMapper(vtk.vtkPolyDataMapper2D())
            adds = self.adds != bool(interactor.GetControlKey())
            self._trail.GetProperty().SetColor((0.3, 1.0, 0.3) if adds else (1.0, 0.3, 0.3))
            self._trail.GetProperty().SetLineWidth(2)
            self._renderer(interactor).AddViewProp(self._trail)
        line = vtk.vtkLineSource()
        points = vtk.vtkPoints()
        for x, y in self._path:
            points.InsertNextPoint(x, y, 0)
        line.SetPoints(points)
        line.Update()
        self._trail.GetMapper().SetInputDataObject(line.GetOutput())
        interactor.GetRenderWindow().Render()

    @staticmethod
    def _renderer(interactor: Any) -> vtk.vtkRenderer:
        return interactor.GetRenderWindow().GetRenderers().GetFirstRenderer()
