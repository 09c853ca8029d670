"""Writes the oracle files: one JSON object per file, keys sorted, one row of numbers per line.

Numbers are written with `repr`, which is the shortest text that reads back as the same double. Infinities are
the strings "inf" and "-inf" (JSON has no such numbers); a quantity that is undefined is null.
"""
import json
import math
import os

DIRECTORY = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "data", "oracles"))
LARGEST_FILE = 60_000


def plain(value):
    """Tensors, arrays and scalars of any library as plain lists and Python numbers."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy") and not isinstance(value, (list, dict)):
        value = value.numpy()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value


def _text(value, indent):
    pad = " " * indent
    if isinstance(value, dict):
        if not value:
            return "{}"
        items = [f"{pad} {json.dumps(k)}: {_text(value[k], indent + 1)}" for k in sorted(value)]
        return "{\n" + ",\n".join(items) + "\n" + pad + "}"
    if isinstance(value, list) and any(isinstance(v, (list, dict)) for v in value):
        return "[\n" + ",\n".join(f"{pad} {_text(v, indent + 1)}" for v in value) + "\n" + pad + "]"
    if isinstance(value, list):
        return "[" + ", ".join(_text(v, 0) for v in value) + "]"
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def save(name, content):
    for key in ("source", "made_by", "settings"):
        if key not in content:
            raise ValueError(f"{name}: no '{key}'")
    text = _text(plain(content), 0) + "\n"
    if len(text) > LARGEST_FILE:
        raise ValueError(f"{name}: {len(text)} bytes")
    os.makedirs(DIRECTORY, exist_ok=True)
    with open(os.path.join(DIRECTORY, name + ".json"), "w", encoding="ascii") as out:
        out.write(text)
    json.loads(text)
    print(f"{name}.json {len(text)}")
