"""Writes the documentation of classes and functions, as it stands in the library's headers, as C++ strings.

    python docs.py INCLUDE_DIR OUT.hpp

The block of `///` before `class Name`, `struct Name` or a function becomes `docs::Name`. So the text stands once, in
the header.
"""

import pathlib
import re
import sys

DECLARED = re.compile(
    r"^(?:class|struct)\s+(?:\[\[\w+\]\]\s+)?(\w+)(?:\s+final)?\s*(?::[^:]|\{)"  # a definition
    r"|^using\s+(\w+)\s*=\s*(?:Fixed|Shaped)"  # Exp, ExpTransformer
    r"|^[\w:<>,\s&*\[\]]*?\b(\w+)\((?!\))"  # a function with arguments
)


def blocks(text):
    """(name, documentation) of what is declared at the start of a line."""
    lines, taken = [], False
    for line in text.splitlines():
        if line.startswith("///"):
            if taken:
                lines, taken = [], False
            lines.append(line[4:])
            continue
        if line.startswith(("template", "requires", "  requires")) or not lines:
            continue
        match = DECLARED.match(line)
        if match and not taken:
            yield next(filter(None, match.groups())), "\n".join(lines)
        lines, taken = [], False


def python(doc):
    """The text in Python's words."""
    doc = re.sub(r"@throws\s+(\w+)\s*", r"Raises \1: ", doc)
    doc = re.sub(r"(ShapeError|DomainError)(, (ShapeError|DomainError))?", "ValueError", doc)
    doc = doc.replace("IoError", "OSError").replace("NotImplemented:", "NotImplementedError:")
    doc = re.sub(r"@par\s+(\w+)\s*", lambda m: f"{m[1]}:".ljust(len(m[0])), doc)
    doc = re.sub(r"@source\s*", "Source: ", doc)
    doc = re.sub(r"@param\s+(\w+)\s*", r"\1: ", doc)
    return doc


def main(include, out):
    docs = {}
    headers = sorted(pathlib.Path(include).resolve().rglob("*.hpp"))
    for header in headers:
        text = header.read_text(encoding="utf-8")
        for name, doc in blocks(text):
            docs.setdefault(name, python(doc))
        # A map without parameters is documented once, for the bijector and the transformer.
        for alias, target in re.findall(r"using (\w+) = (?:Fixed|Shaped)\w+<(\w+), T>", text):
            if target in docs:
                docs.setdefault(alias, docs[target])
    body = "\n".join(f'inline constexpr char {name}[] = R"doc({doc})doc";' for name, doc in sorted(docs.items()))
    pathlib.Path(out).write_text(f"#pragma once\n\nnamespace binding::docs {{\n{body}\n}}\n", encoding="utf-8")
    pathlib.Path(out + ".d").write_text(f"{out}: {' '.join(map(str, headers))}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
