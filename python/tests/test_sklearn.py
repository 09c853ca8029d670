"""The estimator by scikit-learn's own checks, in searches and pipelines."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from pushforward.sklearn import NormalizingFlow

rng = np.random.default_rng(4)
X = rng.normal(size=(400, 2))
X[:, 1] += X[:, 0] ** 2
SMALL = dict(layers=1, hidden=8, epochs=3, random_state=0)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([NormalizingFlow(**SMALL)])
def test_checks(estimator, check):
    check(estimator)


def test_score_is_the_total():
    flow = NormalizingFlow(**SMALL).fit(X)
    assert flow.score(X) == pytest.approx(flow.flow_.log_prob(X).sum())
    assert flow.score_samples(X).shape == (400,)
    assert flow.sample(7, random_state=1).shape == (7, 2)
    np.testing.assert_array_equal(flow.sample(7, random_state=1), flow.sample(7, random_state=1))


def test_weights():
    doubled = NormalizingFlow(**{**SMALL, "epochs": 200, "validation_fraction": 0}).fit(np.array([[0.0], [1.0]] * 50))
    weighted = NormalizingFlow(**{**SMALL, "epochs": 200, "validation_fraction": 0}).fit(
        np.array([[0.0], [1.0]] * 50), sample_weight=np.tile([1.0, 4.0], 50)
    )
    assert weighted.sample(2000, random_state=0).mean() > doubled.sample(2000, random_state=0).mean() + 0.15
    with pytest.raises(ValueError):
        NormalizingFlow(**SMALL).fit(X, sample_weight=-np.ones(400))


def test_searches():
    search = GridSearchCV(NormalizingFlow(**SMALL), {"model": ["maf", "nsf"], "epochs": [1, 40]}, cv=2, n_jobs=2)
    search.fit(X)
    assert search.best_params_["epochs"] == 40
    scores = cross_val_score(make_pipeline(StandardScaler(), NormalizingFlow(**SMALL)), X, cv=3)
    assert np.isfinite(scores).all() and scores.shape == (3,)


def test_copies():
    flow = NormalizingFlow(**SMALL).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(flow)).score_samples(X), flow.score_samples(X))
    assert clone(flow).get_params() == flow.get_params()
    with pytest.raises(ValueError, match="model must be one of maf"):
        NormalizingFlow("made").fit(X)
