"""ONNX models that the library wrote, beside the library: onnx_check.py FOLDER, the folder that export_cases has filled.

Needs numpy, onnx and onnxruntime.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

folder = pathlib.Path(sys.argv[1])
failures = checks = 0


def check(what, got, expected, tolerance):
    """Relative to 1 or more; a row that is not finite is so on both sides."""
    global failures, checks
    checks += expected.size
    got, expected = np.asarray(got, float).reshape(expected.shape), np.asarray(expected, float)
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    wrong = ~((error <= tolerance) | (got == expected) | (np.isnan(got) & np.isnan(expected)))
    for row in np.argwhere(wrong)[:3]:
        print(f"{what}, row {row[0]}: got {got[tuple(row)]!r}, expected {expected[tuple(row)]!r}")
    failures += int(wrong.sum())


for kind, dtype, tolerance in (("double", np.float64, 1e-10), ("float", np.float32, 1e-5)):
    for case in json.loads((folder / f"{kind}.json").read_text()):
        for suffix, inputs, output, expected in (
            ("", {"y": "y", "context": "context"}, "log_prob", "log_prob"),
            ("_sample", {"noise": "noise", "context": "given"}, "y", "draws"),
        ):
            if expected not in case:
                continue
            path = folder / f"{case['file']}{suffix}.onnx"
            onnx.checker.check_model(onnx.load(path), full_check=True)
            try:
                session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            except Exception as e:  # an operator that this runtime lacks in double
                if kind == "double" and "NOT_IMPLEMENTED" in str(e) and "Erf" in str(e):
                    print(f"{case['name']}: onnxruntime has no Erf of double")
                    continue
                raise
            names = [i.name for i in session.get_inputs()]
            for rows in (slice(None), slice(0, 1)):
                feed = {n: np.array(case[inputs[n]], dtype)[rows] for n in names}
                got = session.run([output], feed)[0]
                with np.errstate(over="ignore"):  # of which float has no more than an infinity
                    wanted = np.array(case[expected]).astype(dtype)[rows]
                check(f"{case['name']} {expected}", got, wanted[:, 0] if output == "log_prob" else wanted, tolerance)
print(f"{checks} numbers, {failures} differ")
sys.exit(failures > 0)
