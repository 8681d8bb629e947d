"""Stencils and differential operators, against operators computed by hand."""

import math

import pytest
import torch

from pdenet_repro.analysis.operator_norm import euler_bound, leapfrog_bound, operator_norm
from pdenet_repro.analysis.stencils import differential as d
from pdenet_repro.networks.layers import conv, conv_transpose

H = (1.0, 0.1)


# Of the 3x3 array of coefficients, entry (i, j) belongs to d^i/dy^i d^j/dx^j.
TERMS = {
    "1": (0, 0), "x": (0, 1), "y": (1, 0), "xx": (0, 2), "yy": (2, 0), "xy": (1, 1),
    "xxy": (1, 2), "xyy": (2, 1), "xxyy": (2, 2),
}  # fmt: skip


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("h", H)
def test_one_dimensional_operators_by_hand(h):
    for theta, beta in (
        (row(1, -2, 1) / h**2, (0, 0, 1)),  # second derivative
        (row(-1, 0, 1) / (2 * h), (0, 1, 0)),  # central derivative
        (row(1, 2, 1) / 4, (1, 0, 0)),  # the paper's average
        (row(1, 1, 1) / 3, (1, 0, h**2 / 12)),  # the other average: 1/3 = 1/4 + 1/12
        (row(0, 1, 0), (1, 0, -(h**2) / 4)),  # the identity
        (row(-1, 1, 0) / h, (0, 1, -h / 2)),  # backward difference: u' - h/2 u''
        (row(0, 0, 1), (1, h, h**2 / 4)),  # shift: u(x + h); the average has h^2/4 u'' of its h^2/2
    ):
        assert torch.allclose(theta @ d.inverse_basis(h), row(*beta), atol=1e-12)
        assert torch.allclose(row(*beta) @ d.basis(h), theta, rtol=1e-12, atol=1e-12)


def test_the_papers_matrix():
    """[1/4 -1/(2h) ; 1/2 0 ; 1/4 1/(2h)] and the second difference, as columns; its inverse in closed form."""
    h = 0.25
    expected = torch.tensor([[0.25, -2, 16], [0.5, 0, -32], [0.25, 2, 16]], dtype=torch.float64)
    assert torch.equal(d.basis(h).T, expected)
    assert torch.allclose(d.basis(h) @ d.inverse_basis(h), torch.eye(3, dtype=torch.float64), atol=1e-14)


@pytest.mark.parametrize("h", H)
def test_two_dimensional_operators_by_hand(h):
    average = torch.outer(row(1, 2, 1), row(1, 2, 1)) / 16
    five_point = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64) / h**2
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64) / (8 * h)
    for K, terms in (
        (average, {"1": 1}),
        (sobel, {"x": 1}),
        (sobel.T, {"y": 1}),
        (five_point, {"xx": 1, "yy": 1, "xxyy": -(h**2) / 2}),
        (torch.tensor([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]], dtype=torch.float64) / (4 * h**2), {"xy": 1}),
        (torch.outer(row(1, -2, 1), row(1, -2, 1)) / h**4, {"xxyy": 1}),
    ):
        expected = torch.zeros(3, 3, dtype=torch.float64)
        for name, value in terms.items():
            expected[TERMS[name]] = value
        assert torch.allclose(d.coefficients(K, h), expected, atol=1e-10)
        assert torch.allclose(d.kernel(expected, h), K, rtol=1e-12, atol=1e-12)


def norm_of_terms(K, h):
    """Squared norms of the kernels of a kernel's nine terms, (3, 3)."""
    beta = d.coefficients(K, h)
    terms = torch.zeros(3, 3, 3, 3, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            terms[i, j, i, j] = beta[i, j]
    return d.kernel(terms, h).square().sum((2, 3))


@pytest.mark.parametrize("h", H)
def test_two_thirds_of_the_squared_norms_of_the_laplacian_s_terms_are_of_order_4(h):
    """``xx + yy - h^2/2 xxyy`` has the squared norms 9/4, 9/4 and 9 over ``h^4``; their sum is not the Laplacian's 20."""
    laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64) / h**2
    squares = h**4 * norm_of_terms(laplacian, h)
    assert {name: squares[at].item() for name, at in TERMS.items() if squares[at] > 1e-9} == pytest.approx(
        {"xx": 9 / 4, "yy": 9 / 4, "xxyy": 9}, rel=1e-12
    )
    assert (squares[2, 2] / squares.sum()).item() == pytest.approx(2 / 3, rel=1e-12)
    assert h**4 * laplacian.square().sum().item() == pytest.approx(20, rel=1e-12)


def test_the_odd_share_needs_no_basis():
    """Odd and even kernels are orthogonal, 4 of the 9 dimensions are odd, and terms of odd order are odd."""
    K = torch.randn(50, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    odd = (K - K.flip(1, 2)) / 2
    assert d.symbol_shares(odd)["odd"] == pytest.approx(1, abs=1e-12)
    assert d.symbol_shares(K - odd)["odd"] == pytest.approx(0, abs=1e-12)
    assert d.symbol_shares(K)["odd"] == pytest.approx((odd.square().sum() / K.square().sum()).item(), rel=1e-12)
    assert torch.linalg.matrix_rank(odd.flatten(1)) / 9 == d.ODD_OF_NOISE
    terms = d.kernel(torch.eye(9, dtype=torch.float64).reshape(9, 3, 3), 1.0)
    assert [d.symbol_shares(terms[3 * i + j])["odd"] for i, j in TERMS.values()] == pytest.approx(
        [(i + j) % 2 for i, j in TERMS.values()], abs=1e-12
    )


@pytest.mark.parametrize(("i", "j"), TERMS.values(), ids=TERMS)
def test_on_a_mesh_of_half_the_size_a_term_of_order_n_allows_steps_smaller_by_4_to_the_n(i, j):
    """``2 / |K|^2`` of forward Euler with K the same operator; those of leapfrog, ``2 / |K|``, are smaller by 2^n."""
    beta = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    beta[0, 0, i, j] = 0.7
    K = d.kernel(beta, 1.0)
    coarse, fine = (operator_norm(each, 8)[0] for each in (K, d.rescaled(K, 0.5)))
    assert euler_bound(coarse) / euler_bound(fine) == pytest.approx(4 ** (i + j), rel=1e-6)
    assert leapfrog_bound(coarse) / leapfrog_bound(fine) == pytest.approx(2 ** (i + j), rel=1e-6)


@pytest.mark.parametrize("h", H)
def test_the_pair_is_exact(h):
    K = torch.randn(5, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(d.kernel(d.coefficients(K, h), h), K, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", TERMS)
def test_axes_and_signs_are_those_of_conv(name):
    """A term applied by ``conv`` to its own monomial ``y^i/i! x^j/j!`` is 1 everywhere; to the mirrored one it is not."""
    h, (i, j) = 0.5, TERMS[name]
    beta = torch.zeros(3, 3, dtype=torch.float64)
    beta[i, j] = 1
    at = h * torch.arange(-3, 4, dtype=torch.float64)
    y, x = torch.meshgrid(at, at, indexing="ij")  # y grows with the row, x with the column
    monomial = y**i / math.factorial(i) * x**j / math.factorial(j)
    found = conv(monomial[None, None], d.kernel(beta, h)[None, None])[0, 0, 1:-1, 1:-1]
    assert torch.allclose(found, torch.ones_like(found), atol=1e-12)
    if i != j:
        mirrored = conv(monomial.T[None, None], d.kernel(beta, h)[None, None])[0, 0, 1:-1, 1:-1]
        assert not torch.allclose(mirrored, torch.ones_like(mirrored), atol=0.1)


@pytest.mark.parametrize("transposed", [False, True])
def test_rescaled_stencils_tend_to_the_same_operator_and_so_do_their_adjoints(transposed):
    """On a smooth function the error falls by 4 when the mesh is halved; the adjoint has odd derivatives negated."""
    theta = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    beta, a, b = d.coefficients(theta, 1.0), 0.3, 0.2  # wavelengths of 21 and 31 meshes

    def error(factor):
        at = factor * torch.arange(-2, 3, dtype=torch.float64)
        y, x = torch.meshgrid(at, at, indexing="ij")
        wave = torch.exp(1j * (a * x + b * y + 0.4))
        K = d.rescaled(theta, factor)[None, None]
        parts = [(conv_transpose if transposed else conv)(part[None, None], K) for part in (wave.real, wave.imag)]
        found = torch.complex(*parts)[0, 0, 2, 2]
        sign = -1 if transposed else 1
        exact = sum(beta[i, j] * (sign * 1j * b) ** i * (sign * 1j * a) ** j for i in range(3) for j in range(3))
        return abs(found - exact * wave[2, 2]).item()

    assert error(1.0) / error(0.5) == pytest.approx(4, rel=0.05)
    assert error(0.5) / error(0.25) == pytest.approx(4, rel=0.02)


def test_rescaling_by_hand_and_back():
    h2 = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)
    expected = h2 / 4 + (1 / 8 - 1 / 32) * torch.outer(row(1, -2, 1), row(1, -2, 1))  # xxyy: -1/2 / 16, not -1/2 / 4
    assert torch.allclose(d.rescaled(h2, 2.0), expected, atol=1e-14)
    K = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    assert d.rescaled(K, 2.0).dtype == torch.float32
    assert torch.allclose(d.rescaled(d.rescaled(K, 2.0), 0.5), K, atol=1e-5)


def test_symbols_of_known_operators():
    laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)
    identity = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.float64)
    derivative = torch.tensor([[0.0, 0, 0], [-1, 0, 1], [0, 0, 0]], dtype=torch.float64)
    shares = {name: d.symbol_shares(K) for name, K in (("L", laplacian), ("1", identity), ("dx", derivative))}
    assert shares["1"] == pytest.approx({"low": 1, "middle": 1, "high": 1, "odd": 0})
    assert shares["L"]["odd"] == 0
    assert shares["dx"]["odd"] == 1
    assert shares["L"]["low"] < 0.02 < shares["L"]["middle"] < 0.3 < 1 < shares["L"]["high"]
    average = torch.outer(row(1, 2, 1), row(1, 2, 1)) / 16
    assert d.symbol_shares(average)["low"] > 4 > 1 > d.symbol_shares(average)["high"]


def test_the_symbol_is_the_factor_of_a_wave():
    """Away from the edges conv multiplies ``exp(i (xi_y y + xi_x x))`` by it: the bands' mean is Parseval's sum of squares."""
    K = torch.randn(1, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = d.symbol_shares(K)
    total = sum(found[name] * (high**2 - low**2) for name, (low, high) in d.BANDS.items())
    assert total == pytest.approx(1, rel=1e-12)  # the bands' areas weigh them to the mean


def test_symbols_of_independent_entries():
    """Expected squares are those of the nine kernels with a single entry 1: for independent entries of mean 0 nothing else."""
    K = torch.eye(9, dtype=torch.float64).reshape(9, 3, 3)
    assert d.symbol_shares(K) == pytest.approx({"low": 1, "middle": 1, "high": 1, "odd": d.ODD_OF_NOISE}, rel=1e-12)
