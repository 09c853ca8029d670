"""Gradients in torch against torch's own densities."""

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.torch import log_prob, target

torch.manual_seed(0)


def test_gradient_of_y():
    flow = pf.TransformedDistribution(pf.Normal(loc=[0.5, -1.0], scale=[1.0, 2.0]), pf.Exp(2))
    theirs = torch.distributions.LogNormal(torch.tensor([0.5, -1.0]).double(), torch.tensor([1.0, 2.0]).double())
    y = torch.rand(10, 2, dtype=torch.float64).add(0.1).requires_grad_()
    weight = torch.randn(10, dtype=torch.float64)
    (log_prob(flow, y) * weight).sum().backward()
    ours, y.grad = y.grad, None
    (theirs.log_prob(y).sum(1) * weight).sum().backward()
    torch.testing.assert_close(ours, y.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_prob(flow, y), theirs.log_prob(y).sum(1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rows", ["each", "one", "axis"])
def test_gradient_of_the_context(rows):
    flow = pf.maf(2, layers=2, hidden=16, context_dim=3, activation="tanh", seed=1)
    y = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    shape = {"each": (6, 3), "one": (1, 3), "axis": (3,)}[rows]
    context = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y, c: log_prob(flow, y, c), (y, context), eps=1e-6, atol=1e-6)


def test_in_a_model():
    """Maximum a posteriori of a linear model whose prior is a flow, by an optimiser of torch."""
    prior = pf.Normal(loc=[1.0], scale=[0.5])
    theta = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    data = torch.full((4,), 3.0, dtype=torch.float64)
    optimizer = torch.optim.LBFGS([theta], line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = -log_prob(prior, theta).sum() + 0.5 * ((data - theta[0, 0]) ** 2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert theta.item() == pytest.approx((1.0 / 0.25 + 4 * 3.0) / (1 / 0.25 + 4), abs=1e-6)


def test_without_gradients():
    flow = pf.maf(2, layers=1, hidden=8, dtype="float32")
    y = torch.randn(5, 2)
    assert not log_prob(flow, y).requires_grad
    np.testing.assert_array_equal(log_prob(flow, y).numpy(), flow.log_prob(y))
    y.requires_grad_()
    log_prob(flow, y).sum().backward()
    assert y.grad.dtype == torch.float32
    with pytest.raises(TypeError, match="float64"):
        log_prob(flow, y.double())
    first = torch.autograd.grad((log_prob(flow, y) ** 2).sum(), y, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable|not have been used"):
        torch.autograd.grad(first.sum(), y)


def test_target():
    """Variational inference of a density that torch has, against the same with its gradient by hand."""
    theirs = torch.distributions.Laplace(torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 1.0]).double())
    options = dict(epochs=1, steps_per_epoch=20, batch_size=64, learning_rate=0.05, seed=3)
    by_torch, by_hand = pf.MultivariateNormalDiag(2), pf.MultivariateNormalDiag(2)
    by_torch.fit_reverse_kl(target(lambda y: theirs.log_prob(y).sum(1)), **options)

    def value_and_gradient(y):
        d, scale = y - np.array([1.0, -2.0]), np.array([0.5, 1.0])
        return (-np.abs(d) / scale - np.log(2 * scale)).sum(1), -np.sign(d) / scale

    by_hand.fit_reverse_kl(value_and_gradient, **options)
    np.testing.assert_allclose(by_torch.mean(), by_hand.mean(), rtol=1e-10)
    assert np.abs(by_torch.mean()).min() > 0.1
    with pytest.raises(ValueError, match=r"target: expected the shape \(64,\), got \(64, 2\)"):
        by_torch.fit_reverse_kl(target(theirs.log_prob), **options)
