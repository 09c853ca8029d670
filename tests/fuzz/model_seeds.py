#!/usr/bin/env python3
"""Seeds for fuzz_model from model files: model_seeds.py <folder with models> <folder for seeds>

Takes the checksum out and keeps two reference rows, so that files are small and mutations get past the door.
"""

import json
import pathlib
import struct
import sys

KEPT = """affine beta cauchy chain column_supports coupling_residual_context exp gamma invert_lu_linear log logistic
laplace made_additive made_residual_context maf_one_column mixture multivariate_student_t permute prepared scale sigmoid
student_t tanh uniform""".split()

source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir(parents=True, exist_ok=True)
for name in KEPT:
    data = (source / f"{name}.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header["__metadata__"]
    del metadata["pushforward.crc32"]
    model = json.loads(metadata["pushforward"])
    model["reference"] = {key: rows[:2] for key, rows in model["reference"].items()}
    metadata["pushforward"] = json.dumps(model, separators=(",", ":"), sort_keys=True)
    text = json.dumps(header, separators=(",", ":"))
    text += " " * (-len(text) % 8)
    (target / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text.encode() + data[8 + length :])
