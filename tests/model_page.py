"""The Python blocks of docs/model_file.md as a module: its reader and writer of model files, with the page's line
numbers in tracebacks; and the page's tables."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "model_file.md"
TEXT = PAGE.read_text(encoding="utf-8")


def python_blocks(text):
    """The text with an empty line in place of every line that does not stand in a Python block."""
    lines, inside = [], False
    for line in text.split("\n"):
        if inside and line == "```":
            inside = False
        lines.append(line if inside else "")
        if line == "```python":
            inside = True
    return "\n".join(lines) + "\n"


exec(compile(python_blocks(TEXT), str(PAGE), "exec"))


def tables():
    """The rows of all tables as lists of cells, by the names of their columns."""
    rows, header = [], None
    for line in TEXT.split("\n"):
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if header is None:
            header = cells
        elif not set("".join(cells)) <= set("-"):
            if len(cells) != len(header):
                raise ValueError(f"{PAGE}: a row has {len(cells)} cells under {len(header)} columns: {line}")
            rows.append(dict(zip(header, cells)))
    return rows


KINDS = {
    "flag": bool,
    "integer": int,
    "number": float,
    "text": str,
    "integers": "integers",
    "numbers": "numbers",
    "texts": list,
}


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


class Type:
    """What the page says of a type."""

    def __init__(self, tensors, parts):
        self.kinds, self.usual = {}, {}  # of constants; the usual values of optional ones, as text
        self.tensors, self.parts = set(names(tensors)), set(names(parts))
        # A shape stands behind one name or several: `loc`, `log_scale` (dim).
        self.shapes = {
            name: shape
            for group, shape in re.findall(r"((?:`[^`]+`(?:, )?)+) \(([^)]*)\)", tensors)
            for name in names(group)
        }

    def add(self, constants):
        for name, kind, usual in constants:
            self.kinds[name] = kind
            if usual:
                self.usual[name] = usual.strip("`")


def documented():
    """By type what the tables say."""
    types = {}
    for row in tables():
        if "constants" in row:
            of = types[names(row["type"])[0]] = Type(row.get("tensors", ""), row.get("parts", ""))
            of.add(re.findall(rf"`(\w+)` ({'|'.join(KINDS)})\b(?: = (`\S+`|none))?", row["constants"]))
    for row in tables():
        heading = next(iter(row))
        if heading.startswith("constant of "):
            of = types[names(heading)[0]]
            kind, usual = re.fullmatch(r"(\w+)(?: = (`\S+`)|, (optional))?", row["kind"]).group(1, 2)
            optional = usual or ("optional" if "optional" in row["kind"] else "")
            of.add((name, kind, optional) for name in names(row[heading]))
            of.tensors |= set(names(row.get("tensors that come with it", "")))
    return types
