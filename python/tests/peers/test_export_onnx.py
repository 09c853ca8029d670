"""Models as ONNX, evaluated by onnxruntime: 1e-5 in float."""

import numpy as np
import onnxruntime
import pytest
from exports import fitted, rows


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_onnx(dtype):
    conditional = fitted(dtype)
    y, c = rows(conditional)
    session = onnxruntime.InferenceSession(conditional.onnx_log_prob(), providers=["CPUExecutionProvider"])
    (got,) = session.run(["log_prob"], {"y": y, "context": c})
    tolerance = 1e-12 if conditional.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(got, conditional.log_prob(y, c), rtol=tolerance, atol=tolerance)

    session = onnxruntime.InferenceSession(conditional.onnx_sample(), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["pushforward.noise"] == "normal 2"
    noise = np.random.default_rng(2).normal(size=y.shape).astype(conditional.dtype)
    (drawn,) = session.run(["y"], {"noise": noise, "context": c})
    np.testing.assert_allclose(conditional.latent(drawn, c), noise, rtol=0, atol=1e3 * tolerance)
