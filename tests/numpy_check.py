"""The reader and writer of docs/model_file.md against the library.

    numpy_check.py <folder that write_models has filled> <pushforward>

What the page's code says of each model in the folder must be what the library computed (the CSV beside it, the
reference rows in it) and what its tool prints, and the tool must read what the page's writer writes. The page's tables
must say what the files hold, and what it says of versions must be true of its reader and of the library.
"""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import model_page as page

LARGEST_DIFFERENCE = 1e-10  # relative to 1 + |log_prob|
LARGEST_ERROR = 1e-7  # of a value that goes to the base and back
FEWEST_MODELS = 40

failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}")


def difference(found, expected):
    """The largest one, relative to 1 + |expected|; infinite where one is finite and the other is not."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        relative = np.abs(found - expected) / (1 + np.abs(expected))
    return float(np.max(np.where(same, 0, np.where(np.isnan(relative), np.inf, relative)), initial=0))


class Tool:
    def __init__(self, path):
        self.path = path

    def run(self, *arguments):
        return subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True)

    def log_prob(self, model, rows):
        result = self.run("log-prob", model, rows)
        if result.returncode != 0:
            raise ValueError(result.stderr)
        return np.array([float(line) for line in result.stdout.split("\n")[1:-1]])


# ----------------------------------------------------------------------------------------------- the page's tables


def kind(value):
    if isinstance(value, np.ndarray):
        return "integers" if value.dtype == np.int64 else "numbers"
    return {bool: "flag", int: "integer", float: "number", str: "text"}.get(type(value), "texts")


def as_text(value):
    """As the tables write the usual values."""
    if isinstance(value, np.ndarray):
        return str(value.tolist()) if value.size else "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def fits(name, patterns):
    return any(re.fullmatch(re.sub(r"<\w>", r"\\d+", re.escape(p)), name) for p in patterns)


def extents(shape, node):
    """Of a shape as the tables write it: constants and numbers; k parts, m parameters of a transformer."""
    m = sum(page.parameters(part) for _, part in node.parts)
    numbers = {**node.constants, "k": len(node.parts), "m": m}
    return tuple(math.prod(int(numbers.get(word, word)) for word in extent.split()) for extent in shape.split(", "))


def check_node(node, types, seen):
    """That the tables name what the component has."""
    here, of = f"{node.path or 'the model'}: {node.type}", types[node.type]
    seen.add(node.type)
    for name, value in node.constants.items():
        said = of.kinds.get(name)
        expect(said == kind(value), f"{here}: the page says of {name}: {said}, not {kind(value)}")
        expect(of.usual.get(name) != as_text(value), f"{here}: {name} has its usual value {as_text(value)}")
    missing = set(of.kinds) - set(node.constants) - set(of.usual)
    expect(not missing, f"{here}: the page says that {missing} must be there")
    numbered = "0" in of.parts
    for name, part in node.parts:
        expect(name in of.parts or (numbered and name.isdigit()), f"{here}: the page names no part {name}")
        check_node(part, types, seen)
    inside = tuple(node.path + name + "." for name, _ in node.parts)
    below = [name for name in node.tensors if name.startswith(node.path) and not name.startswith(inside)]
    own = [name[len(node.path) :] for name in below]
    for name in own:
        if not (node.path == "" and name.startswith("constants.")):
            expect(fits(name, of.tensors), f"{here}: the page names no tensor {name}")
        if name in of.shapes:
            found, said = node.tensor(name).shape, extents(of.shapes[name], node)
            expect(found == said, f"{here}: {name} has the shape {found}, not {said}")
    if node.type == "made":
        for name in own:
            if name.endswith(".weight") and "context" not in name:
                hidden = node.tensor(name)[~page.made_mask(node, name.removesuffix(".weight"))]
                expect(not hidden.any(), f"{here}: {name} holds values behind the mask")


def check_tables(classes):
    types = page.documented()
    expect(set(types) == classes, f"types of the page's tables and of classes.txt: {set(types) ^ classes}")
    expect(set(page.READERS) == classes, f"types of the page's code and of classes.txt: {set(page.READERS) ^ classes}")
    for name, of in types.items():
        known = page.READERS[name][1] if name in page.READERS else set()
        expect(set(of.kinds) == known, f"{name}: constants in the table or in the code alone: {set(of.kinds) ^ known}")
    return types


# ------------------------------------------------------------------------------------------------ what it computes


def check_model(path, tool, types, seen):
    model = page.Model(path)
    expect(model.check() > 0, f"{path}: no reference rows")
    check_node(model.node(), types, seen)
    table = path.with_suffix(".csv")
    if not table.exists():  # one in float
        expect(model.json["scalar"] == "float32", f"{path}: no rows of a model in double")
        return
    names = table.open().readline().strip().split(",")
    data = np.loadtxt(table, delimiter=",", skiprows=1, ndmin=2)
    columns, context_columns = model.json["columns"], model.json["context_columns"]
    expect(columns + context_columns + ["log_prob"] == names, f"{path}: columns {columns} and {context_columns}")
    expect(model.notes == {"name": path.stem}, f"{path}: notes {model.notes}")
    y, context, expected = data[:, : len(columns)], data[:, len(columns) : -1] if context_columns else None, data[:, -1]
    low, high = np.array(model.json["data_range"]).T
    expect(((low <= y[:100]) & (y[:100] <= high)).all(), f"{path}: draws beyond {low} and {high}")

    found = model.log_prob(y, context)
    by_row = [difference(f, e) for f, e in zip(found, expected)]
    off, worst = max(by_row), int(np.argmax(by_row))
    expect(off <= LARGEST_DIFFERENCE, f"{path}: row {worst}: found {found[worst]}, expected {expected[worst]}")
    expect(difference(found, tool.log_prob(path, table)) <= LARGEST_DIFFERENCE, f"{path}: differs from the tool")

    if model.node().type == "transformed_distribution":
        check_directions(path, model.node().part("bijector"), y[:100], None if context is None else context[:100])

    # The same model by the page's writer: the tool checks its checksum and the reference rows that the page computed.
    copy = path.with_suffix(".copy")
    reference = model.json["reference"]
    rows, contexts = np.array(reference["rows"], float), np.array(reference["contexts"], float)
    page.write_model(copy, model.json["description"], model.tensors, rows, contexts if len(contexts) else None, columns,
                     context_columns, model.notes)
    expect("pushforward.crc32" in page.read_safetensors(copy)[1], f"{path}: written again without a checksum")
    expect(difference(tool.log_prob(copy, table), expected) == 0, f"{path}: written again it is another model")
    print(f"{path.name}: {len(found)} rows, {int(np.isneginf(expected).sum())} outside, largest difference {off:.1e}")


def check_directions(path, bijector, y, context):
    """Forward undoes inverse, and its log_det is the negative."""
    with np.errstate(all="ignore"):
        x, inverse, outside = bijector(y, context, False)
        again, forward, outside_again = bijector(x, context, True)
    same = np.abs(again - y) <= LARGEST_ERROR * (1 + np.abs(y))
    expect(not outside.any() and not outside_again.any(), f"{path}: draws are outside")
    expect(same.all(), f"{path}: forward does not undo inverse, row {np.argmin(same.all(axis=1))}")
    expect(difference(forward, -inverse) <= LARGEST_ERROR, f"{path}: log_dets {forward} and {inverse}")


def check_not_finite():
    node = page.Node({"type": "normal", "constants": {"dim": 2}, "children": []},
                     {"loc": np.zeros(2), "log_scale": np.zeros(2)}, "float64")
    found = page.log_prob(node, np.array([[np.nan, 0], [np.inf, 0], [np.inf, np.nan], [0, 0]]))
    expect(np.isnan(found[[0, 2]]).all() and found[1] == -np.inf and np.isfinite(found[3]), f"not finite: {found}")


def check_found_grids():
    """A value between the numbers has the cell around it where the grid was found in rows."""
    inner = {"type": "normal", "constants": {"dim": 2}, "children": []}
    tensors = {"inner.loc": np.zeros(2), "inner.log_scale": np.zeros(2), "c": np.array([0, 1]), "f": np.array([1])}
    constants = {"columns": {"tensor": "c"}, "origins": {"numbers": [0, 0]}, "steps": {"numbers": [1, 0.5]}, "points": 1,
                 "factors": {"numbers": [1, 1]}}
    rows = np.array([[1, 0.3], [0.5, 1], [1, 1], [1, 0.504]])
    cells = np.array([[1, 0.3], [0.5, 1], [1, 1], [1, 0.5]])

    def values(more):
        description = {"type": "quantized", "constants": {**constants, **more},
                       "children": [{"name": "inner", "description": inner}]}
        return page.log_prob(page.Node(description, tensors, "float64"), rows)

    normal = -0.5 * (cells**2).sum(axis=1) - np.log(2 * np.pi) + np.log(0.5)
    outside = np.array([False, True, False, False])
    expect(difference(values({"found": {"tensor": "f"}}), np.where(outside, -np.inf, normal)) < 1e-15, "found grids")
    outside[0] = True
    expect(difference(values({}), np.where(outside, -np.inf, normal)) < 1e-15, "grids that are given")


# ------------------------------------------------------------------------------------------------ what it refuses


def part(description, name):
    return next(child["description"] for child in description["children"] if child["name"] == name)


class File:
    """A model file that is changed and written again."""

    def __init__(self, path):
        self.tensors, self.metadata = page.read_safetensors(path)
        self.text = json.loads(self.metadata["pushforward"])
        self.bijector = part(self.text["description"], "bijector")
        self.constants, self.parts = self.bijector["constants"], self.bijector["children"]
        self.net = part(self.bijector, "net")
        self.reference = self.text["reference"]

    def write(self, path, crc):
        self.metadata["pushforward"] = json.dumps(self.text)
        del self.metadata["pushforward.crc32"]
        if crc:
            self.metadata["pushforward.crc32"] = page.checksum(self.metadata["pushforward"], self.tensors)
        page.write_safetensors(path, self.tensors, self.metadata)


def check_rules(folder, tool):
    """What the page says of versions: of its own reader and of the library."""
    original, changed = folder / "coupling_mlp.safetensors", folder / "changed.copy"

    def rule(what, expected, edit):
        for crc in (True, False):
            file = File(original)
            edit(file)
            file.write(changed, crc)
            try:
                page.Model(changed).check()
                read = True
            except (ValueError, KeyError):
                read = False
            found = read, tool.run("info", changed).returncode == 0
            expect(found == expected, f"{what}: taken by the page's reader and by the library: {found}, not {expected}")

    both, neither, reader_alone = (True, True), (False, False), (True, False)
    more = {"name": "more", "description": {"type": "identity", "constants": {"dim": 1}, "children": []}}
    rule("nothing", both, lambda f: None)
    rule("a field", both, lambda f: f.text.update(more=1))
    rule("a field of a component", both, lambda f: f.bijector.update(more=1))
    rule("a field of the reference", both, lambda f: f.reference.update(more=1))
    rule("a note", both, lambda f: f.metadata.update(more="1"))
    rule("parts in another order", both, lambda f: f.parts.reverse())
    rule("an optional constant", both, lambda f: f.constants.update(input_bound={"number": 1e9}))
    rule("an integer for a number", both, lambda f: f.constants.update(input_bound=10**9))
    rule("no reference rows", both, lambda f: [rows.clear() for rows in f.reference.values()])
    rule("another schema", neither, lambda f: f.text.update(schema=2))
    rule("a type", neither, lambda f: f.bijector.update(type="more"))
    rule("a constant", neither, lambda f: f.constants.update(more=1))
    rule("a value of a text", neither, lambda f: f.net["constants"].update(activation="more"))
    rule("a reserved entry", neither, lambda f: f.metadata.update({"pushforward.more": "1"}))
    rule("no constant", neither, lambda f: f.constants.pop("mask"))
    rule("no field", neither, lambda f: f.text.pop("description"))
    rule("no part", neither, lambda f: f.parts.pop())
    rule("no tensor", neither, lambda f: f.tensors.pop("base.loc"))
    rule("another reference row", neither, lambda f: f.reference["log_prob"][0].__setitem__(0, 0.0))
    rule("a tensor without use", reader_alone, lambda f: f.tensors.update(more=np.zeros(1)))
    rule("a part without use", reader_alone, lambda f: f.parts.append(more))
    rule("a usual value", reader_alone, lambda f: f.constants.update(input_bound={"number": "inf"}))

    data = bytearray(original.read_bytes())
    data[-100] ^= 1
    changed.write_bytes(data)
    try:
        page.Model(changed)
        expect(False, "the page's code takes a file with another bit")
    except ValueError:
        pass


def check_example(folder, tool):
    path, table = folder / "example.copy", folder / "example.csv"
    page.write_example(path)
    table.write_text("weight,height\n1,0\n0.25,-1.5\n3,2\n-1,0\n")
    rows = np.array([[0, 1], [-1.5, 0.25], [2, 3], [0, -1]], float)
    found = page.Model(path).log_prob(rows)
    # height = 0.6 a + 0.8 b and log(exp(weight) - 1) = a for normal a and b
    a = np.log(np.expm1(rows[:3, 1]))
    b = (rows[:3, 0] - 0.6 * a) / 0.8
    exact = -0.5 * (a**2 + b**2) - np.log(2 * np.pi * 0.8) - np.log(-np.expm1(-rows[:3, 1]))
    expect(difference(found, np.append(exact, -np.inf)) < 1e-12, f"the example: {found}, expected {exact}")
    expect(difference(found, tool.log_prob(path, table)) < 1e-12, "the example differs from the tool")


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    folder, tool = Path(sys.argv[1]), Tool(sys.argv[2])
    root = Path(__file__).resolve().parent.parent
    classes = {line.split()[2] for line in (root / "classes.txt").open() if not line.startswith("#")}
    types, seen = check_tables(classes), set()
    models = sorted(folder.glob("*.safetensors"))
    for path in models:
        try:
            check_model(path, tool, types, seen)
        except (ValueError, KeyError) as error:
            expect(False, f"{path}: {error!r}")
    expect(len(models) >= FEWEST_MODELS, f"{len(models)} models")
    expect(seen == classes, f"types in no model: {classes - seen}")
    check_not_finite()
    check_found_grids()
    check_rules(folder, tool)
    check_example(folder, tool)
    print(f"{len(models)} models of {len(seen)} types, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
