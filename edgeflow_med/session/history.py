"""Undo and redo as a tree: a new step after an undo starts a branch, and the old one stays."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeflow_med.session.changes import Step


@dataclass(eq=False)
class Node:
    """A state of the session, named after the step that led to it.

    Attributes:
        number: Its place in the order of making; 0 is the start.
        parent: The state before; None at the start.
        parts: What leads here from the parent, in order; several for a propagation.
        children: What was done next, oldest branch first.
        next: The branch that redo takes.
    """

    number: int
    parent: Node | None
    parts: list[Step] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    next: Node | None = None

    @property
    def name(self) -> str:
        """What a menu says after "Undo"."""
        return self.parts[0].name if self.parts else ""


@dataclass(frozen=True)
class Branch:
    """Steps that were undone and then left for others.

    Attributes:
        number: What :meth:`edgeflow_med.session.Session.switch_branch` takes.
        names: The steps that are not part of the present line, oldest first.
    """

    number: int
    names: tuple[str, ...]


class History:
    """The tree, and where the session stands in it."""

    def __init__(self) -> None:
        self.head = Node(0, None)
        self._nodes = [self.head]

    def add(self, step: Step) -> Node:
        """Do something new; what could have been redone becomes a branch."""
        node = Node(len(self._nodes), self.head, [step])
        self._nodes.append(node)
        self.head.children.append(node)
        self.head.next = node
        self.head = node
        return node

    def extend(self, step: Step) -> None:
        """Make a step part of the last one, so that they are undone together."""
        self.head.parts.append(step)

    @property
    def done(self) -> list[Node]:
        """From the first step to the last one done."""
        return _line(self.head)[1:]

    @property
    def redoable(self) -> list[Node]:
        """What redo would do, in order."""
        nodes, node = [], self.head.next
        while node is not None:
            nodes.append(node)
            node = node.next
        return nodes

    def back(self) -> list[Step]:
        """Go to the parent; the steps to apply, none at the start."""
        node = self.head
        if node.parent is None:
            return []
        self.head = node.parent
        return [part.inverted() for part in reversed(node.parts)]

    def forward(self) -> list[Step]:
        """Go to the state that was left last; the steps to apply, none if there is nothing to redo."""
        if self.head.next is None:
            return []
        self.head = self.head.next
        return list(self.head.parts)

    def branches(self) -> list[Branch]:
        """Ends of branches that neither undo nor redo reaches, oldest first."""
        present = {id(node) for node in [self._nodes[0], *self.done, *self.redoable]}
        found = []
        for node in self._nodes:
            if not node.children and id(node) not in present:
                names = tuple(step.name for step in _line(node) if id(step) not in present)
                found.append(Branch(node.number, names))
        return found

    def switch(self, number: int) -> list[Step]:
        """Go to any state by its number; the steps to apply."""
        target = _line(self._nodes[number])
        ancestors = {id(node) for node in target}
        steps: list[Step] = []
        while id(self.head) not in ancestors:
            steps += self.back()
        for node in target[target.index(self.head) + 1 :]:
            self.head.next = node
            steps += self.forward()
        return steps


def _line(node: Node | None) -> list[Node]:
    """From the start to a node."""
    line = []
    while node is not None:
        line.append(node)
        node = node.parent
    return line[::-1]
