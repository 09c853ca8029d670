"""Fits against closed forms; callbacks, interruption, reports; fit_best, compare, calibration_report."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import scipy.stats as st

import pushforward as pf

rng = np.random.default_rng(3)
BANANA = rng.normal(size=(3000, 2))
BANANA[:, 1] += BANANA[:, 0] ** 2


def gaussian_likelihood(y):
    """Of the maximum likelihood Gaussian, nats per row."""
    return st.multivariate_normal(y.mean(0), np.cov(y.T, bias=True)).logpdf(y).mean()


def test_maximum_likelihood():
    y = rng.normal(size=(400, 2)) @ np.array([[1.0, 0.5], [0.0, 0.7]]) + [3.0, -1.0]
    flow = pf.MultivariateNormalTriL(2)
    report = flow.fit(y, epochs=60, validation_fraction=0, optimizer=pf.LBfgs(), batch_size=400)
    np.testing.assert_allclose(flow.mean(), y.mean(0), rtol=1e-6)
    np.testing.assert_allclose(flow.covariance(), np.cov(y.T, bias=True), rtol=1e-5)
    assert report.train.mean == pytest.approx(gaussian_likelihood(y), abs=1e-9)
    assert report.train.mean == pytest.approx(report.gaussian_baseline, abs=1e-9)
    assert report.train_rows == 400 and report.validation_rows == 0


def test_weights_are_counts():
    y = np.array([[0.0], [1.0], [2.0]])
    flow = pf.Normal(1)
    flow.fit(y, weights=np.array([1.0, 0.0, 3.0]), epochs=300, validation_fraction=0, optimizer="lbfgs", batch_size=3)
    np.testing.assert_allclose(flow.loc, [1.5], rtol=1e-6)
    np.testing.assert_allclose(flow.scale, [np.sqrt(0.75)], rtol=1e-5)


def test_rows_of_a_space():
    y = np.hstack([rng.dirichlet([2.0, 3.0, 4.0], size=1500), rng.vonmises(0, 3, size=(1500, 1)) % (2 * np.pi)])
    space = pf.Space.simplex(3) * pf.Space.circle(1, 0, 2 * np.pi)
    truth = st.dirichlet([2.0, 3.0, 4.0]).logpdf(y[:, :3].T).mean() + st.vonmises(3).logpdf(y[:, 3]).mean()
    one, _ = pf.prepare_and_fit(pf.maf(space.dimensions, hidden=32), y, supports=space, epochs=20, seed=1)
    best, report = pf.fit_best(y, supports=space, steps=600, seed=1)
    for model in (one, best):
        assert model.support == space
        assert abs(model.log_prob(y).mean() - truth) < 0.1
        draws = model.sample(1000, seed=2)
        np.testing.assert_allclose(draws[:, :3].sum(axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="data row 3, columns 0, 1, 2, whose sum is"):
        pf.prepare_and_fit(pf.maf(3), np.vstack([y[:3], 1.1 * y[3:]]), supports=space, validation_fraction=0)
    with pytest.raises(ValueError, match="expected a support of 2 dimensions, got 3"):
        pf.prepare_and_fit(pf.maf(2), y, supports=space)


class Pipes:
    """A reducer of two processes."""

    def __init__(self, rank, pipe):
        self.rank, self.size, self.pipe = rank, 2, pipe

    def sum(self, values):
        self.pipe.send(values.copy())
        values += self.pipe.recv()

    def broadcast(self, values):
        if self.rank == 0:
            self.pipe.send(values.copy())
        else:
            values[:] = self.pipe.recv()


def fit_together(rank, pipe, dtype):
    flow = pf.maf(2, layers=2, hidden=12, batch_norm=True, seed=rank, dtype=dtype)
    flow.fit(BANANA[:800].astype(dtype), epochs=3, batch_size=64, shards=4, reducer=Pipes(rank, pipe), seed=3)
    return flow.log_prob(BANANA[:50].astype(dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_two_processes_are_one_with_as_many_shards(dtype):
    alone = pf.maf(2, layers=2, hidden=12, batch_norm=True, seed=0, dtype=dtype)
    alone.fit(BANANA[:800].astype(dtype), epochs=3, batch_size=64, shards=4, seed=3)
    context = multiprocessing.get_context("fork")  # of all of this module
    ours, theirs = context.Pipe()
    other = context.Process(target=lambda: theirs.send(fit_together(1, theirs, dtype)))
    other.start()
    own = fit_together(0, ours, dtype)
    np.testing.assert_array_equal(own, alone.log_prob(BANANA[:50].astype(dtype)))
    np.testing.assert_array_equal(ours.recv(), own)
    other.join()
    assert other.exitcode == 0


def test_reducers_that_fail():
    class Broken(Pipes):
        def broadcast(self, values):
            raise OSError("the line is cut")

    flow = pf.maf(2, hidden=12)
    before = flow.log_prob(BANANA[:5])
    with pytest.raises(OSError, match="the line is cut"):
        flow.fit(BANANA, shards=2, reducer=Broken(0, None))
    np.testing.assert_array_equal(flow.log_prob(BANANA[:5]), before)
    with pytest.raises(TypeError, match="reducer: it has no 'rank'"):
        flow.fit(BANANA, shards=2, reducer=3)
    with pytest.raises(ValueError, match="shards"):
        flow.fit(BANANA, shards=3, reducer=Pipes(0, None))
    with pytest.raises(TypeError, match="fit_best: reducer"):
        pf.fit_best(BANANA, reducer=Pipes(0, None))


def test_a_flow_learns_the_banana():
    model, report = pf.prepare_and_fit(pf.nsf_ar(2, layers=2, hidden=32, seed=1), BANANA, epochs=30, seed=1, threads=2)
    test = rng.normal(size=(2000, 2))
    test[:, 1] += test[:, 0] ** 2
    truth = (st.norm.logpdf(test[:, 0]) + st.norm.logpdf(test[:, 1] - test[:, 0] ** 2)).mean()
    assert truth - model.log_prob(test).mean() < 0.1
    assert report.validation.mean > report.gaussian_baseline + 0.3
    assert report.train_loss.shape == report.validation_loss.shape == report.learning_rate.shape
    assert report.train_loss[0] > report.train_loss[-1]
    assert report.stop_reason == "completed" and len(report.train_loss) == 30
    assert "best epoch" in str(report)
    again = pickle.loads(pickle.dumps(report))
    np.testing.assert_array_equal(again.train_loss, report.train_loss)
    assert again.text == report.text
    same, _ = pf.prepare_and_fit(pf.nsf_ar(2, layers=2, hidden=32, seed=1), BANANA, epochs=30, seed=1)
    np.testing.assert_array_equal(same.log_prob(test), model.log_prob(test))


def test_supports():
    y = rng.gamma(2.0, size=(2000, 1))
    model, _ = pf.prepare_and_fit(pf.maf(1, layers=1, hidden=8), y, supports=["positive"], epochs=5)
    assert str(model.support) == "(0, inf)"
    grid = np.linspace(1e-6, 30, 20001)[:, None]
    assert abs(model.prob(grid).sum() * (grid[1, 0] - grid[0, 0]) - 1) < 1e-3
    with pytest.raises(ValueError, match="column 0"):
        pf.prepare_and_fit(pf.maf(1), -y, supports=[(0, None)])
    with pytest.raises(ValueError, match="a support must be one of real, positive, unit"):
        pf.prepare_and_fit(pf.maf(1), y, supports=["negative"])


def test_conditional_fit():
    c = rng.normal(size=(3000, 1))
    y = 2 * c + 0.5 * rng.normal(size=(3000, 1))
    flow = pf.maf(1, context_dim=1, layers=1, hidden=16, tail=np.inf)  # exactly the family that y is of
    model, _ = pf.prepare_and_fit(flow, y, context=c, epochs=40, learning_rate=0.005, seed=1)
    at = np.linspace(-1.5, 1.5, 7)[:, None]
    drawn = model.sample_each(at, 4000, seed=1)[..., 0]
    np.testing.assert_allclose(drawn.mean(1), 2 * at[:, 0], atol=0.15)
    np.testing.assert_allclose(drawn.std(1), 0.5, atol=0.1)
    assert len(model.context_range) == 1


def test_callback():
    seen = []
    flow = pf.maf(2, layers=1, hidden=8)
    report = flow.fit(BANANA, epochs=6, callback=seen.append)
    assert [p.epoch for p in seen] == [1, 2, 3, 4, 5, 6] and seen[0].epochs == 6
    np.testing.assert_array_equal([p.train_loss for p in seen], report.train_loss)
    report = flow.fit(BANANA, epochs=50, callback=lambda p: p.epoch < 3)
    assert len(report.train_loss) == 3 and report.stop_reason == "cancelled"
    threads = []
    flow.fit(BANANA, epochs=1, callback=lambda p: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


def test_what_a_callback_raises_goes_on():
    flow = pf.maf(2, layers=1, hidden=8)
    before = flow.log_prob(BANANA).mean()

    class Enough(Exception):
        pass

    def stop(progress):
        if progress.epoch == 3:
            raise Enough("three")

    with pytest.raises(Enough, match="three"):
        flow.fit(BANANA, epochs=500, callback=stop)
    assert flow.log_prob(BANANA).mean() > before + 0.01  # the best parameters so far


def test_verbose(capsys):
    pf.maf(2, layers=1, hidden=8).fit(BANANA[:200], epochs=2, verbose=True)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["1/2", "2/2"]


def test_ctrl_c_leaves_the_best_parameters():
    """Without a callback; in a process of its own, which gets a SIGINT in the middle of its first long epoch."""
    program = textwrap.dedent("""
        import numpy as np, pushforward as pf
        y = np.random.default_rng(0).normal(size=(200_000, 4)) * 3 + 5
        flow = pf.maf(4, layers=5, hidden=128, seed=1)
        before = flow.log_prob(y[:1000]).mean()
        print("started", flush=True)
        try:
            flow.fit(y, epochs=1000, batch_size=64, validation_fraction=0.01)
        except KeyboardInterrupt:
            print("interrupted", flow.log_prob(y[:1000]).mean() > before + 1, np.isfinite(flow.log_prob(y[:9])).all())
        """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    threading.Event().wait(3)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert out == "interrupted True True\n" and process.returncode == 0


def test_data_that_cannot_be_fitted():
    flow = pf.maf(2, layers=1, hidden=8)
    before = flow.log_prob(BANANA)
    bad = BANANA.copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match="row 7, column 1"):
        flow.fit(bad)
    with pytest.raises(ValueError):
        flow.fit(BANANA[:0])
    with pytest.raises(ValueError, match="epochs"):
        flow.fit(BANANA, epochs=-1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'; there are epochs"):
        flow.fit(BANANA, epoch=3)
    with pytest.raises(TypeError, match="epochs: did not expect a str"):
        flow.fit(BANANA, epochs="three")
    with pytest.raises(ValueError, match="optimizer must be one of adam"):
        flow.fit(BANANA, optimizer="adamax")
    with pytest.raises(TypeError, match="y is float32"):
        flow.fit(BANANA.astype("float32"))
    np.testing.assert_array_equal(flow.log_prob(BANANA), before)


def test_warnings_are_pythons():
    constant = BANANA.copy()
    constant[:, 1] = 1.0
    with pytest.warns(pf.FitWarning, match="column 1"):
        report = pf.Normal(2).fit(constant, epochs=1)
    assert any("column 1" in text for text in report.warnings)


def test_options_reach_the_library():
    rates = pf.Normal(2).fit(BANANA, epochs=4, schedule="cosine", learning_rate=0.1, patience=0).learning_rate
    assert rates[0] > rates[-1]
    same = pf.Normal(2).fit(BANANA, epochs=4, learning_rate=0.1).learning_rate
    np.testing.assert_allclose(same, 0.1)
    for optimizer in (pf.Adam(beta1=0.8), pf.Sgd(momentum=0.5), pf.Lion(), pf.Ema(pf.Adam(), decay=0.9), "lion"):
        flow = pf.Normal(2)
        flow.fit(BANANA, epochs=3, optimizer=optimizer, learning_rate=0.01)
        assert np.isfinite(flow.log_prob(BANANA)).all()
    with pytest.raises(ValueError, match="beta"):
        pf.Adam(beta1=2.0)


def test_checkpoints(tmp_path):
    path = tmp_path / "run"
    whole = pf.maf(2, layers=1, hidden=8)
    whole.fit(BANANA, epochs=6, seed=1)
    parts = pf.maf(2, layers=1, hidden=8)
    parts.fit(BANANA, epochs=6, seed=1, checkpoint=path, callback=lambda p: p.epoch < 3)
    resumed = pf.maf(2, layers=1, hidden=8)
    resumed.fit(BANANA, epochs=6, seed=1, checkpoint=str(path), resume=True)
    np.testing.assert_array_equal(resumed.log_prob(BANANA), whole.log_prob(BANANA))
    with pytest.raises(OSError):
        pf.maf(2, layers=2, hidden=8).fit(BANANA, epochs=6, checkpoint=path, resume=True)


def test_calls_go_on_during_a_fit():
    flow = pf.maf(2, layers=2, hidden=16)
    before = flow.log_prob(BANANA)
    during = []
    flow.fit(BANANA, epochs=2, callback=lambda p: during.append(flow.log_prob(BANANA)))
    np.testing.assert_array_equal(during[1], before)
    again = []  # on the pool that the fit has too
    shared = pf.Execution(2)
    flow.fit(BANANA, epochs=2, threads=shared, callback=lambda p: again.append(flow.log_prob(BANANA, threads=shared)))
    assert len(again) == 2
    assert not np.array_equal(flow.log_prob(BANANA), before)


def test_single_precision():
    flow = pf.maf(2, layers=1, hidden=8, dtype="float32")
    report = flow.fit(BANANA.astype("float32"), epochs=20, seed=1)
    assert report.validation.mean > gaussian_likelihood(BANANA) - 0.2


def test_fit_best():
    stages = []
    model, report = pf.fit_best(
        BANANA[:1500],
        steps=1500,
        folds=1,
        candidates=["gaussian", "mixture", "nsf_ar", ("mine", pf.maf(2, layers=1, hidden=8))],
        seed=1,
        callback=lambda name, stage, count: stages.append(name),
    )
    assert {c.name for c in report.candidates} == {"gaussian", "mixture", "nsf_ar", "mine"}
    assert report.candidates[0].behind.mean == 0 and report.complete
    gaussian = next(c for c in report.candidates if c.name == "gaussian")
    assert gaussian.validation.mean == pytest.approx(gaussian_likelihood(BANANA[:1500]), abs=0.3)
    assert model.log_prob(BANANA[1500:]).mean() > gaussian_likelihood(BANANA[1500:]) + 0.2
    assert report.reason and report.reason in str(report) and set(stages) <= {"nsf_ar", "mine", "gaussian", "mixture"}
    assert pickle.loads(pickle.dumps(report)).candidates == report.candidates
    with pytest.raises(ValueError, match="no candidate 'maff'"):
        pf.fit_best(BANANA, candidates=["maff"])
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        pf.fit_best(BANANA, epoch=1)


def test_fit_best_finds_counts():
    counts = rng.poisson(3.0, size=(1000, 1)).astype(float)
    model, report = pf.fit_best(counts, steps=300, folds=1, candidates=["gaussian", "mixture"], seed=1)
    assert report.rounded == {0: (0.0, 1.0)} and isinstance(model, pf.Quantized)
    assert abs(model.prob(np.arange(40.0)[:, None]).sum() - 1) < 0.01


def test_fit_best_can_be_stopped():
    with pytest.raises(ZeroDivisionError):
        pf.fit_best(BANANA, steps=5000, folds=1, callback=lambda *_: 1 / 0)


def test_compare():
    truth = pf.Normal(2)
    wide = pf.Normal(2, scale=2.0)
    y = rng.normal(size=(500, 2))
    y[3, 0] = np.nan
    found = pf.compare({"truth": truth, "wide": wide}, y)
    kept = np.delete(y, 3, 0)
    difference = (st.norm.logpdf(kept) - st.norm.logpdf(kept, scale=2)).sum(1)
    assert (found.rows, found.incomplete_rows) == (499, 1)
    assert found.models[1].first_minus_this.mean == pytest.approx(difference.mean())
    assert found.models[1].first_minus_this.standard_error == pytest.approx(difference.std(ddof=1) / np.sqrt(499))
    assert found.models[0].best_in == (difference > 0).sum() and found.models[1].best_in == (difference < 0).sum()
    assert "truth" in str(found) and f"{difference.mean():.4f}" in str(found)
    bounded = pf.compare([truth, pf.Uniform(low=[-1.0, -1.0], high=[1.0, 1.0])], kept)
    inside = (abs(kept) <= 1).all(1)
    assert bounded.models[1].density_zero == bounded.models[1].zero_apart == (~inside).sum()
    with pytest.raises(ValueError, match="two models"):
        pf.compare([truth], y)
    with pytest.raises(ValueError, match="cannot be compared"):
        pf.compare([truth, pf.Normal(3)], y)
    with pytest.raises(ValueError, match="mass"):
        pf.compare([truth, pf.Quantized(truth, {0: 1.0})], y)


def test_calibration_report():
    y = rng.normal(size=(1000, 2))
    right = pf.Normal(2).calibration_report(y, seed=1, threads=2)
    assert right.passed and right.rows == right.tested == 1000
    assert right.score.mean == pytest.approx(st.norm.logpdf(y).sum(1).mean())
    assert len(right.columns) == 2 and right.columns[0].values.shape == (1000,)
    assert st.kstest(right.columns[0].values, "uniform").pvalue == pytest.approx(right.columns[0].test.ks_p, abs=0.02)
    np.testing.assert_allclose(right.latents[0].values, st.norm.cdf(y[:, 0]), atol=1e-9)
    np.testing.assert_allclose(right.radius, np.sqrt((y**2).sum(1)), rtol=1e-9)
    assert [c.level for c in right.coverage] == [0.5, 0.8, 0.9, 0.95, 0.99, 0.999]
    wrong = pf.Normal(2, scale=[1.0, 1.5]).calibration_report(y, seed=1)
    assert not wrong.passed and any(f.found for f in wrong.findings)
    assert wrong.verdict in str(wrong)
    assert pickle.loads(pickle.dumps(wrong)).findings == wrong.findings
    with pytest.raises(ValueError, match="20"):
        pf.Normal(2).calibration_report(y[:5])


MEAN, PRECISION = np.array([1.0, -2.0]), np.array([[2.0, -0.6], [-0.6, 1.0]])


def gaussian_target(y):
    d = y - MEAN
    return -0.5 * np.einsum("ni,ij,nj->n", d, PRECISION, d), -d @ PRECISION


def test_reverse_kl():
    """The divergence is that between two Gaussians, and 0 can be reached."""
    options = dict(epochs=10, batch_size=200, learning_rate=0.05, schedule="cosine", seed=4)
    flow = pf.MultivariateNormalTriL(2)
    report = flow.fit_reverse_kl(gaussian_target, **options)
    np.testing.assert_allclose(flow.mean(), MEAN, atol=0.02)
    np.testing.assert_allclose(flow.covariance(), np.linalg.inv(PRECISION), atol=0.03)
    # Up to the target's constant the divergence is -log Z.
    log_z = np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(PRECISION))
    assert report.train_loss[-1] == pytest.approx(-log_z, abs=0.01)
    assert report.steps == 1000
    single = pf.MultivariateNormalTriL(2, dtype="float32")
    single.fit_reverse_kl(lambda y: tuple(a.astype(y.dtype) for a in gaussian_target(y)), **options)
    np.testing.assert_allclose(single.mean(), MEAN, atol=0.02)


def test_reverse_kl_of_a_flow_is_the_same_with_threads():
    options = dict(epochs=2, steps_per_epoch=5, batch_size=64, seed=1)
    one, two = (pf.maf(2, layers=2, hidden=8, seed=2) for _ in range(2))
    one.fit_reverse_kl(gaussian_target, **options)
    two.fit_reverse_kl(gaussian_target, threads=2, **options)
    y = rng.normal(size=(20, 2))
    np.testing.assert_array_equal(one.log_prob(y), two.log_prob(y))
    assert not np.array_equal(one.log_prob(y), pf.maf(2, layers=2, hidden=8, seed=2).log_prob(y))


def test_targets_that_cannot_be_used():
    flow = pf.MultivariateNormalTriL(2)
    calls = []

    def fails(y):
        calls.append(len(y))
        if len(calls) > 3:
            raise KeyError("the likelihood")
        return gaussian_target(y)

    with pytest.raises(KeyError, match="the likelihood"):
        flow.fit_reverse_kl(fails, epochs=5, batch_size=16)
    assert np.isfinite(flow.log_prob(np.zeros((1, 2)))).all()
    with pytest.raises(TypeError, match=r"target: expected \(log density, gradient\)"):
        flow.fit_reverse_kl(lambda y: y[:, 0], epochs=1)
    with pytest.raises(ValueError, match=r"expected shapes \(16,\) and \(16, 2\), got \(16,\) and \(16, 1\)"):
        flow.fit_reverse_kl(lambda y: (y[:, 0], y[:, :1]), epochs=1, batch_size=16)
    with pytest.raises(TypeError, match="weights: there are no rows of data"):
        flow.fit_reverse_kl(gaussian_target, weights=np.ones(3))
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        flow.fit_reverse_kl(gaussian_target, epoch=3)
    with pytest.raises(NotImplementedError, match="have no gradient"):
        pf.Gamma(2).fit_reverse_kl(gaussian_target, epochs=1)
