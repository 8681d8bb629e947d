"""Properties of changes of bounded size, for any images, gradients and budgets: the budget holds, and nearest is nearest."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pdenet_repro.analysis.robustness.attacks import ATTACK_NORMS, perturbed

SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
CHANGES = arrays.arrays(np.float32, SHAPES, elements=st.floats(-300, 300, width=32))
BUDGETS = st.floats(0, 512, width=32)


@pytest.mark.parametrize("norm", ATTACK_NORMS.values(), ids=list(ATTACK_NORMS))
@settings(max_examples=60)
@given(change=CHANGES, budget=BUDGETS)
def test_a_projected_change_has_at_most_the_budget_and_is_left_alone_within_it(norm, change, budget):
    change = torch.from_numpy(change).double()
    found = norm.project(change, budget)
    assert (norm.size(found) <= budget).all()
    small = norm.size(change) < 0.999 * budget
    assert torch.equal(found[small], change[small])
    assert torch.allclose(norm.project(found, budget), found, rtol=1e-12)


@pytest.mark.parametrize("norm", ATTACK_NORMS.values(), ids=list(ATTACK_NORMS))
@settings(max_examples=60)
@given(change=CHANGES, budget=BUDGETS, seed=st.integers(0, 2**32 - 1))
def test_changed_images_keep_the_budget_and_the_range_of_values(norm, change, budget, seed):
    change = torch.from_numpy(change)
    images = torch.from_numpy(np.random.RandomState(seed).randint(0, 256, change.shape)).float()
    found = perturbed(images, change, norm, budget)
    assert found.min() >= 0
    assert found.max() <= 255
    assert (norm.size(found.double() - images.double()) <= budget).all()
    drawn = norm.draw(images.double(), budget, np.random.RandomState(seed))
    assert (norm.size(drawn) <= budget * (1 + 1e-12)).all()


@pytest.mark.parametrize("norm", ATTACK_NORMS.values(), ids=list(ATTACK_NORMS))
@settings(max_examples=40)
@given(gradient=CHANGES)
def test_the_steepest_change_has_size_one_or_none(norm, gradient):
    gradient = torch.from_numpy(gradient).double()
    sizes = norm.size(norm.steepest(gradient))
    moves = gradient.flatten(1).abs().amax(1) > 0
    assert torch.allclose(sizes, moves.double(), atol=1e-9)
