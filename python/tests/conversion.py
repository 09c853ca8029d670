"""What the tests of conversions share: training, the comparison in both directions, and the table of the results."""

import copy
import dataclasses
import io
import json
from collections.abc import Callable
from importlib import metadata

import numpy as np
import torch

import pushforward as pf
from pushforward.convert import convert

torch.set_num_threads(1)  # small matrices
DIM, CONTEXT, ROWS = 4, 2, 20_000
RESULTS = []  # a row of the table for each case


def data(seed, count, context=False, columns=DIM):
    """Correlated columns of the order of 1, one of them curved, and contexts that move them."""
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(count, CONTEXT))
    y = rng.normal(size=(count, DIM)) @ (np.eye(DIM) + 0.5 * np.tril(np.ones((DIM, DIM)), -1)).T / 1.5
    y[:, 1] += 0.5 * y[:, 0] ** 2
    if context:
        y[:, :CONTEXT] += 0.5 * c
    return y[:, :columns], c


@dataclasses.dataclass
class Case:
    """A flow of a library, and what that library itself makes of rows."""

    name: str
    flow: object
    log_prob: Callable  # (flow, rows, context): the density
    to_base: Callable  # (flow, rows, context): data to base
    to_data: Callable  # (flow, rows, context): base to data; None if the library itself cannot
    conditional: bool = False
    bounds: tuple = None  # of the support, if it is a box
    columns: int = DIM
    exact: Callable = lambda flow: None  # what makes constants exact that were rounded when they were single
    units: tuple = ((0.0, 1.0), (0.0, 1.0))  # shift and scale of the rows, and of the contexts

    def rows(self, seed, count, spread=1.0):
        """Rows and contexts as in training, or reaching `spread` times as far."""
        y, c = data(seed, count, self.conditional, self.columns)
        y *= spread
        if self.bounds:
            low, high = self.bounds
            y = low + (high - low) / (1 + np.exp(-y))
        (shift, scale), (context_shift, context_scale) = self.units
        return shift + scale * y, context_shift + context_scale * c if self.conditional else None


def train(case, steps=200):
    """Maximum likelihood on rows in single precision, the library's own type."""
    torch.manual_seed(0)
    parameters = [p for p in case.flow.parameters() if p.requires_grad]
    if not parameters:
        return
    optimizer = torch.optim.Adam(parameters, 3e-3)
    case.flow.train()
    y, c = (None if a is None else torch.from_numpy(a.astype("f4")) for a in case.rows(0, 64 * steps))
    for i in range(steps):
        batch = slice(64 * i, 64 * (i + 1))
        loss = -case.log_prob(case.flow, y[batch], None if c is None else c[batch]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
    case.flow.eval()
    with torch.no_grad():  # what flows remember of their last call can be copied now
        case.log_prob(case.flow, y[:2], None if c is None else c[:2])


def bytes_of(flow):
    """The state of a flow, to see that it stays as it is."""
    file = io.BytesIO()
    torch.save({k: v for k, v in flow.state_dict().items()}, file)
    return file.getvalue(), flow.training, torch.get_rng_state().numpy().tobytes(), torch.get_default_dtype()


def largest(a, b, relative=False):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and np.isfinite(b).all()
    difference = np.abs(a - b) / (1 + np.abs(b)) if relative else np.abs(a - b)
    return float(difference.max())


def nats(ours, right, single=False):
    """The largest difference of log_prob. Numbers of another size, as of flows with nothing that bounds their scales,
    have fewer digits behind the point: they differ by a part of themselves."""
    usual = np.abs(right) < (100 if single else 10_000)
    assert usual.mean() > 0.8 and largest(ours, right, relative=True) <= (1e-4 if single else 1e-10)
    return largest(ours[usual], right[usual])


def check(case, tmp_path):
    """Converts the trained flow and compares: 20,000 rows that reach far beyond those of training."""
    train(case)
    before = bytes_of(case.flow)
    path = tmp_path / "flow.safetensors"
    model = convert(case.flow, path)
    assert bytes_of(case.flow) == before
    check_file(path, model)

    y, context = case.rows(1, ROWS, spread=3)
    theirs = copy.deepcopy(case.flow).double()
    case.exact(theirs)

    def ask(what, rows):
        return evaluate(what, theirs, rows, context)

    result = {"peer": type(case.flow).__module__.split(".")[0], "flow": case.name}
    result["double"] = nats(model.log_prob(y, context), ask(case.log_prob, y))
    assert result["double"] <= 1e-10
    if case.to_base:
        base = ask(case.to_base, y)
        result["to base"] = largest(model.inverse(y, context)[0], base, relative=True)
        assert result["to base"] <= 1e-10
    if case.to_data:
        x = 2 * data(2, ROWS, columns=case.columns)[0]
        result["to data"] = largest(model.forward(x, context)[0], ask(case.to_data, x), relative=True)
        assert result["to data"] <= 1e-8
    RESULTS.append({**result, **compare_single(case, theirs, *case.rows(1, ROWS, spread=2))})


def compare_single(case, theirs, y, c):
    """A model in float32 against the library's flow in double, at rows that float32 has, and what that flow itself
    loses in float32."""
    y, c = y.astype("f4"), None if c is None else c.astype("f4")
    model = convert(case.flow, dtype="float32")
    assert model.dtype == np.float32
    got = model.log_prob(y, c)
    right = evaluate(case.log_prob, theirs, y.astype(float), None if c is None else c.astype(float))
    with torch.no_grad():
        own = case.log_prob(case.flow, torch.from_numpy(y), None if c is None else torch.from_numpy(c)).numpy()
    result = {"float32": nats(got, right, single=True), "own": nats(own, right, single=True)}
    assert result["float32"] <= max(1e-4, 2 * result["own"])
    return result


def evaluate(what, flow, rows, context):
    """By the library itself, in double."""
    with torch.no_grad(), double():
        return what(flow, torch.from_numpy(rows), None if context is None else torch.from_numpy(context)).numpy()


class double:
    """Tensors that are made on the way are double."""

    def __enter__(self):
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *error):
        torch.set_default_dtype(torch.float32)


def check_file(path, model):
    """The file has the rows of the library that the flow comes from, and is the model that was returned."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    text = json.loads(header["__metadata__"]["pushforward"])
    assert len(text["reference"]["rows"]) == 64
    again = pf.load(path)
    rows = np.array(text["reference"]["rows"])
    contexts = np.array(text["reference"]["contexts"]) if text["reference"]["contexts"] else None
    np.testing.assert_array_equal(again.log_prob(rows, contexts), model.log_prob(rows, contexts))
    assert np.ptp(rows, axis=0).min() > 0
    assert "converted from" in again.notes
    assert [p.name for p in path.parent.iterdir()] == [path.name]


# ----------------------------------------------------------------------------------------------------------- the table

COLUMNS = ("double", "float32", "own", "to base", "to data")


def table(text, results):
    """The page with its table's rows replaced by those that were measured; other rows stay."""
    fresh = {}
    for result in results:
        peer = result["peer"]
        numbers = [f"{result[name]:.0e}" if name in result else "-" for name in COLUMNS]
        fresh[peer, result["flow"]] = [f"{peer} {version(peer)}", result["flow"], *numbers]
    head = ["library", "flow", "log_prob, double", "float32", "its own float32", "data to base", "base to data"]
    return replaced(text, "table", head, fresh)


def replaced(text, mark, head, fresh):
    """fresh: cells by library and flow."""
    above, rest = text.split(f"<!-- {mark} -->\n")
    old, below = rest.split(f"<!-- end of the {mark} -->\n")
    rows = {}
    for line in old.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[cells[0].split()[0], cells[1]] = line
    rows |= {key: row(cells) for key, cells in fresh.items()}
    lines = [row(head), "|---" * len(head) + "|", *(rows[key] for key in sorted(rows, key=lambda key: key[0].lower()))]
    return f"{above}<!-- {mark} -->\n" + "\n".join(lines) + f"\n<!-- end of the {mark} -->\n{below}"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def version(peer):
    return metadata.version({"pyro": "pyro-ppl"}.get(peer, peer))
