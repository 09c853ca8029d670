"""What fits and checks give back: plain objects that can be pickled, with the library's texts."""

import dataclasses
import typing

import numpy


class FitWarning(UserWarning):
    """What a fit found out about data or training that its user should know."""


class MeanLogLikelihood(typing.NamedTuple):
    """Nats per row."""

    mean: float
    standard_error: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FitReport:
    """What came of a fit. One entry of each array for each epoch; NaN in epochs without validation."""

    train_loss: numpy.ndarray
    validation_loss: numpy.ndarray
    learning_rate: numpy.ndarray
    best_epoch: int  #: from 0, whose parameters the model has; -1: those of the last step
    stop_reason: str  #: "completed", "early_stopping", "cancelled" or "non_finite"
    stop_text: str
    steps: int
    skipped_steps: int  #: their loss or gradient was not finite
    seconds: float
    train_rows: int
    validation_rows: int
    train: MeanLogLikelihood  #: of the final model
    validation: MeanLogLikelihood
    gaussian_baseline: float  #: mean log-likelihood by the Gaussian of the training rows
    bits_per_dimension: float
    warnings: list
    text: str

    def __repr__(self):
        return self.text

    def plot(self, ax=None):
        """The learning curve: see pushforward.plots.learning_curve."""
        from . import plots

        return plots.learning_curve(self, ax)


def fit_report(values):
    """From what C++ has."""
    for name in ("train", "validation"):
        values[name] = MeanLogLikelihood(*values[name])
    return FitReport(**values)


class CandidateReport(typing.NamedTuple):
    """How a candidate of `fit_best` did."""

    name: str
    validation: MeanLogLikelihood  #: of its last stage
    behind: MeanLogLikelihood  #: the winner's log-likelihood minus its own, over the same rows
    stages: int
    steps: int
    parameters: int
    seconds: float
    problem: str  #: why it could not be fitted; empty: it was


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class BestReport:
    """How the model of `fit_best` was chosen."""

    candidates: list  #: of CandidateReport, the chosen one first
    report: FitReport  #: of the model's last fit
    rounded: dict  #: {column: (origin, step)} of the columns whose numbers lie on grids
    heavy_tails: bool
    folds: int
    complete: bool  #: False: cancelled on the way
    reason: str
    text: str

    def __repr__(self):
        return self.text


def best_report(values):
    """From what C++ has."""
    values["candidates"] = [
        CandidateReport(name, MeanLogLikelihood(*validation), MeanLogLikelihood(*behind), *rest)
        for name, validation, behind, *rest in values["candidates"]
    ]
    return BestReport(**values)


class ConditionalDraws(typing.NamedTuple):
    """Rows given some columns, and what the model says of these."""

    rows: numpy.ndarray  #: (n, dim), the given columns as given
    log_prob: float  #: log density of the given values, the other columns integrated out
    standard_error: float  #: of log_prob
    proposals: int  #: that the rows were chosen from
    effective_sample_size: float  #: how many independent draws they are worth


class UniformityTest(typing.NamedTuple):
    """Kolmogorov's and Anderson and Darling's tests of values that are uniform on (0, 1) if the model is right."""

    ks: float
    ks_p: float
    ad: float
    ad_p: float
    p: float  #: of both together


class Uniforms(typing.NamedTuple):
    """One value for each tested row, uniform if the model is right."""

    values: numpy.ndarray
    test: UniformityTest


class Coverage(typing.NamedTuple):
    """How many rows lie in the region of highest density that holds `level` of the model's probability."""

    level: float
    share: float
    low: float  #: where a right model's share lies in 95 of 100 cases
    high: float
    p: float


class PairCalibration(typing.NamedTuple):
    """The products of two columns, ranked among those of the row's draws."""

    first: int
    second: int  #: from dim on: columns of the context
    test: UniformityTest
    in_data: float
    in_draws: float


class TwoSampleTest(typing.NamedTuple):
    """A classifier learns to tell rows from draws: a right model leaves it to chance."""

    classifier: str
    rows: int
    accuracy: float
    auc: float
    auc_error: float
    p: float


class CalibrationFinding(typing.NamedTuple):
    """What a group of tests says."""

    name: str
    tests: int
    p: float
    holm_p: float
    found: bool
    text: str


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CalibrationReport:
    """Whether rows that the model was not fitted to are what it draws. Lists of values follow `tested_rows`."""

    rows: int
    tested: int
    draws: int  #: of the model for each tested row
    level: float  #: probability that something is found in a right model, at most
    tested_rows: numpy.ndarray
    score: MeanLogLikelihood
    density_zero: int  #: rows outside the support; `score` is without them
    quantile_01: float  #: of all rows' log_prob
    median: float
    quantile_99: float
    baseline: MeanLogLikelihood  #: by a Gaussian
    gain: MeanLogLikelihood  #: the model's score minus it
    baseline_text: str
    worst_rows: numpy.ndarray
    worst_log_prob: numpy.ndarray
    worst_baseline: numpy.ndarray
    columns: list  #: of Uniforms
    latents: list  #: of Uniforms
    latents_text: str  #: why there are none
    radius: numpy.ndarray
    radius_uniforms: Uniforms
    density: Uniforms
    coverage: list
    pairs: list
    two_sample: list
    findings: list  #: smallest p first
    passed: bool  #: nothing was found
    verdict: str
    names: list  #: of the columns

    def __repr__(self):
        lines = [self.verdict, f"{self.rows} rows, of which {self.tested} are tested with {self.draws} draws each"]
        lines.append(f"log-likelihood {self.score.mean:.4f} +- {self.score.standard_error:.4f} nats per row")
        lines += [f"{f.name}: p {f.holm_p:.2g}{': ' + f.text if f.found else ''}" for f in self.findings]
        return "\n".join(lines)

    def plot(self, figure=None):
        """Ranks and coverage: see pushforward.plots.calibration."""
        from . import plots

        return plots.calibration(self, figure)


def calibration(values):
    """From what C++ has."""

    def uniforms(pair):
        return Uniforms(pair[0], UniformityTest(*pair[1]))

    for name in ("score", "baseline", "gain"):
        values[name] = MeanLogLikelihood(*values[name])
    for name in ("columns", "latents"):
        values[name] = [uniforms(pair) for pair in values[name]]
    for name in ("radius_uniforms", "density"):
        values[name] = uniforms(values[name])
    values["coverage"] = [Coverage(*c) for c in values["coverage"]]
    values["pairs"] = [PairCalibration(a, b, UniformityTest(*t), *rest) for a, b, t, *rest in values["pairs"]]
    values["two_sample"] = [TwoSampleTest(*t) for t in values["two_sample"]]
    values["findings"] = [CalibrationFinding(*f) for f in values["findings"]]
    return CalibrationReport(**values)
