"""Normalizing flows: fit a density to data, sample from it, compute exact log-probabilities.

    import pushforward as pf

    flow, report = pf.prepare_and_fit(pf.maf(dim=4, layers=3), y, epochs=50)
    flow.log_prob(y)          # (N,) in nats
    flow.sample(1000, seed=1)
    flow.save("model.safetensors")

`x` is the base side, `y` the data side: `forward` maps base to data (sampling), `inverse` data to base (density), and
each returns the log|det| of the map just applied, in nats. Data is (N, D): a row is one event, a column one feature.

All is float64 unless dtype="float32" says otherwise; nothing is converted silently.

Besides: pushforward.convert (flows of other libraries), pushforward.sklearn (an estimator), pushforward.torch (gradients
in torch), pushforward.plots.
"""

from . import _core, _pickle
from ._compare import Comparison, compare
from ._conditional import Conditional
from ._core import *  # noqa: F403
from ._reports import BestReport, CalibrationReport, ConditionalDraws, FitReport, FitWarning

__version__ = _core.__version__
__all__ = [name for name in dir(_core) if not name.startswith("_")] + [
    "BestReport",
    "CalibrationReport",
    "Comparison",
    "Conditional",
    "ConditionalDraws",
    "FitReport",
    "FitWarning",
    "compare",
]
