"""Who wins, on slices of twelve pixels: every rule for every neighbour, policy and act."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeflow_med.session.rules import Act, Ground, Neighbour, Outcome, decide, excluded
from edgeflow_med.session.state import Fixed, Overlap

SIZE = (3, 4)
# One number each, in base 2 or 5: drawn and shrunk faster than an array.
pixels = st.integers(0, 2**12 - 1).map(lambda n: (n >> np.arange(12) & 1).astype(bool).reshape(SIZE))
IN, OUT = (Fixed.PROMPTED_IN, Fixed.PAINTED_IN), (Fixed.PROMPTED_OUT, Fixed.PAINTED_OUT)


def agreeing(mask: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """What is fixed, where the mask agrees with it, as it always does in a session."""
    wrong = (np.isin(fixed, IN) & ~mask) | (np.isin(fixed, OUT) & mask)
    return np.where(wrong, np.uint8(0), fixed)


codes = st.integers(0, 5**12 - 1).map(lambda n: (n // 5 ** np.arange(12) % 5).astype(np.uint8).reshape(SIZE))
maybe = st.one_of(st.none(), pixels)
neighbours = st.builds(
    lambda mask, fixed, locked, anchored: Neighbour(mask, agreeing(mask, fixed), locked, anchored),
    pixels,
    codes,
    st.booleans(),
    maybe,
)


@st.composite
def grounds(draw: st.DrawFn) -> Ground:
    """What may stand on a slice."""
    mask, policy = draw(pixels), draw(st.sampled_from(list(Overlap)))
    return Ground(
        mask,
        agreeing(mask, draw(codes)),
        policy,
        draw(st.sampled_from([False, False, True])),
        draw(maybe),
        draw(maybe),
        tuple(draw(st.lists(neighbours, max_size=3))),
    )


acts = st.one_of(
    st.none(), st.builds(lambda said, sign, paint: Act(said & sign, said & ~sign, paint), pixels, pixels, st.booleans())
)


def after(other: Neighbour, changed: tuple[np.ndarray, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray]:
    return (other.mask, other.fixed) if changed is None else changed


@given(grounds(), st.one_of(st.none(), pixels), acts)
def test_the_order_of_who_wins(ground: Ground, proposal: np.ndarray | None, act: Act | None) -> None:
    found = decide(ground, proposal, act)
    refused = found.locked_out | found.not_editable

    # first: a lock, and where nothing may be edited
    untouchable = np.full(SIZE, ground.locked)
    if ground.editable is not None:
        untouchable |= ~ground.editable
    np.testing.assert_array_equal(found.mask[untouchable], ground.mask[untouchable])
    np.testing.assert_array_equal(found.fixed[untouchable], ground.fixed[untouchable])
    for other, changed in zip(ground.others, found.others, strict=True):
        if other.locked:
            assert changed is None
            if ground.policy is not Overlap.ALLOW:
                assert not (found.mask & ~ground.mask & other.mask).any()
        elif changed is not None and ground.editable is not None:
            np.testing.assert_array_equal(changed[0][~ground.editable], other.mask[~ground.editable])

    # then: what is said now; then: what was said before
    if act is not None:
        heard = ~refused
        if ground.anchored is None:
            assert found.mask[act.inside & heard].all()
            assert not found.mask[act.outside & heard].any()
        assert np.isin(found.fixed[act.inside & heard], IN).all()
        assert np.isin(found.fixed[act.outside & heard], OUT).all()
    silent = np.ones(SIZE, bool) if act is None else ~(act.inside | act.outside) | refused
    np.testing.assert_array_equal(found.fixed[silent], ground.fixed[silent])
    earlier = silent & np.isin(ground.fixed, IN)
    assert found.mask[earlier].all()
    assert not found.mask[silent & np.isin(ground.fixed, OUT)].any()


@given(grounds(), st.one_of(st.none(), pixels), acts)
def test_neighbours_lose_what_was_claimed_and_under_overwrite_what_nobody_fixed(
    ground: Ground, proposal: np.ndarray | None, act: Act | None
) -> None:
    found = decide(ground, proposal, act)
    claimed = np.isin(found.fixed, IN)
    gained = found.mask & ~ground.mask
    for other, changed in zip(ground.others, found.others, strict=True):
        mask, fixed = after(other, changed)
        lost = other.mask & ~mask
        assert not (mask & ~other.mask).any()
        assert not (lost & ~gained).any()
        np.testing.assert_array_equal(fixed[~lost], other.fixed[~lost])
        assert (fixed[lost] == Fixed.FREE).all()
        if ground.policy is Overlap.ALLOW:
            assert not lost.any()
        else:
            assert not (gained & mask).any()
        if ground.policy is Overlap.KEEP_OTHERS:
            assert not (lost & ~claimed).any()
        elif ground.policy is Overlap.OVERWRITE:
            kept = np.isin(other.fixed, IN) | (False if other.anchored is None else other.anchored)
            assert not (lost & kept & ~claimed).any()


@given(grounds(), pixels)
def test_anchored_voxels_stay_whatever_is_proposed(ground: Ground, proposal: np.ndarray) -> None:
    found = decide(ground, proposal)
    if ground.anchored is not None:
        np.testing.assert_array_equal(found.mask[ground.anchored], ground.mask[ground.anchored])


@given(grounds(), pixels)
def test_where_nobody_has_a_say_the_proposal_stands(ground: Ground, proposal: np.ndarray) -> None:
    free = replace(
        ground, fixed=np.zeros(SIZE, np.uint8), locked=False, editable=None, anchored=None, policy=Overlap.ALLOW
    )
    np.testing.assert_array_equal(decide(free, proposal).mask, proposal)


@given(grounds(), acts)
def test_what_is_excluded_is_what_could_not_be_had(ground: Ground, act: Act | None) -> None:
    ground = replace(ground, anchored=None, editable=None, locked=False)
    found = excluded(ground, act)
    everything = decide(ground, np.ones(SIZE, bool), act)
    refused = ~everything.mask & ~np.isin(everything.fixed, OUT)
    np.testing.assert_array_equal(
        np.zeros(SIZE, bool) if found is None else found & ~np.isin(everything.fixed, OUT), refused
    )


def test_the_latest_act_replaces_earlier_ones() -> None:
    nothing, one = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    one[1, 1] = True
    ground = Ground(nothing, np.zeros(SIZE, np.uint8))

    def then(before: Outcome, act: Act) -> Outcome:
        return decide(replace(ground, mask=before.mask, fixed=before.fixed), np.zeros(SIZE, bool), act)

    painted = decide(ground, None, Act(one, nothing, painted=True))
    assert painted.mask[1, 1]
    clicked = then(painted, Act(nothing, one))
    assert not clicked.mask[1, 1]
    assert clicked.fixed[1, 1] == Fixed.PROMPTED_OUT
    again = then(clicked, Act(one, nothing))
    assert again.mask[1, 1]
    assert again.fixed[1, 1] == Fixed.PROMPTED_IN


def test_overwriting_stops_at_what_is_fixed_or_anchored_and_an_act_does_not() -> None:
    nothing, everything = np.zeros(SIZE, bool), np.ones(SIZE, bool)
    fixed, anchored = np.zeros(SIZE, np.uint8), nothing.copy()
    fixed[0], anchored[1] = Fixed.PAINTED_IN, True
    other = Neighbour(everything, fixed, anchored=anchored)
    ground = Ground(nothing, np.zeros(SIZE, np.uint8), Overlap.OVERWRITE, others=(other,))
    assert decide(ground, everything).mask.tolist() == [[False] * 4, [False] * 4, [True] * 4]
    (changed,) = decide(ground, None, Act(everything, nothing, painted=True)).others
    assert changed is not None
    assert not changed[0].any()
    assert not changed[1].any()  # and nothing is fixed there any more
