"""Tables that are larger than one process's memory: memory maps, and partitions that workers score."""

import dask.array
import distributed
import numpy as np
import pushforward as pf
import pytest


@pytest.fixture(scope="module")
def table():
    x = np.random.default_rng(3).normal(size=(6000, 2))
    return np.column_stack([x[:, 0], x[:, 0] ** 2 + x[:, 1]])


@pytest.fixture(scope="module")
def model(table):
    return pf.prepare_and_fit(pf.maf(2, layers=2, hidden=16), table, epochs=3)[0]


def test_memory_map_is_fitted_where_it_lies(table, tmp_path):
    np.save(tmp_path / "table.npy", table)
    mapped = np.load(tmp_path / "table.npy", mmap_mode="r")
    fitted = []
    for rows in (table, mapped):
        flow, _ = pf.prepare_and_fit(pf.maf(2, layers=2, hidden=16), rows, epochs=2, shuffle_block=64)
        fitted.append(flow.log_prob(table))
    np.testing.assert_array_equal(*fitted)
    flow = pf.prepare_and_fit(pf.maf(2, layers=2, hidden=16), table, epochs=2)[0]
    assert (flow.log_prob(table) != fitted[0]).any() and abs(flow.log_prob(table).mean() - fitted[0].mean()) < 0.1
    with pytest.raises(ValueError, match="shuffle_block .*from 1 to 131072"):
        pf.maf(2).fit(table, shuffle_block=0)


def test_workers_of_dask_score_their_partitions(table, model):
    rows = dask.array.from_array(table, chunks=(1000, 2))
    scores = rows.map_blocks(model.log_prob, drop_axis=1, dtype=float)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster):
            np.testing.assert_array_equal(scores.compute(), model.log_prob(table))
