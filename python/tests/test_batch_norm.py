"""The layer and its forms against NumPy and torch."""

import numpy as np
import pytest
import torch

import pushforward as pf

rng = np.random.default_rng(7)
X = rng.normal(size=(6, 4, 3, 5)) * 2 + 1
BY_CHANNEL = (0, 2, 3)


def across(values):
    return np.asarray(values)[None, :, None, None]


def test_training_and_inference():
    layer = pf.BatchNormLayer(axis=1, momentum=0.9, epsilon=1e-3)
    with pytest.raises(ValueError):
        layer(X)
    layer.build([-1, 4, -1, -1])
    step = layer.train(X)
    mean, variance = X.mean(BY_CHANNEL), X.var(BY_CHANNEL)
    np.testing.assert_allclose(step.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(step.variance, variance, rtol=1e-12)
    np.testing.assert_allclose(step.output, (X - across(mean)) / np.sqrt(across(variance) + 1e-3), rtol=1e-10)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(4))  # nothing has changed
    layer.commit(step)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-12)
    np.testing.assert_allclose(
        layer(X), (X - across(layer.moving_mean)) / np.sqrt(across(layer.moving_variance) + 1e-3), rtol=1e-10
    )
    layer.set_variable("gamma", [1.0, 2.0, 3.0, 4.0])
    layer.set_population(mean, variance)
    np.testing.assert_allclose(layer(X), across([1, 2, 3, 4]) * step.output, rtol=1e-10)


def test_gradients():
    layer = pf.BatchNormLayer(axis=1, epsilon=1e-3)
    layer.build([-1, 4, -1, -1])
    dy = rng.normal(size=X.shape)
    dx, dgamma, dbeta = layer.backward(X, layer.train(X), dy)
    x = torch.from_numpy(X).requires_grad_()
    gamma = torch.ones(4, dtype=torch.float64, requires_grad=True)
    beta = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.batch_norm(x, None, None, gamma, beta, True, 0.1, 1e-3).backward(torch.from_numpy(dy))
    np.testing.assert_allclose(dx, x.grad, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(dgamma, gamma.grad, rtol=1e-9)
    np.testing.assert_allclose(dbeta, beta.grad, rtol=1e-9)


@pytest.mark.parametrize("affine", [True, False])
def test_torch_convention(affine):
    ours = pf.BatchNormLayer.of_convention(
        "torch", 0.3, axis=1, epsilon=1e-5, center=affine, scale=affine, dtype="float32"
    )
    ours.build([-1, 4, -1, -1])
    theirs = torch.nn.BatchNorm2d(4, eps=1e-5, momentum=0.3, affine=affine)
    x = torch.from_numpy(X).float()
    for _ in range(3):
        step = ours.train(x)
        np.testing.assert_allclose(step.output, theirs(x).detach(), atol=2e-5)
        ours.commit(step)
    np.testing.assert_allclose(ours.moving_mean, theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(ours.moving_variance, theirs.running_var, rtol=1e-5)
    theirs.eval()
    np.testing.assert_allclose(ours(x), theirs(x).detach(), atol=2e-5)


def test_arguments_are_refused_by_name():
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'; there are axis"):
        pf.BatchNormLayer(axes=1)
    with pytest.raises(TypeError, match="momentum: did not expect a str"):
        pf.BatchNormLayer(momentum="a")
    with pytest.raises(ValueError, match="fusion must be one of unfused"):
        pf.BatchNormLayer(fusion="all")
    with pytest.raises(ValueError):
        pf.BatchNormLayer(momentum=2.0)
    with pytest.raises(ValueError, match="keras"):
        pf.BatchNormLayer.of_convention("chainer", 0.1)
    layer = pf.BatchNormLayer(axis=1)
    layer.build([-1, 4, -1, -1])
    with pytest.raises(TypeError, match="x is float32"):
        layer(X.astype("float32"))
    with pytest.raises(ValueError):
        layer(X[:, :3])


def test_regularizer_and_renorm():
    layer = pf.BatchNormLayer(axis=-1, gamma_regularizer=(0.5, 0.25), gamma_initializer=2.0)
    layer.build([-1, 3])
    assert layer.regularization_loss() == pytest.approx(3 * (0.5 * 2 + 0.25 * 4))
    renormed = pf.BatchNormLayer(axis=-1, renorm=pf.Renorm(momentum=0.9, rmax=1.0, rmin=1.0, dmax=0.0), epsilon=1e-3)
    renormed.build([-1, 5])
    step = renormed.train(X[:, 0, 0])
    np.testing.assert_allclose(step.r, np.ones(5))  # clipped to plain batch normalisation
    np.testing.assert_allclose(step.d, np.zeros(5))
    assert layer.train(X[:, 0, :, 0]).r is None


def test_tf_nn():
    mean, variance = pf.tf_nn.moments(X, [0, 2, 3])
    np.testing.assert_allclose(mean, X.mean(BY_CHANNEL), rtol=1e-12)
    np.testing.assert_allclose(variance, X.var(BY_CHANNEL), rtol=1e-12)
    kept, _ = pf.tf_nn.moments(X, [0, 2, 3], keepdims=True)
    assert kept.shape == (1, 4, 1, 1)
    weights = rng.uniform(size=(6, 1, 1, 1))
    mean, variance = pf.tf_nn.weighted_moments(X, [0, 2, 3], weights)
    full = np.broadcast_to(weights, X.shape)
    expected = np.average(X, axis=BY_CHANNEL, weights=full)
    np.testing.assert_allclose(mean, expected, rtol=1e-12)
    np.testing.assert_allclose(
        variance, np.average((X - across(expected)) ** 2, axis=BY_CHANNEL, weights=full), rtol=1e-11
    )
    x, m, v = X[0, 0], rng.normal(size=5), rng.uniform(1, 2, size=5)
    offset, scale = rng.normal(size=5), rng.normal(size=5)
    np.testing.assert_allclose(
        pf.tf_nn.batch_normalization(x, m, v, offset, scale, 0.1),
        scale * (x - m) / np.sqrt(v + 0.1) + offset,
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        pf.tf_nn.batch_normalization(x, m, v, None, None, 0.1), (x - m) / np.sqrt(v + 0.1), rtol=1e-12
    )
    tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, m, v, offset, scale)]
    dy = rng.normal(size=x.shape)
    out = tensors[4] * (tensors[0] - tensors[1]) / torch.sqrt(tensors[2] + 0.1) + tensors[3]
    out.backward(torch.from_numpy(dy))
    for ours, theirs in zip(pf.tf_nn.batch_normalization_backward(x, m, v, offset, scale, 0.1, dy), tensors):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-10)
    (t := torch.from_numpy(X.copy())).requires_grad_()
    dm, dv = rng.normal(size=4), rng.normal(size=4)
    (
        (t.mean(BY_CHANNEL) * torch.from_numpy(dm)).sum()
        + (t.var(BY_CHANNEL, correction=0) * torch.from_numpy(dv)).sum()
    ).backward()
    np.testing.assert_allclose(pf.tf_nn.moments_backward(X, [0, 2, 3], dm, dv), t.grad, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("shift", [None, 3.0])
def test_sufficient_statistics(shift):
    given = None if shift is None else np.full((1, 4, 1, 1), shift)
    parts = [pf.tf_nn.sufficient_statistics(x, [0, 2, 3], given, keepdims=True) for x in (X[:2], X[2:])]
    assert [p[0] for p in parts] == [2 * X[0, 0].size, 4 * X[0, 0].size]
    assert (parts[0][3] is None) == (shift is None)
    count, total, squares = (sum(p[i] for p in parts) for i in range(3))
    mean, variance = pf.tf_nn.normalize_moments(count, total, squares, parts[0][3])
    np.testing.assert_allclose(mean, X.mean(BY_CHANNEL, keepdims=True), rtol=1e-11)
    np.testing.assert_allclose(variance, X.var(BY_CHANNEL, keepdims=True), rtol=1e-10)
    with pytest.raises(ValueError, match="count"):
        pf.tf_nn.normalize_moments(0.0, total, squares)


def test_in_flows():
    """Running, minibatch and population statistics; calibration; the frozen map."""
    y = rng.normal(size=(500, 3)) * [1.0, 2.0, 0.5] + [3.0, 0.0, -1.0]
    layer = pf.BatchNormalization(3, pf.BatchNormalizationOptions(epsilon=0.0))
    still, log_det = layer.inverse(y)
    np.testing.assert_array_equal(still, y)
    for statistics in ("minibatch", "population"):
        x, log_det = layer.inverse(y, statistics=statistics)
        np.testing.assert_allclose(x, (y - y.mean(0)) / y.std(0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(log_det, -np.log(y.std(0)).sum(), rtol=1e-12)
    np.testing.assert_array_equal(layer.inverse(y)[0], y)
    flow = pf.TransformedDistribution(pf.Normal(3), layer)
    flow.calibrate(y)
    expected = (-0.5 * ((y - y.mean(0)) / y.std(0)) ** 2 - np.log(y.std(0) * np.sqrt(2 * np.pi))).sum(1)
    np.testing.assert_allclose(flow.log_prob(y), expected, rtol=1e-10)
    frozen = flow.bijector.frozen()
    assert isinstance(frozen, pf.Standardize)
    np.testing.assert_allclose(frozen.inverse(y)[0], flow.inverse(y)[0], rtol=1e-12)
    with pytest.raises(ValueError, match="statistics must be one of running, minibatch, population"):
        layer.inverse(y, statistics="batch")


def test_tf_layers():
    store = pf.tf_layers.VariableStore()
    x = X[:, 0, 0]
    trained = pf.tf_layers.batch_normalization(x, store, training=True, name="bn", momentum=0.5)
    np.testing.assert_allclose(trained, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), rtol=1e-10)
    assert [n.split(":")[0] for n in store.global_variables] == [
        "bn/gamma",
        "bn/beta",
        "bn/moving_mean",
        "bn/moving_variance",
    ]
    assert store.pending_updates == 1
    store.run_updates()
    np.testing.assert_allclose(store.layer("bn").moving_mean, 0.5 * x.mean(0), rtol=1e-12)
    with pytest.raises(ValueError, match="bn"):
        pf.tf_layers.batch_normalization(x, store, name="bn", momentum=0.5)
    evaluated = pf.tf_layers.batch_normalization(x, store, reuse="yes", name="bn", momentum=0.5)
    np.testing.assert_allclose(evaluated, (x - 0.5 * x.mean(0)) / np.sqrt(0.5 + 0.5 * x.var(0) + 1e-3), rtol=1e-10)


def test_aesara():
    gamma, beta = rng.uniform(1, 2, (1, 4, 1, 1)), rng.normal(size=(1, 4, 1, 1))
    running = np.zeros((1, 4, 1, 1)), np.ones((1, 4, 1, 1))
    out, mean, invstd, new_mean, new_var = pf.aesara.batch_normalization_train(
        X, gamma, beta, "spatial", running_average_factor=0.2, running_mean=running[0], running_var=running[1]
    )
    m, v = X.mean(BY_CHANNEL, keepdims=True), X.var(BY_CHANNEL, keepdims=True)
    count = X.size // 4
    np.testing.assert_allclose(invstd, 1 / np.sqrt(v + 1e-4), rtol=1e-11)
    np.testing.assert_allclose(out, gamma * (X - m) / np.sqrt(v + 1e-4) + beta, rtol=1e-10)
    np.testing.assert_allclose(new_mean, 0.2 * m, rtol=1e-11)
    np.testing.assert_allclose(new_var, 0.8 + 0.2 * v * count / (count - 1), rtol=1e-11)
    assert len(pf.aesara.batch_normalization_train(X, gamma, beta, [0, 2, 3])) == 3
    dy = rng.normal(size=X.shape)
    dx, dgamma, dbeta = pf.aesara.batch_normalization_train_backward(X, gamma, mean, invstd, dy, axes="spatial")
    t = [torch.from_numpy(a.copy()).requires_grad_() for a in (X, gamma, beta)]
    tm, tv = t[0].mean(BY_CHANNEL, keepdim=True), t[0].var(BY_CHANNEL, keepdim=True, correction=0)
    (t[1] * (t[0] - tm) / torch.sqrt(tv + 1e-4) + t[2]).backward(torch.from_numpy(dy))
    for ours, theirs in zip((dx, dgamma, dbeta), t):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(
        pf.aesara.batch_normalization_test(X, gamma, beta, m, v, "spatial"),
        gamma * (X - m) / np.sqrt(v + 1e-4) + beta,
        rtol=1e-10,
    )
    t = [torch.from_numpy(a.copy()).requires_grad_() for a in (X, gamma, beta, m, v)]
    (t[1] * (t[0] - t[3]) / torch.sqrt(t[4] + 1e-4) + t[2]).backward(torch.from_numpy(dy))
    for ours, theirs in zip(pf.aesara.batch_normalization_test_backward(X, gamma, beta, m, v, dy, "spatial"), t):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-8, atol=1e-11)
    for mode in ("low_mem", "high_mem"):
        np.testing.assert_allclose(
            pf.aesara.batch_normalization(X, gamma, beta, m, np.sqrt(v), mode),
            gamma * (X - m) / np.sqrt(v) + beta,
            rtol=1e-10,
        )
    with pytest.raises(ValueError, match="low_mem"):
        pf.aesara.batch_normalization(X, gamma, beta, m, v, "no_mem")
