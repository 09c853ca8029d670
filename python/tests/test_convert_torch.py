"""Distributions of torch against torch."""

import numpy as np
import pytest
import torch
import torch.distributions as td

from pushforward.convert import CannotConvert, convert


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


LOC, SCALE = tensor([0.5, -1.0, 2.0]), tensor([1.0, 0.3, 2.0])
TRIL = torch.linalg.cholesky(tensor([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 0.5]]))


def of(*transforms, base=td.Normal(LOC, SCALE)):
    return td.TransformedDistribution(base, list(transforms))


ONTO = td.transforms.ComposeTransform([td.SigmoidTransform(), td.AffineTransform(-2.0, tensor([4.0, 1.0, 0.5]))])
DISTRIBUTIONS = {
    "Normal": td.Normal(LOC, SCALE),
    "Independent": td.Independent(td.Laplace(LOC, SCALE), 1),
    "Cauchy": td.Cauchy(LOC, SCALE),
    "StudentT": td.StudentT(tensor([3.0, 5.0, 50.0]), LOC, SCALE),
    "Gamma": td.Gamma(SCALE, tensor([1.0, 2.0, 0.5])),
    "Beta": td.Beta(SCALE, tensor([1.5, 2.0, 0.5])),
    "Uniform": td.Uniform(LOC, LOC + SCALE),
    "MultivariateNormal": td.MultivariateNormal(LOC, scale_tril=TRIL),
    "mixture": td.MixtureSameFamily(
        td.Categorical(tensor([0.2, 0.8])), td.MultivariateNormal(torch.stack([LOC, -LOC]), scale_tril=TRIL)
    ),
    "mixture, diagonal": td.MixtureSameFamily(
        td.Categorical(tensor([0.2, 0.8])), td.Independent(td.Normal(torch.stack([LOC, -LOC]), SCALE), 1)
    ),
    "exp": of(td.ExpTransform()),
    "exp, inverted": of(td.SoftplusTransform(), td.ExpTransform().inv),
    "onto intervals": of(ONTO),
    "tanh of a scale below 0": of(td.AffineTransform(LOC / 4, -SCALE / 4), td.TanhTransform()),
    "onto a simplex": of(td.StickBreakingTransform(), base=td.Independent(td.Normal(LOC, SCALE), 1)),
    "independent": of(td.IndependentTransform(td.ExpTransform(), 1), base=td.MultivariateNormal(LOC, scale_tril=TRIL)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_same_as_torch(name, tmp_path):
    theirs = DISTRIBUTIONS[name]
    model = convert(theirs, tmp_path / "model")
    torch.manual_seed(0)
    rows = theirs.sample((1000,))
    want = theirs.log_prob(rows).reshape(1000, -1).sum(1).numpy()
    np.testing.assert_allclose(model.log_prob(rows.numpy()), want, rtol=1e-10, atol=1e-10)
    assert model.dim == rows.shape[1] and rows.dtype == torch.float64


def test_unlike_torch():
    """What a row is, follows from the batch shape too; there is one row."""
    with pytest.raises(CannotConvert, match=r"a batch of distributions, of the shape \(2, 3\)"):
        convert(td.Normal(torch.zeros(2, 3), torch.ones(3)))
    with pytest.raises(CannotConvert, match=r"transforms\[0\]: torch's PowerTransform has no counterpart"):
        convert(of(td.PowerTransform(tensor(2.0)), base=td.Gamma(SCALE, SCALE)))
    with pytest.raises(CannotConvert, match="torch's Poisson has no counterpart"):
        convert(td.Poisson(SCALE))
