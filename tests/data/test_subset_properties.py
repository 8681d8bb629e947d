"""Properties of the subsets, for any labels, seed and shares: nested, balanced, apart from what is held out."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pdenet_repro.config.schema import DataConfig
from pdenet_repro.data.subset import draw_subset

SHARES = st.integers(1, 20)


@settings(max_examples=60)
@given(
    per_class=st.integers(1, 4).map(lambda n: 20 * n), classes=st.integers(1, 4), seed=st.integers(0, 2**32 - 1),
    shares=st.tuples(SHARES, SHARES), held_out=st.sampled_from([0.0, 0.2, 0.5]), order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_subsets_of_one_seed_are_nested_and_balanced(per_class, classes, seed, shares, held_out, order):
    labels = np.repeat(np.arange(classes), per_class)
    order.shuffle(labels)
    pool = per_class - round(held_out * per_class)
    small, large = sorted(shares)
    assume(all(n * pool % 20 == 0 for n in shares))

    def subset(twentieths):
        config = DataConfig(name="shapes", fraction=twentieths / 20, validation=held_out)
        return draw_subset(labels, config, seed)

    one, other = subset(small), subset(large)
    assert set(one.train) <= set(other.train)
    assert np.array_equal(one.validation, other.validation)
    assert not set(other.train) & set(other.validation)
    assert np.bincount(labels[one.train], minlength=classes).tolist() == [small * pool // 20] * classes
    assert (np.diff(one.train) > 0).all()
    assert (one.digest == other.digest) == (small == large)
