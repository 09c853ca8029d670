"""Prints the table system x feature x mode of the batch normalisation cases: how many, and of which ranks.

Each case is run by the tests in double and in float. Exit status 1 if a cell has cases of fewer than three shapes.
    python3 tests/oracles/batch_norm_table.py > docs/batch_normalization_cases.md
"""
import json
import pathlib
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "data" / "oracles"

print("# Cases of batch normalisation\n")
print("Made by `tests/oracles/batch_norm_table.py`. Each case runs in double (to 1e-10) and in float (to 1e-5) against "
      "the numbers of the system.\n")
print("| system | feature | mode | cases | shapes | ranks |\n|---|---|---|---|---|---|")
thin = []
for file in sorted(DATA.glob("batch_norm_*.json")):
    system = file.stem.removeprefix("batch_norm_")
    cells = {}
    for case in json.loads(file.read_text())["cases"]:
        cells.setdefault((case["feature"], case["mode"]), []).append(tuple(case["shape"]))
    for (feature, mode), shapes in sorted(cells.items(), key=lambda cell: (cell[0][1] == "refusal", cell[0])):
        ranks = sorted({len(shape) for shape in shapes})
        refusal = mode == "refusal"
        print(f"| {system} | {feature} | {mode} | {len(shapes)} | {'' if refusal else len(set(shapes))} | "
              f"{'' if refusal else ', '.join(map(str, ranks))} |")
        if not refusal and len(set(shapes)) < 3:
            thin.append(f"{system} {feature} {mode}")
if thin:
    sys.exit("cells with fewer than three shapes: " + ", ".join(thin))
