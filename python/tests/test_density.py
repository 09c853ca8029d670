"""Densities, maps and moments against SciPy and NumPy."""

import numpy as np
import pytest
import scipy.stats as st

import pushforward as pf

rng = np.random.default_rng(0)
REAL = rng.normal(size=(50, 2)) * [1.0, 3.0] + [0.5, -1.0]
POSITIVE = rng.gamma(2.0, size=(50, 2))
UNIT = rng.uniform(0.01, 0.99, size=(50, 2))

LOC, SCALE = np.array([0.3, -0.7]), np.array([0.5, 2.0])
FAMILIES = [
    (pf.Normal(loc=LOC, scale=SCALE), st.norm(LOC, SCALE), REAL),
    (pf.MultivariateNormalDiag(loc=LOC, scale_diag=SCALE), st.norm(LOC, SCALE), REAL),
    (pf.Logistic(loc=LOC, scale=SCALE), st.logistic(LOC, SCALE), REAL),
    (pf.Laplace(loc=LOC, scale=SCALE), st.laplace(LOC, SCALE), REAL),
    (pf.Cauchy(loc=LOC, scale=SCALE), st.cauchy(LOC, SCALE), REAL),
    (pf.StudentT(df=[3.0, 7.0], loc=LOC, scale=SCALE), st.t([3.0, 7.0], LOC, SCALE), REAL),
    (pf.Uniform(low=[-9.0, -9.0], high=[9.0, 12.0]), st.uniform([-9.0, -9.0], [18.0, 21.0]), UNIT),
    (pf.Gamma(concentration=[2.0, 0.5], rate=[1.5, 3.0]), st.gamma([2.0, 0.5], scale=[1 / 1.5, 1 / 3.0]), POSITIVE),
    (pf.Beta(concentration1=[2.0, 0.5], concentration0=[1.5, 3.0]), st.beta([2.0, 0.5], [1.5, 3.0]), UNIT),
]


@pytest.mark.parametrize("ours, theirs, y", FAMILIES, ids=lambda v: getattr(v, "name", ""))
def test_families(ours, theirs, y):
    np.testing.assert_allclose(ours.log_prob(y), theirs.logpdf(y).sum(1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.prob(y), theirs.pdf(y).prod(1), rtol=1e-12)
    single = ours.astype("float32")
    assert single.dtype == np.float32 and type(single) is type(ours)
    np.testing.assert_allclose(single.log_prob(y.astype("float32")), theirs.logpdf(y).sum(1), rtol=2e-5, atol=2e-5)
    if not isinstance(ours, pf.MultivariateNormalDiag):
        np.testing.assert_allclose(ours.cdf(y), theirs.cdf(y), rtol=1e-10)
        np.testing.assert_allclose(ours.survival(y), theirs.sf(y), rtol=1e-9)
        p = np.array([[1e-6, 0.3], [0.5, 0.999]])
        np.testing.assert_allclose(ours.quantile(p), theirs.ppf(p), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(ours.quantile_complement(p), theirs.isf(p), rtol=1e-8, atol=1e-12)
    if isinstance(ours, pf.Cauchy):
        with pytest.raises(NotImplementedError, match="Cauchy"):
            ours.mean()
    else:
        np.testing.assert_allclose(ours.mean(), theirs.mean(), rtol=1e-12)
        np.testing.assert_allclose(ours.variance(), theirs.var(), rtol=1e-12)
        np.testing.assert_allclose(ours.stddev(), theirs.std(), rtol=1e-12)
        np.testing.assert_allclose(np.diag(ours.covariance()), theirs.var(), rtol=1e-12)
    np.testing.assert_allclose(ours.entropy(), np.sum(theirs.entropy()), rtol=1e-8)
    drawn = ours.sample(20000, seed=3)
    for column in range(2):
        frozen = type(theirs)(
            theirs.dist,
            *[np.asarray(a)[column] for a in theirs.args],
            **{k: np.asarray(v)[column] for k, v in theirs.kwds.items()}
        )
        assert st.kstest(drawn[:, column], frozen.cdf).pvalue > 1e-4


def test_defaults_and_scalars():
    y = REAL
    np.testing.assert_allclose(pf.Normal(2).log_prob(y), st.norm.logpdf(y).sum(1), rtol=1e-13)
    np.testing.assert_allclose(pf.Normal(2, scale=3).log_prob(y), st.norm.logpdf(y, scale=3).sum(1), rtol=1e-13)
    normal = pf.Normal(loc=[1, 2], scale=0.5)
    np.testing.assert_allclose(normal.log_prob(y), st.norm([1, 2], 0.5).logpdf(y).sum(1), rtol=1e-13)
    np.testing.assert_allclose(normal.loc, [1, 2])
    np.testing.assert_allclose(normal.scale, [0.5, 0.5], rtol=1e-15)


def test_multivariate():
    tril = np.array([[1.0, 0.0], [0.8, 0.6]])
    ours = pf.MultivariateNormalTriL(loc=[1.0, 2.0], scale_tril=tril)
    theirs = st.multivariate_normal([1.0, 2.0], tril @ tril.T)
    np.testing.assert_allclose(ours.log_prob(REAL), theirs.logpdf(REAL), rtol=1e-12)
    np.testing.assert_allclose(ours.covariance(), tril @ tril.T, rtol=1e-12)
    student = pf.MultivariateStudentT(df=4.0, loc=[1.0, 2.0], scale_tril=tril)
    np.testing.assert_allclose(
        student.log_prob(REAL), st.multivariate_t([1.0, 2.0], tril @ tril.T, df=4.0).logpdf(REAL), rtol=1e-12
    )
    value, error, exact = ours.kl_divergence(pf.MultivariateNormalTriL(2))
    expected = 0.5 * (np.trace(tril @ tril.T) + 5.0 - 2 - 2 * np.log(0.6))
    assert exact and error == 0 and abs(value - expected) < 1e-12


def test_mixture_and_categorical():
    parts = [pf.Normal(loc=[-1.0], scale=[0.5]), pf.Normal(loc=[2.0], scale=[1.5])]
    mixture = pf.Mixture(parts, logits=np.log([0.3, 0.7]))
    y = np.linspace(-4, 6, 41)[:, None]
    expected = np.log(0.3 * st.norm.pdf(y, -1, 0.5) + 0.7 * st.norm.pdf(y, 2, 1.5))[:, 0]
    np.testing.assert_allclose(mixture.log_prob(y), expected, rtol=1e-12)
    np.testing.assert_allclose(mixture.weights, [0.3, 0.7], rtol=1e-12)
    np.testing.assert_allclose(mixture.components[1].log_prob(y), st.norm.logpdf(y, 2, 1.5)[:, 0], rtol=1e-12)
    categorical = pf.Categorical(logits=np.log([[0.2, 0.3, 0.5]]))
    np.testing.assert_allclose(categorical.prob([[0.0], [2.0], [1.5]]), [0.2, 0.5, 0.0], rtol=1e-12)
    quantized = pf.Quantized(pf.Normal(1), {0: 1.0}, points=501)
    np.testing.assert_allclose(
        quantized.prob([[0.0], [1.0]]),
        [st.norm.cdf(0.5) - st.norm.cdf(-0.5), st.norm.cdf(1.5) - st.norm.cdf(0.5)],
        rtol=1e-5,
    )
    found = pf.Quantized(pf.Normal(1), {0: (0.0, 0.5, True)}, points=501)
    np.testing.assert_allclose(found.prob([[0.3]]), [st.norm.cdf(0.55) - st.norm.cdf(0.05)], rtol=1e-5)
    assert pf.Quantized(pf.Normal(1), {0: (0.0, 0.5)}).prob([[0.3]]) == 0
    assert quantized.counted_columns == 1 and mixture.counted_columns == 0


def test_change_of_variables():
    lognormal = pf.TransformedDistribution(pf.Normal(loc=LOC, scale=SCALE), pf.Exp(2))
    theirs = st.lognorm(SCALE, scale=np.exp(LOC))
    np.testing.assert_allclose(lognormal.log_prob(POSITIVE), theirs.logpdf(POSITIVE).sum(1), rtol=1e-12)
    assert lognormal.support == pf.Space.box(["positive"] * 2)
    assert lognormal.log_prob([[-1.0, 1.0]]) == -np.inf
    assert np.isnan(lognormal.log_prob([[np.nan, 1.0], [1.0, 1.0]])).tolist() == [True, False]
    value, log_det = lognormal.forward(REAL)
    np.testing.assert_allclose(value, np.exp(REAL), rtol=1e-13)
    np.testing.assert_allclose(log_det, REAL.sum(1), rtol=1e-12)
    value, log_det = lognormal.inverse(POSITIVE)
    np.testing.assert_allclose(value, np.log(POSITIVE), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, -np.log(POSITIVE).sum(1), rtol=1e-12, atol=1e-12)
    assert isinstance(lognormal.base, pf.Normal) and isinstance(lognormal.bijector, pf.Exp)
    drawn, log_prob = lognormal.sample_and_log_prob(100, seed=1)
    np.testing.assert_allclose(log_prob, theirs.logpdf(drawn).sum(1), rtol=1e-10)


def test_product():
    product = pf.Product([pf.Gamma(concentration=[2.0], rate=[0.5]), pf.Normal(loc=[1.0, -1.0], scale=[2.0, 3.0])])
    y = product.sample(50, seed=3)
    want = st.gamma.logpdf(y[:, 0], 2, scale=2) + st.norm.logpdf(y[:, 1:], [1, -1], [2, 3]).sum(1)
    np.testing.assert_allclose(product.log_prob(y), want, rtol=1e-12)
    with pytest.raises(ValueError, match="at least one part"):
        pf.Product([])


@pytest.mark.parametrize("transformer", [
    pf.LogisticMixtureTransformer(components=3), pf.GaussianizationTransformer(components=3),
    pf.BernsteinTransformer(degree=5), pf.SosPolynomialTransformer(degree=2, polynomials=2),
    pf.MonotoneNetworkTransformer(signals=2, hidden=[6, 5]),
    pf.IdentityTailsTransformer(pf.NumericalInverse(pf.LogisticMixtureTransformer(components=3)), bound=9)],
    ids=lambda t: t.name)
def test_transformers_that_are_solved(transformer):
    raw = rng.normal(size=transformer.multiplier * 2) * 0.3
    solved = transformer if "IdentityTails" in transformer.name else pf.NumericalInverse(transformer)
    bijector = pf.Elementwise(solved, 2, raw=raw)
    y = rng.normal(size=(20, 2))
    x, log_det = bijector.inverse(y)
    back, other = bijector.forward(x)
    np.testing.assert_allclose(back, y, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(other, -log_det, rtol=1e-9, atol=1e-9)
    step = 1e-6
    slope = (bijector.inverse(y + step)[0] - bijector.inverse(y - step)[0]) / (2 * step)
    np.testing.assert_allclose(log_det, np.log(slope).sum(1), atol=1e-7)


MAPS = [
    (pf.Shift(shift=[1.0, -2.0]), lambda x: x + [1.0, -2.0]),
    (pf.Scale(scale=[2.0, -3.0]), lambda x: x * [2.0, -3.0]),
    (pf.Affine(shift=[1.0, 2.0], log_scale=[0.3, -0.2], bound=np.inf), lambda x: np.exp([0.3, -0.2]) * x + [1.0, 2.0]),
    (pf.Standardize(shift=[1.0, 2.0], scale=[3.0, 4.0]), lambda x: x * [3.0, 4.0] + [1.0, 2.0]),
    (pf.Softplus(2), lambda x: np.log1p(np.exp(x))),
    (pf.Sigmoid(2, low=-1, high=[1.0, 3.0]), lambda x: -1 + np.array([2.0, 4.0]) / (1 + np.exp(-x))),
    (pf.Tanh(2), np.tanh),
    (pf.Softsign(2), lambda x: x / (1 + abs(x))),
    (pf.Sinh(2), np.sinh),
    (pf.Expm1(2), np.expm1),
    (pf.NormalCDF(2), st.norm.cdf),
    (pf.GumbelCDF(2), st.gumbel_r.cdf),
    (pf.CauchyCDF(2), st.cauchy.cdf),
    (pf.MoyalCDF(2), st.moyal.cdf),
    (pf.Cumsum(2), lambda x: np.cumsum(x, axis=1)),
    (pf.Chain([pf.Exp(2), pf.Elementwise(pf.FrechetTransformer(), 2, raw=[0.3, 0.3, 0, 0])]),
     lambda x: st.invweibull.cdf(np.exp(x), 1, scale=np.exp(0.3))),
    (pf.Chain([pf.Exp(2), pf.Elementwise(pf.GeneralizedParetoTransformer(), 2, raw=[0.3, 0.3, 0, 0])]),
     lambda x: st.genpareto.cdf(np.exp(x), 1, scale=np.exp(0.3))),
    # Slow enough for numbers below 1.
    (pf.Chain([pf.Exp(2), pf.Elementwise(pf.GompertzTransformer(), 2, raw=[-3, -3, -2, -2])]),
     lambda x: st.gompertz.cdf(np.exp(x + 5 * np.tanh(-0.4)), np.exp(5 * np.tanh(-0.6)))),
    (pf.LeakyTanh(2, bound=0.5), lambda x: np.where(abs(x) <= 0.5, np.tanh(x), np.sign(x) * (
        np.tanh(0.5) + (abs(x) - 0.5) / np.cosh(0.5) ** 2))),
    (pf.LeakyRelu(2, slope=0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
    (pf.SoftClip(2, low=-1, high=2, hinge=1), lambda x: 2 - 3 * np.logaddexp(0, 3 - np.logaddexp(0, x + 1)) / (
        np.logaddexp(0, 3))),
    (pf.Elementwise(pf.SinhArcsinhTransformer(), 2, raw=[0.2, 0.2, 0, 0]), lambda x: np.sinh(np.arcsinh(x) + 0.2)),
    (pf.Chain([pf.Exp(2), pf.Power(2, power=-0.5)]), lambda x: np.exp(-0.5 * x)),
    (pf.Chain([pf.NormalCDF(2), pf.Elementwise(pf.KumaraswamyTransformer(), 2)]), st.norm.cdf),
    (pf.Blocks([pf.Exp(1), pf.Softsign(1)]), lambda x: np.stack([np.exp(x[:, 0]), x[:, 1] / (1 + abs(x[:, 1]))], 1)),
    (pf.Radial(2), lambda x: x),
    (pf.Sylvester(2, 1), lambda x: x),
    (pf.LowRankLinear(2, 1, seed=3), lambda x: x),
    (pf.MatrixExponential(2), lambda x: x),
    (pf.Rotation(2), lambda x: x),
    (pf.DiscreteTransform(2, "haar"), lambda x: np.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1) / np.sqrt(2)),
    (pf.DiscreteTransform(2), lambda x: np.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1) / np.sqrt(2)),
    (pf.Elementwise(pf.PolynomialSplineTransformer(degree=1, bins=4), 2), lambda x: x),
    (pf.Elementwise(pf.UmnnTransformer(signals=2, final_scale=0.0), 2), lambda x: x),
    (pf.CircularShift(2, shift=[0.5, -0.5], low=-50, high=50), lambda x: (x + [0.5, -0.5] + 50) % 100 - 50),
    (pf.Chain([pf.BlockAutoregressive(2, block=4), pf.Invert(pf.BlockAutoregressive(2, block=4))]), lambda x: x),
    (pf.TriangularLinear(2), lambda x: x),
    (pf.Householder(2, count=1), lambda x: x * [-1, 1]),
    (pf.Planar(2, seed=3), lambda x: x),
    (pf.Ascending(2), lambda x: np.stack([x[:, 0], x[:, 0] + np.exp(x[:, 1])], 1)),
    (pf.Permute([1, 0]), lambda x: x[:, ::-1]),
    (pf.Whiten(scale_tril=[[2.0, 0.0], [1.0, 0.5]]), lambda x: x @ np.array([[2.0, 0.0], [1.0, 0.5]]).T),
    (pf.ColumnSupports([None, (2, None)]), lambda x: np.stack([x[:, 0], 2 + np.log1p(np.exp(x[:, 1]))], 1)),
    (pf.Invert(pf.Affine(shift=1.0, log_scale=0.5, dim=2, bound=np.inf)), lambda x: (x - 1) * np.exp(-0.5)),
    (pf.Chain([pf.Tanh(2), pf.Scale(scale=[2.0, 2.0])]), lambda x: 2 * np.tanh(x)),
]


@pytest.mark.parametrize("bijector, function", MAPS, ids=[b.name for b, _ in MAPS])
def test_maps(bijector, function):
    x = rng.normal(size=(20, 2))
    y, log_det = bijector.forward(x)
    np.testing.assert_allclose(y, function(x), rtol=1e-12, atol=1e-13)
    step = 1e-6
    jacobian = np.stack([(function(x + step * e) - function(x - step * e)) / (2 * step) for e in np.eye(2)], 2)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], atol=1e-8)
    back, inverse_log_det = bijector.inverse(y)
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-9, atol=1e-10)


def test_surfaces():
    x = rng.normal(size=(20, 2))
    y, _ = pf.SoftmaxCentered(2).forward(x)
    logits = np.concatenate([x, np.zeros((20, 1))], 1)
    np.testing.assert_allclose(y, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), rtol=1e-12)
    y, _ = pf.StickBreaking(2).forward(np.zeros((1, 2)))
    np.testing.assert_allclose(y, np.full((1, 3), 1 / 3), rtol=1e-12)
    y, log_det = pf.UnitVector(2).forward(x)
    np.testing.assert_allclose((y**2).sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(log_det, 2 * np.log(2 / (1 + (x**2).sum(1))), rtol=1e-12)


def test_conditioners():
    """A coupling whose network is a constant 0 is the identity up to the transformer."""
    coupling = pf.Coupling([1, 0], pf.Constant(1, 2), pf.AffineTransformer())
    x = rng.normal(size=(5, 2))
    np.testing.assert_array_equal(coupling.forward(x)[0], x)
    elementwise = pf.Elementwise(pf.AffineTransformer(bound=np.inf), 2, raw=[1.0, 2.0, 0.1, -0.3])
    np.testing.assert_allclose(elementwise.forward(x)[0], np.exp([0.1, -0.3]) * x + [1.0, 2.0], rtol=1e-12)
    flow = pf.TransformedDistribution(
        pf.Normal(3), pf.MaskedAutoregressive(pf.Made(3, 2, hidden=16, final_scale=1.0, seed=5))
    )
    grid = np.linspace(-8, 8, 2001)
    rest = np.tile([[0.3, -0.5, 0.0]], (2001, 1))
    rest[:, 2] = grid
    # The last column given the others integrates to one; the prefix density is what is left.
    joint = flow.prob(rest)
    expected = np.log(np.trapezoid(joint, grid)) if hasattr(np, "trapezoid") else np.log(np.trapz(joint, grid))
    np.testing.assert_allclose(flow.prefix_log_prob(rest[:1, :2])[0], expected, rtol=1e-6)
    assert flow.triangular_order == [0, 1, 2]
    given = flow.sample_given_prefix(rest[:7, :2], seed=1)
    np.testing.assert_array_equal(given[:, :2], rest[:7, :2])
    with pytest.raises(NotImplementedError, match="LULinear"):
        pf.TransformedDistribution(pf.Normal(2), pf.LULinear(2)).triangular_order


def test_integral_of_a_flow():
    flow = pf.nsf(2, layers=2, hidden=16, seed=4)
    flow.fit(np.tanh(rng.normal(size=(500, 2))), epochs=3, patience=0)
    axis = np.linspace(-9, 9, 601)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert abs(flow.prob(points).sum() * (axis[1] - axis[0]) ** 2 - 1) < 2e-3
    drawn = flow.sample(50000, seed=1)
    inside = (abs(drawn) < 0.5).all(1).mean()
    box = (abs(points) < 0.5).all(1)
    assert abs(inside - flow.prob(points[box]).sum() * (axis[1] - axis[0]) ** 2) < 0.01
    np.testing.assert_allclose(flow.latent(drawn[:10]), flow.inverse(drawn[:10])[0], rtol=1e-12)


def test_gradients():
    flow = pf.maf(3, layers=2, hidden=16, context_dim=2, seed=1, activation="tanh")
    y, c = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    value, gradient, context_gradient = flow.log_prob_and_gradient(y, c)
    np.testing.assert_allclose(value, flow.log_prob(y, c), rtol=1e-12)
    step = 1e-6
    for columns, found, at in ((3, gradient, 0), (2, context_gradient, 1)):
        for j in range(columns):
            e = step * np.eye(columns)[j]
            plus = flow.log_prob(y + e, c) if at == 0 else flow.log_prob(y, c + e)
            minus = flow.log_prob(y - e, c) if at == 0 else flow.log_prob(y, c - e)
            np.testing.assert_allclose(found[:, j], (plus - minus) / (2 * step), rtol=1e-5, atol=1e-7)
    assert pf.Normal(2).log_prob_and_gradient(REAL)[2] is None
    np.testing.assert_allclose(pf.Normal(2).log_prob_and_gradient(REAL)[1], -REAL, rtol=1e-14)


def test_some_columns():
    scale_tril = np.array([[1.5, 0.0, 0.0], [-0.8, 0.6, 0.0], [0.4, 1.1, 2.0]])
    covariance = scale_tril @ scale_tril.T
    model = pf.MultivariateNormalTriL(loc=np.array([1.0, -2.0, 0.5]), scale_tril=scale_tril)
    drawn = model.sample_given({0: 2.0, 2: 1.0}, 3000, seed=1, threads=2)
    rest = covariance[1, [0, 2]] @ np.linalg.inv(covariance[np.ix_([0, 2], [0, 2])])
    mean = -2.0 + rest @ np.array([1.0, 0.5])
    spread = np.sqrt(covariance[1, 1] - rest @ covariance[[0, 2], 1])
    assert drawn.rows.shape == (3000, 3)
    assert (drawn.rows[:, 0] == 2.0).all() and (drawn.rows[:, 2] == 1.0).all()
    assert abs(drawn.rows[:, 1].mean() - mean) < 4.5 * spread / np.sqrt(1500)
    exact = st.multivariate_normal([1.0, 0.5], covariance[np.ix_([0, 2], [0, 2])]).logpdf([2.0, 1.0])
    assert abs(drawn.log_prob - exact) < 4 * drawn.standard_error < 0.1
    assert drawn.effective_sample_size > 1500
    np.testing.assert_array_equal(drawn.rows, model.sample_given({0: 2.0, 2: 1.0}, 3000, seed=1).rows)

    y = np.array([[2.0], [np.nan]])
    value, error = model.marginal_log_prob([1], y, seed=2)
    assert abs(value[0] - st.norm(-2.0, 1.0).logpdf(2.0)) < 4 * error[0] < 0.1
    assert np.isnan(value[1]) and np.isnan(error[1])

    with pytest.raises(ValueError, match="column 3 is none of the 3 of the model"):
        model.sample_given({3: 1.0}, 5)
    with pytest.raises(ValueError, match="has no column 'x'; it has no names: give numbers"):
        model.sample_given({"x": 1.0}, 5)


def test_layers_of_circles_and_simplices():
    low, high = -np.pi, np.pi
    torus = pf.Chain([
        pf.Elementwise(pf.NumericalInverse(pf.MoebiusTransformer(components=3)), 2, raw=rng.normal(size=18) * 0.3),
        pf.CircularShift(2),
        pf.Elementwise(pf.NonCompactProjectionTransformer(), 2, raw=[0.3, -0.2, 0.5, 0.1]),
        pf.Coupling([1, 0], pf.PeriodicFeatures(pf.Mlp(2, 12, hidden=[5])), pf.RationalQuadraticTransformer(
            pf.RationalQuadraticOptions(bins=4, low=low, high=high, tails="circular"))),
    ])
    flow = pf.TransformedDistribution(pf.Uniform(low=[low] * 2, high=[high] * 2), torus)
    draws = flow.sample(5000, seed=1)
    assert abs(draws).max() <= np.pi and np.isfinite(flow.log_prob(draws)).all()
    np.testing.assert_allclose(flow.log_prob([[low, 1.0]]), flow.log_prob([[high, 1.0]]), atol=1e-12)
    simplex = pf.IsometricLogRatio(3)
    x = rng.normal(size=(9, 3))
    y, _ = simplex.forward(x)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-14)
    np.testing.assert_allclose(simplex.inverse(y)[0], x, atol=1e-12)
    for made in (pf.ZeroSum(3), pf.UnitBall(3), pf.L1Ball(3), pf.PartialCorrelations(3)):
        y, log_det = made.forward(x)
        back, minus = made.inverse(y)
        np.testing.assert_allclose(back, x, atol=1e-11)
        np.testing.assert_allclose(minus, -log_det, atol=1e-11)
    still = pf.Coupling([1, 0, 0], pf.BalancedScales(pf.Mlp(1, 4, hidden=[5], final_scale=1.0)),
                        pf.AffineTransformer(bound=np.inf))
    np.testing.assert_allclose(still.forward(x)[1], 0, atol=1e-14)


def test_spaces_and_the_maps_onto_them():
    spaces = [
        pf.Space.box([None, "positive", (2, 3), (None, 1)]),
        pf.Space.simplex(4),
        pf.Space.zero_sum(3),
        pf.Space.ordered(3),
        pf.Space.ball(2),
        pf.Space.l1_ball(3),
        pf.Space.sphere(3),
        pf.Space.lower_triangular(2),
        pf.Space.positive_definite(2),
        pf.Space.correlation(3),
        pf.Space.real(1) * pf.Space.simplex(3) * pf.Space.ordered(2),
    ]
    for space in spaces:
        onto = pf.bijector_to(space)
        assert (onto.base_dim, onto.dim, onto.codomain) == (space.dimensions, space.columns, space)
        model = pf.TransformedDistribution(pf.maf(space.dimensions, layers=1, hidden=4), onto)
        assert model.support == space
        draws = model.sample(500, seed=1)
        assert np.isfinite(model.log_prob(draws)).all()
        assert all(space.misfit(row, tolerance=1e-6) == "" for row in draws)
    # The seam of a circle is left out.
    assert pf.bijector_to(pf.Space.circle(2, -3, 3)).codomain == pf.Space.box([(-3, 3)] * 2)
    assert pf.bijector_to(pf.Space.sphere(3), dtype="float32").dtype == np.float32
    assert repr(spaces[-1]) == "real x simplex(3) x ordered(2)"
    assert pf.Space.simplex(2).misfit([0.5, 0.75]) == "columns 0 to 1, whose sum is 1.25, lie outside simplex(2)"
    with pytest.raises(ValueError, match="expected a row of 2 columns, got 3"):
        pf.Space.simplex(2).misfit([0.5, 0.25, 0.25])
    with pytest.raises(ValueError, match="expected at least 2 columns, got 1"):
        pf.Space.simplex(1)
    with pytest.raises(NotImplementedError, match="what columns may be is not known"):
        pf.bijector_to(pf.Chain([pf.Exp(2), pf.LULinear(2)]).codomain)


def test_embedded_context():
    inner = pf.maf(2, layers=1, hidden=4, context_dim=3)
    net = pf.Mlp(7, 3, hidden=[5], final_scale=1.0)
    model = pf.EmbeddedContext(inner, net)
    assert model.context_dim == 7
    with pytest.raises(ValueError, match="takes a context of 3 columns, but the network gives 2"):
        pf.EmbeddedContext(inner, pf.Mlp(7, 2))


def test_audit():
    flow = pf.bnaf(2, block=4, seed=2)
    found = pf.audit(flow.bijector, REAL)
    assert found.passed and all(e.made for e in found.entries), str(found)
    assert found.entries[0].check == "round trip, from the data" and "worst" in str(found)
    single = pf.audit(flow.bijector.astype("float32"), REAL.astype("float32"))
    assert single.passed and "differences in float say nothing" in str(single)
    with pytest.raises(ValueError, match="no rows"):
        pf.audit(flow.bijector, np.zeros((0, 2)))
