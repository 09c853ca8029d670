#!/usr/bin/env python3
"""Oracle numbers for planar and radial maps and reflections: normflows' `Planar` and `Radial`, nflows'
`HouseholderSequence`, in double, with log|det| by PyTorch's automatic differentiation of their values. Writes
linear_maps.json.
"""
import normflows
import numpy as np
import torch
from nflows.transforms.orthogonal import HouseholderSequence
from normflows.flows import Planar, Radial

from oracle_io import save

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
rng = np.random.default_rng(7)


def numbers(*shape, scale=1.0):
    return np.round(scale * rng.normal(size=shape), 4)


def case(cls, parameters, module, x):
    def value(row):
        return module(row[None])[0][0]

    rows = torch.tensor(x)
    with torch.no_grad():
        y = module(rows)[0].numpy()
        own = module(rows)[1].numpy()
    log_det = np.array([torch.linalg.slogdet(torch.autograd.functional.jacobian(value, row))[1].item() for row in rows])
    assert np.allclose(own, log_det, atol=1e-12)
    return {"class": cls, "parameters": parameters, "x": x, "y": y, "log_det": log_det}


def cases():
    for dim, size in ((1, 1.0), (3, 1.0), (3, 4.0), (6, 1.0)):
        w, u, b = numbers(dim), numbers(dim, scale=size), numbers(1)
        module = Planar((dim,), w=torch.tensor(w)[None], u=torch.tensor(u)[None], b=torch.tensor(b))
        yield case("Planar", {"w": w, "u": u, "b": b}, module, numbers(6, dim, scale=2.0))
        centre, alpha, beta = numbers(dim), np.round(rng.uniform(0.2, 2, size=1), 4), numbers(1, scale=size)
        module = Radial((dim,), z_0=torch.tensor(centre)[None])
        with torch.no_grad():
            module.alpha.copy_(torch.tensor(alpha))
            module.beta.copy_(torch.tensor(beta))
        yield case("Radial", {"centre": centre, "alpha": alpha, "raw_beta": beta}, module, numbers(6, dim, scale=2.0))
        vectors = numbers(dim + 1, dim)
        module = HouseholderSequence(dim, dim + 1)
        with torch.no_grad():
            module.q_vectors.copy_(torch.tensor(vectors))
        yield case("Householder", {"vectors": vectors}, module, numbers(6, dim, scale=2.0))


if __name__ == "__main__":
    save("linear_maps", {
        "source": f"normflows 1.7.3, nflows 0.14, torch {torch.__version__.split('+')[0]}",
        "made_by": "tests/oracles/linear_map_oracles.py",
        "settings": {"log_det": "of the map from x to y", "alpha": "what the library calls softplus(raw_alpha)"},
        "cases": list(cases())})
