"""scikit-learn's density estimator: `from pushforward.sklearn import NormalizingFlow`."""

import numbers
import warnings

import numpy

try:
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("pushforward.sklearn needs scikit-learn 1.6 or later: pip install scikit-learn") from error

from . import _core
from ._reports import FitWarning

MODELS = "maf iaf real_nvp nice nsf nsf_ar sospf bpf naf unaf".split()


class NormalizingFlow(DensityMixin, BaseEstimator):
    """A normalizing flow as a scikit-learn density estimator.

    The flow sees standardised columns (`prepare_and_fit`); scores are those of the data as it is. For cross-validation,
    searches and pipelines: `score` is the total log-likelihood, as that of KernelDensity.

    model: "maf", "iaf", "real_nvp", "nice", "nsf", "nsf_ar", "sospf", "bpf", "naf" or "unaf"; layers, hidden, mixing,
    base, dropout, batch_norm: options of that builder, None: its own. standardize: "mean_std", "median_iqr" or "none"; whiten: starts from the
    fitted Gaussian; supports: where the columns live. epochs, batch_size, learning_rate, schedule, weight_decay,
    validation_fraction, patience: as `Distribution.fit`. dtype: "float64" or "float32". threads: the same bits for any
    number. random_state: of weights, the split, and the draws of `sample`.

    Attributes: flow_ (the model), report_ (FitReport), n_features_in_, feature_names_in_ where X has names.
    """

    def __init__(
        self,
        model="maf",
        *,
        layers=None,
        hidden=None,
        mixing=None,
        base=None,
        dropout=0.0,
        batch_norm=False,
        standardize="mean_std",
        whiten=False,
        supports=None,
        epochs=200,
        batch_size=256,
        learning_rate=1e-3,
        schedule="constant",
        weight_decay=0.0,
        validation_fraction=0.1,
        patience=30,
        dtype="float64",
        threads=1,
        random_state=None,
    ):
        self.model = model
        self.layers = layers
        self.hidden = hidden
        self.mixing = mixing
        self.base = base
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.standardize = standardize
        self.whiten = whiten
        self.supports = supports
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.dtype = dtype
        self.threads = threads
        self.random_state = random_state

    def _seed(self, random_state):
        if isinstance(random_state, numbers.Integral):
            return int(random_state)
        return int(check_random_state(random_state).randint(2**31))

    def fit(self, X, y=None, sample_weight=None):
        """Fits to the rows of X, (N, D), of which row i counts sample_weight[i] times. y is not looked at."""
        builders = {name: getattr(_core, name) for name in MODELS}
        if self.model not in builders:
            raise ValueError(f"model must be one of {', '.join(builders)}, got {self.model!r}")
        X = validate_data(self, X, dtype=self.dtype, ensure_min_samples=2)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=numpy.float64, ensure_non_negative=True)
        seed = self._seed(self.random_state)
        flow = builders[self.model](
            X.shape[1],
            layers=self.layers,
            hidden=self.hidden,
            mixing=self.mixing,
            base=self.base,
            dropout=self.dropout,
            batch_norm=self.batch_norm,
            seed=seed,
            dtype=self.dtype,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # they are in report_
            self.flow_, self.report_ = _core.prepare_and_fit(
                flow,
                X,
                standardize=self.standardize,
                whiten=self.whiten,
                supports=self.supports,
                weights=sample_weight,
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                schedule=self.schedule,
                weight_decay=self.weight_decay,
                validation_fraction=self.validation_fraction,
                patience=self.patience,
                seed=seed,
                threads=self.threads,
            )
        if hasattr(self, "feature_names_in_"):
            self.flow_.columns = list(self.feature_names_in_)
        return self

    def score_samples(self, X):
        """log p(x) of each row, (N,), in nats."""
        check_is_fitted(self)
        return self.flow_.log_prob(validate_data(self, X, dtype=self.dtype, reset=False), threads=self.threads)

    def score(self, X, y=None):
        """The total log-likelihood of the rows, in nats."""
        return float(numpy.sum(self.score_samples(X)))

    def sample(self, n_samples=1, random_state=None):
        """Draws, (n_samples, D); random_state: None for the estimator's own."""
        check_is_fitted(self)
        seed = self._seed(self.random_state if random_state is None else random_state)
        return self.flow_.sample(n_samples, seed=seed, threads=self.threads)
