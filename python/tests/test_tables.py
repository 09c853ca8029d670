"""pandas, pyarrow and polars tables go in by the names of their columns."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pushforward as pf

rng = np.random.default_rng(5)
Y = rng.normal(size=(300, 2))
OTHER = rng.integers(0, 9, size=300)
FLOW = pf.Normal(loc=[0.0, 5.0], scale=[1.0, 2.0])
FLOW.columns = ["a", "b"]
WANTED = FLOW.log_prob(Y)


def tables(columns):
    return {
        "pandas": pd.DataFrame(columns),
        "pandas, Arrow types": pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
        "pyarrow": pa.table(columns),
        "pyarrow, in pieces": pa.concat_tables([pa.table(columns).slice(0, 100), pa.table(columns).slice(100)]),
        "record batch": pa.RecordBatch.from_pydict(columns),
        "polars": pl.DataFrame(columns),
    }


KINDS = list(tables({"a": Y[:, 0]}))


@pytest.mark.parametrize("kind", KINDS)
def test_columns_by_name(kind):
    columns = {"b": Y[:, 1], "c": OTHER, "a": Y[:, 0]}
    np.testing.assert_array_equal(FLOW.log_prob(tables(columns)[kind]), WANTED)
    with pytest.raises(ValueError, match="has no column 'b'; it has 'a', 'c'"):
        FLOW.log_prob(tables({"a": Y[:, 0], "c": OTHER})[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_takes_the_names(kind):
    flow = pf.Normal(2)
    flow.fit(tables({"x": Y[:, 0], "z": Y[:, 1]})[kind], epochs=2, batch_size=300)
    assert flow.columns == ["x", "z"]
    np.testing.assert_array_equal(flow.log_prob(tables({"z": Y[:, 1], "x": Y[:, 0]})[kind]), flow.log_prob(Y))


def test_contexts():
    flow = pf.maf(1, context_dim=1, layers=1, hidden=8)
    table = pd.DataFrame({"y": Y[:, 0], "c": Y[:, 1]})
    flow.columns, flow.context_columns = ["y"], ["c"]
    np.testing.assert_array_equal(flow.log_prob(table, table), flow.log_prob(Y[:, :1], Y[:, 1:]))


@pytest.mark.parametrize("kind", KINDS)
def test_types(kind):
    flow = pf.Normal(2)
    flow.columns = ["a", "n"]
    table = tables({"a": Y[:, 0], "n": OTHER})[kind]
    np.testing.assert_array_equal(flow.log_prob(table), flow.log_prob(np.stack([Y[:, 0], OTHER], 1)))
    with pytest.raises(TypeError, match="column 'a' is (double|float64).* and the model float32"):
        flow.astype("float32").log_prob(table)
    with pytest.raises(TypeError, match="column 'n'.*not of numbers"):
        flow.log_prob(tables({"a": Y[:, 0], "n": OTHER.astype(str)})[kind])
    large = np.full(300, 2**53 + 1)
    with pytest.raises(TypeError, match="column 'n'.*cannot tell apart"):
        flow.log_prob(tables({"a": Y[:, 0], "n": large})[kind])


@pytest.mark.parametrize("make", [pa.table, pl.DataFrame])
def test_missing_values_are_nan(make):
    flow = pf.Normal(2)
    flow.columns = ["a", "n"]
    value = flow.log_prob(make({"a": [1.0, None, 2.0], "n": [1, 2, None]}))
    assert np.isnan(value).tolist() == [False, True, True]
    with pytest.raises(ValueError, match="row 1, column 0"):
        flow.fit(make({"a": [1.0, None, 2.0], "n": [1, 2, 3]}))


def test_a_column_twice():
    table = pd.DataFrame(np.zeros((3, 3)), columns=["a", "b", "a"])
    with pytest.raises(ValueError, match="more than one column 'a'"):
        FLOW.log_prob(table)
