"""Properties of stencils as differential operators, for any stencil and mesh size: a bijection, linear, exact on scaling."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pdenet_repro.analysis.stencils import differential as d

NUMBERS = st.floats(-1, 1, allow_subnormal=False)
STENCILS = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 2), st.just(3), st.just(3)), elements=NUMBERS
)
MESHES = st.floats(2.0**-6, 2.0)


@settings(max_examples=80)
@given(STENCILS, MESHES)
def test_coefficients_and_stencils_are_inverse_to_each_other(stencil, h):
    K = torch.from_numpy(stencil)
    beta = d.coefficients(K, h)
    assert beta.shape == K.shape
    assert torch.allclose(d.kernel(beta, h), K, rtol=1e-9, atol=1e-9)
    scale = torch.tensor(
        [[h ** (i + j) for j in range(3)] for i in range(3)], dtype=torch.float64
    )  # of d^i/dy^i d^j/dx^j
    # kernels grow like h^-4, and with them what float64 rounds
    assert torch.allclose(d.coefficients(d.kernel(K, h), h) * scale, K * scale, rtol=1e-7, atol=1e-7)


@settings(max_examples=40)
@given(STENCILS, MESHES, st.floats(-3, 3))
def test_they_are_linear(stencil, h, factor):
    K = torch.from_numpy(stencil)
    found, expected = (
        d.coefficients(factor * K + K.flip(-1), h),
        factor * d.coefficients(K, h) + d.coefficients(K.flip(-1), h),
    )
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-9 / h**4)
