"""What one evaluation is asked to do; stored with its results."""

from __future__ import annotations

from dataclasses import dataclass

from edgeflow_med.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """Settings of :func:`edgeflow_med.evaluation.evaluate`.

    Attributes:
        robots: Names of robot users; the first one also corrects in the propagation protocol.
        max_interactions: After so many prompts on a slice a robot gives up.
        targets_per_set: How many targets on slices to draw from each data set.
        objects_per_set: How many whole objects to draw from each data set for propagation; 0 for none.
        max_start_interactions: Prompts on an object's first slice before it is propagated.
        max_object_interactions: Prompts on all slices of an object together.
        seed: Of the sample and of the robots.
    """

    robots: tuple[str, ...] = ("clicks", "noisy", "scribbles")
    max_interactions: int = 20
    targets_per_set: int = 40
    objects_per_set: int = 5
    max_start_interactions: int = 3
    max_object_interactions: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.robots or len(set(self.robots)) != len(self.robots):
            raise UsageError(f"Robot users {self.robots} cannot be used; give at least one, each once.")
        least = {"max_interactions": 1, "targets_per_set": 0, "objects_per_set": 0, "max_start_interactions": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UsageError(f"{name} is {getattr(self, name)}; give at least {low}.")
        if self.max_object_interactions < self.max_start_interactions:
            raise UsageError(
                f"max_object_interactions is {self.max_object_interactions}, less than max_start_interactions "
                f"({self.max_start_interactions}); give at least as many."
            )
