"""The slice views: the left mouse button in them by VTK observers, and which slices they show. No Qt.

The observers come before Slicer's own and keep only left-button events that are theirs, so wheel, zoom, pan and the
other mouse modes go on as ever.
"""

import slicer
import vtk

PRIORITY = 100.0  # before Slicer's interactor style and displayable managers


class Views:
    """The slice views of a case, as :class:`edgeflow_med.gui.case.Views`.

    Args:
        bridge: Gives the geometry.
        views: Slice node and interactor of each view.

    Attributes:
        armed: Whether the left button is ours.
        adds: Whether strokes add; the colour in which they are drawn.
        on_gesture: Called when the button is released.
    """

    def __init__(self, bridge, views):
        from edgeflow_med.gui.drag import Drag

        self.armed = self.adds = True
        self.on_gesture = None
        self._bridge, self._drag, self._seen, self._observers = bridge, Drag(), (None, 0), []
        self._trail, self._line = vtk.vtkActor2D(), vtk.vtkLineSource()  # the stroke so far
        self._trail.SetMapper(vtk.vtkPolyDataMapper2D())
        self._trail.GetMapper().SetInputConnection(self._line.GetOutputPort())
        self._trail.GetProperty().SetLineWidth(2)
        self.watch(views)

    def watch(self, views):
        """Listen to the mouse in these views, and no longer in others."""
        self.close()
        self._nodes = [node for node, _ in views]
        reactions = {"LeftButtonPress": self._press, "LeftButtonDoubleClick": self._press}
        reactions |= {"MouseMove": self._move, "LeftButtonRelease": self._release}
        for node, interactor in views:
            for event, react in reactions.items():
                self._observe(node, interactor, f"{event}Event", react)

    def _observe(self, node, interactor, event, react):
        def observed(_caller, _event):
            if react(node, interactor):
                interactor.GetCommand(tag).SetAbortFlag(1)

        tag = interactor.AddObserver(event, observed, PRIORITY)
        self._observers.append((interactor, tag))

    def close(self):
        """Leave the views as they were."""
        while self._observers:
            interactor, tag = self._observers.pop()
            interactor.RemoveObserver(tag)

    def _press(self, _node, interactor):
        """Ours if armed, nothing but Ctrl is held, and the mouse is in its normal mode: no placing, no window/level."""
        mode = slicer.app.applicationLogic().GetInteractionNode().GetCurrentInteractionMode()
        held = interactor.GetShiftKey() or interactor.GetAltKey()
        normal = mode == slicer.vtkMRMLInteractionNode.ViewTransform and not slicer.mrmlScene.IsClosing()
        if ours := self.armed and normal and not held:
            self._drag.press(interactor.GetEventPosition())
        return ours

    def _move(self, _node, interactor):
        """Draw the stroke so far."""
        from edgeflow_med.gui.display import PROMPT

        if self._drag.move(interactor.GetEventPosition()):
            points = vtk.vtkPoints()
            for pixel in self._drag.path:
                points.InsertNextPoint(*pixel, 0)
            self._line.SetPoints(points)
            self._trail.GetProperty().SetColor(PROMPT[self.adds != bool(interactor.GetControlKey())])
            _renderer(interactor).AddViewProp(self._trail)
            interactor.GetRenderWindow().Render()
        return bool(self._drag.path)

    def _release(self, node, interactor):
        if path := self._drag.release():
            _renderer(interactor).RemoveViewProp(self._trail)
            drawn = self._bridge.frame.drawn(slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()), path)
            self.on_gesture(*drawn, bool(interactor.GetControlKey()))
        return bool(path)

    def here(self, axis):
        """Number of the slice in view; found anew only if a view or the volume has moved, as it is asked for often."""
        parent = self._bridge.volume_node.GetParentTransformNode()
        moved = axis, parent and parent.GetTransformToWorldMTime(), *(node.GetMTime() for node in self._nodes)
        if moved != self._seen[0]:
            views = (slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS()) for node in self._nodes)
            self._seen = moved, self._bridge.frame.shown(views, axis)
        return self._seen[1]

    def jump(self, index):
        """Show an index (k, j, i) in all views."""
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *self._bridge.frame.world(index))


def _renderer(interactor):
    return interactor.GetRenderWindow().GetRenderers().GetFirstRenderer()
