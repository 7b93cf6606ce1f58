"""Who wins where several have a say about a voxel: pure functions on one slice.

In this order: a lock or the editable region; the reader's latest explicit act (click, stroke, paint); earlier acts; the
network. With a policy that lets no two segments share a voxel, an explicit act takes the voxel from an unlocked
neighbour, and the network only does so under :attr:`Overlap.OVERWRITE` and where nobody fixed it by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.session.state import Fixed, Overlap

Pixels = NDArray[np.bool_]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Neighbour:
    """Another segment on the slice.

    Attributes:
        mask: ``(H, W)``.
        fixed: ``(H, W)`` of :class:`Fixed`.
        locked: Nothing may change it.
        anchored: ``(H, W)``, what propagation may not change; None if it may change all.
    """

    mask: Pixels
    fixed: Codes
    locked: bool = False
    anchored: Pixels | None = None


@dataclass(frozen=True, eq=False)
class Ground:
    """What stands on a slice before a change of one segment.

    Attributes:
        mask: ``(H, W)``.
        fixed: ``(H, W)`` of :class:`Fixed`.
        policy: What happens where segments meet.
        locked: The segment itself is locked.
        editable: ``(H, W)``, where anything may change at all; None for everywhere.
        anchored: ``(H, W)``, what propagation may not change; None if it may change all.
        others: All other segments.
    """

    mask: Pixels
    fixed: Codes
    policy: Overlap = Overlap.KEEP_OTHERS
    locked: bool = False
    editable: Pixels | None = None
    anchored: Pixels | None = None
    others: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, eq=False)
class Act:
    """What the reader says explicitly.

    Attributes:
        inside: ``(H, W)``, these voxels belong to the segment.
        outside: ``(H, W)``, these do not.
        painted: By paint or eraser, not by a prompt.
    """

    inside: Pixels
    outside: Pixels
    painted: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """What stands on the slice afterwards.

    Attributes:
        mask: ``(H, W)``.
        fixed: ``(H, W)`` of :class:`Fixed`.
        others: Mask and fixed of each neighbour, in order; None where it stays as it is.
        locked_out: ``(H, W)``, where the act came to nothing because of a lock.
        not_editable: ``(H, W)``, where it came to nothing because nothing may change there.
    """

    mask: Pixels
    fixed: Codes
    others: tuple[tuple[Pixels, Codes] | None, ...]
    locked_out: Pixels
    not_editable: Pixels


def decide(ground: Ground, proposal: Pixels | None = None, act: Act | None = None) -> Outcome:
    """Weigh a proposal and an act against what stands.

    Args:
        ground: What stands.
        proposal: ``(H, W)``, the network's or a tool's answer; None to propose what stands.
        act: What the reader just said; None for nothing.
    """
    fixed, locked_out, not_editable = _fix(ground, act)
    mask = (ground.mask if proposal is None else proposal).copy()
    claimed = _inside(fixed)
    mask |= claimed
    mask &= ~_outside(fixed)
    for frozen in _frozen(ground):
        np.copyto(mask, ground.mask, where=frozen)
    if ground.policy is Overlap.ALLOW:
        return Outcome(mask, fixed, (None,) * len(ground.others), locked_out, not_editable)
    for other in ground.others:
        mask &= ~(_blocked(ground.policy, other, claimed) & ~ground.mask)
    gained = mask & ~ground.mask
    others = tuple(None if other.locked else _lose(other, gained) for other in ground.others)
    return Outcome(mask, fixed, others, locked_out, not_editable)


def excluded(ground: Ground, act: Act | None = None) -> Pixels | None:
    """``(H, W)``, voxels that an answer could not have: evidence against for the network; None if there are none."""
    if ground.policy is Overlap.ALLOW or not ground.others:
        return None
    claimed = _inside(_fix(ground, act)[0])
    found = np.zeros_like(ground.mask)
    for other in ground.others:
        found |= _blocked(ground.policy, other, claimed)
    found &= ~ground.mask
    return found if found.any() else None


def _fix(ground: Ground, act: Act | None) -> tuple[Codes, Pixels, Pixels]:
    """What is fixed after an act, and where a lock and the editable region refused it."""
    nowhere = np.zeros_like(ground.mask)
    if act is None:
        return ground.fixed, nowhere, nowhere
    said = act.inside | act.outside
    locked_out = said.copy() if ground.locked else nowhere.copy()
    if ground.policy is not Overlap.ALLOW:
        for other in ground.others:
            if other.locked:
                locked_out |= act.inside & other.mask & ~ground.mask
    not_editable = nowhere if ground.editable is None else said & ~ground.editable
    heard = ~(locked_out | not_editable)
    fixed = ground.fixed.copy()
    fixed[act.inside & heard] = Fixed.PAINTED_IN if act.painted else Fixed.PROMPTED_IN
    fixed[act.outside & heard] = Fixed.PAINTED_OUT if act.painted else Fixed.PROMPTED_OUT
    return fixed, locked_out, not_editable


def _frozen(ground: Ground) -> list[Pixels]:
    """Where nothing may change in the segment's mask."""
    frozen = [np.ones_like(ground.mask)] if ground.locked else []
    if ground.editable is not None:
        frozen.append(~ground.editable)
    if ground.anchored is not None:
        frozen.append(ground.anchored)
    return frozen


def _blocked(policy: Overlap, other: Neighbour, claimed: Pixels) -> Pixels:
    """Which voxels of a neighbour cannot be taken from it."""
    if other.locked:
        return other.mask
    if policy is Overlap.KEEP_OTHERS:
        return other.mask & ~claimed
    kept = _inside(other.fixed)
    if other.anchored is not None:
        kept = kept | other.anchored
    return other.mask & kept & ~claimed


def _lose(other: Neighbour, gained: Pixels) -> tuple[Pixels, Codes] | None:
    lost = gained & other.mask
    if not lost.any():
        return None
    return other.mask & ~lost, np.where(lost, np.uint8(Fixed.FREE), other.fixed)


def _inside(fixed: Codes) -> Pixels:
    return (fixed == Fixed.PROMPTED_IN) | (fixed == Fixed.PAINTED_IN)


def _outside(fixed: Codes) -> Pixels:
    return (fixed == Fixed.PROMPTED_OUT) | (fixed == Fixed.PAINTED_OUT)
