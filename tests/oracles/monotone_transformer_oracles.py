#!/usr/bin/env python3
"""Oracle numbers for transformers whose way from the data to the base is closed: zuko's `GaussianizationTransform`,
`BernsteinTransform` and `SOSPolynomialTransform`, and a mixture of logistics by PyTorch's distributions, in double, with
log derivatives by automatic differentiation.
Writes monotone_transformers.json.
"""
import numpy as np
import torch
from zuko.transforms import BernsteinTransform, GaussianizationTransform, SOSPolynomialTransform

from oracle_io import save

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
rng = np.random.default_rng(11)


def numbers(*shape, scale=1.0):
    return np.round(scale * rng.normal(size=shape), 4)


def case(cls, constants, raw, f, y):
    """`raw` in the order of the library's parameters; f from the data to the base."""
    points = torch.tensor(y, requires_grad=True)
    x = f(points)
    (slope,) = torch.autograd.grad(x.sum(), points)
    return {"class": cls, "constants": constants, "raw": raw, "y": y, "x": x.detach().numpy(), "log_derivative": slope.log().numpy()}


def mixture_of_logistics(weights, locations, log_scales, a, b):
    """The definition, by torch's own mixture distribution."""
    logistic = torch.distributions.TransformedDistribution(
        torch.distributions.Uniform(torch.zeros(len(weights)), 1, validate_args=False),
        [torch.distributions.SigmoidTransform().inv,
         torch.distributions.AffineTransform(torch.tensor(locations), torch.tensor(log_scales).exp())])
    p = torch.softmax(torch.tensor(weights), 0)

    def f(y):
        cdf = (p * logistic.cdf(y[:, None])).sum(1)
        return np.exp(a) * torch.logit(cdf) + b

    return f


def cases():
    y = [-4.5, -2.0, -0.7, -0.1, 0.0, 0.3, 1.1, 2.5, 4.5]
    for size in (0.5, 1.5):
        for k in (1, 4):
            shift, scale = numbers(k, scale=size), numbers(k, scale=size / 2)
            transform = GaussianizationTransform(torch.tensor(shift), torch.tensor(scale))
            # Far out zuko's millionth counts.
            yield case("gaussianization", {"components": k}, [*shift, *scale], transform.f, [v for v in y if abs(v) < 1.5])
            weights, locations, scales = numbers(k, scale=size), numbers(k, scale=size), numbers(k, scale=size / 2)
            a, b = numbers(2, scale=0.5)
            yield case("logistic_mixture", {"components": k}, [*weights, *locations, *scales, a, b],
                       mixture_of_logistics(weights, locations, scales, a, b), y)
        for degree in (4, 16):
            theta = numbers(degree + 1, scale=size)
            transform = BernsteinTransform(torch.tensor(theta).expand(len(y), -1), bound=5.0)
            yield case("bernstein", {"degree": degree, "bound": 5.0}, theta, transform.f, y)
        a = numbers(3, 5, scale=size)
        transform = SOSPolynomialTransform(torch.tensor(a).expand(len(y), 3, 5), slope=1e-3, bound=11.0)

        def sos(v, transform=transform):
            return transform(v)

        yield case("sos_polynomial", {"degree": 4, "polynomials": 3, "scale": 11.0, "slope": 1e-3}, [*a.ravel(), 0.0], sos, y)


if __name__ == "__main__":
    save("monotone_transformers", {
        "source": f"zuko 1.6.0, torch {torch.__version__.split('+')[0]}",
        "made_by": "tests/oracles/monotone_transformer_oracles.py",
        "settings": {"direction": "from y, the data, to x", "raw": "without soft bounds and spread"},
        "cases": list(cases())})
