"""The rules by which mutants.py changes a line."""

import re

EXCHANGES = [("exp", "expm1"), ("log", "log1p"), ("sin", "cos"), ("sqrt", "erf"), ("tanh", "sigmoid"),
             ("digamma", "log_gamma")]
VECTOR_EXCHANGES = {"Add": "Sub", "Sub": "Add", "Mul": "Div", "Div": "Mul", "MulAdd": "NegMulAdd", "NegMulAdd": "MulAdd",
                    "MulSub": "MulAdd", "Lt": "Ge", "Ge": "Lt", "Gt": "Le", "Le": "Gt"}


def top_level_comma(text):
    depth = 0
    for i, c in enumerate(text):
        depth += c in "({[" and 1 or (c in ")}]" and -1 or 0)
        if c == "," and depth == 0:
            return i
    return -1


def mutations(line, path):
    """All (rule, changed line) of one line."""
    code = line.split("//")[0].rstrip("\n")
    stripped = code.strip()

    for m in re.finditer(r"\bv\.(parameter|state|child)\(", code):
        yield "visitor line dropped", code[: m.start()] + "if (false) " + code[m.start():]

    # What follows is not for texts, declarations and loop headers.
    if '"' in stripped or not stripped or stripped.startswith(
            ("#", "throw", "static_assert", "template", "///", "using", "}")):
        return

    # ---- vector-Jacobian terms and sums
    for m in re.finditer(r"\+= (?!\()", code):
        if not re.search(r"\b(i|k|c|o|j|at|row|lane|begin|block|offset|next|size|number) \+= ", code):
            yield "term negated", code[: m.start()] + "-= " + code[m.end():]
    for m in re.finditer(r"(?:^\s*|[{;)] )(kernel<\w+>\(\)\.(\w+)\()", code):
        yield "kernel call dropped", code[: m.start(1)] + "if (false) " + code[m.start(1):]
    for m in re.finditer(r"kernel<\w+>\(\)\.(axpy)\(", code):
        if m.group(1) == "axpy":
            rest = code[m.end():]
            comma = top_level_comma(rest)
            if comma > 0:
                yield "term negated", code[: m.end()] + "-(" + rest[:comma] + ")" + rest[comma:]
    for m in re.finditer(r"kernel<(\w+)>\(\)\.accumulate\(", code):
        yield "term negated", code[: m.start()] + f"kernel<{m.group(1)}>().axpy({m.group(1)}(-1), " + code[m.end():]
    for m in re.finditer(r"(?:^\s*|\) )(record\(\w+, \[|\w+(?:\(\))?\.on_(?:reduce|backward|shared)\()", code):
        yield "product dropped", code[: m.start(1)] + "if (false) " + code[m.start(1):]
    for m in re.finditer(r"\b\w+\.wants_gradient\(\)", code):
        yield "wish for a gradient swapped", code[: m.start()] + "!" + code[m.start():]
    for m in re.finditer(r"\b(py|out|h)\[[^\]]*\] = ([^=;]+);", code):
        yield "value negated", code[: m.start(2)] + "-(" + m.group(2) + ")" + code[m.end(2):]
    for m in re.finditer(r"std::copy_n\(|^\s*assign\(", code):
        yield "copy dropped", code[: m.start()] + " if (false) " + code[m.start():].lstrip()
    for m in re.finditer(r"\{ return ((?!\{)[^;{}]+); \}", code):
        plain = r"\b(bool|Index|string|size|vector|Description|Interval|infinity|true|false)\b"
        if not re.search(plain, code) or "[" in code[: m.start()]:
            if not re.match(r"\s*(const )?\w+(_|\(\))?$", m.group(1)) or "gy" in m.group(1):
                sign = "!" if re.search(r" [<>=!]=? ", m.group(1)) else "-"  # a minus leaves a truth as it is
                yield "result negated", code[: m.start(1)] + sign + "(" + m.group(1) + ")" + code[m.end(1):]

    # ---- directions
    for m in re.finditer(r"(?<=[.>])(forward|inverse)\((?=pass|p\b)", code):
        other = "inverse" if m.group(1) == "forward" else "forward"
        yield "direction swapped", code[: m.start(1)] + other + code[m.end(1):]
    for m in re.finditer(r", (true|false)\)", code):
        if re.search(r"\b(matrix|shared)\([^()]*(\(\))?[^()]*$", code[: m.start()]):
            continue  # whether a new matrix wants a gradient: for constants nobody reads it
        if m.group(1) == "false" and re.search(r"\bload\(", code[: m.start()]):
            continue  # likewise for data
        other = "false" if m.group(1) == "true" else "true"
        yield "direction swapped", code[: m.start(1)] + other + code[m.end(1):]
    for m in re.finditer(r"\bforward \?", code):
        yield "direction swapped", code[: m.start()] + "!forward ?" + code[m.end():]
    if ".rbegin(), " in code:
        yield "direction swapped", code.replace(".rbegin()", ".begin()").replace(".rend()", ".end()")
    elif ".begin(), " in code and ".end()," in code and "parts_" in code and "all(" not in code:
        yield "direction swapped", code.replace(".begin()", ".rbegin()").replace(".end()", ".rend()")

    # ---- second part of {value, log_det}
    m = re.search(r"return (\w+<T>)?\{(.+)\};$", code)
    if m:
        inner = m.group(2)
        comma = top_level_comma(inner)
        second = inner[comma + 1:].strip() if comma > 0 else ""
        if second and top_level_comma(second) < 0 and second not in ("{}", "0", "Column<T>()") and "size" not in second:
            head = code[: m.start(2)] + inner[:comma]
            yield "log_det dropped", head + ", {}};"
            yield "log_det negated", head + ", -(" + second + ")};"

    # ---- context
    for m in re.finditer(r"\bpass_?\.context\(\)", code):
        yield "context dropped", code[: m.start()] + "(" + m.group(0) + " * T(0))" + code[m.end():]
        yield "context negated", code[: m.start()] + "(-" + m.group(0) + ")" + code[m.end():]
    m = re.search(r"\bif \((with_context|context_|b\.context)\)", code)
    if m:
        yield "context dropped", code[: m.start(1)] + "false" + code[m.end(1):]

    # ---- signs
    if not re.match(r"\s*(for|while|#|case|const auto \[|return s(td|hape))", code) and "Index" not in code:
        for m in re.finditer(r" ([-+]) (?!\d+\)|1[,;)\]])", code):
            if "[" in code[: m.start()] and code[: m.start()].count("[") > code[: m.start()].count("]"):
                continue  # an index
            yield "sign flipped", code[: m.start(1)] + ("+" if m.group(1) == "-" else "-") + code[m.end(1):]
        for m in re.finditer(r"(?<=[(,{?:=] |.[({])-(?=[a-zA-Z(])(?!>)", code):
            yield "sign flipped", code[: m.start()] + code[m.end():]

    # ---- numbers and factors of operations
    if path.startswith("src/ops/") and "Index" not in code and not stripped.startswith("for"):
        for m in re.finditer(r"\bT\((-?[\d.]+)\)", code):
            yield "number changed", code[: m.start(1)] + str(float(m.group(1)) + 0.25) + code[m.end(1):]
        for m in re.finditer(r" ([*/]) ", code):
            yield "factor inverted", code[: m.start(1)] + ("/" if m.group(1) == "*" else "*") + code[m.end(1):]
    if path.startswith("src/ops/"):
        for m in re.finditer(r"(?<=, )(scale|shift|1\.0)(?=[,)])", code):
            yield "argument changed", code[: m.start()] + "-" + m.group(0) + code[m.end():]

    # ---- operations on vectors
    for m in re.finditer(r"\bhn::(\w+)\(", code):
        if m.group(1) in VECTOR_EXCHANGES:
            yield "operation exchanged", code[: m.start(1)] + VECTOR_EXCHANGES[m.group(1)] + code[m.end(1):]
        elif m.group(1) in ("Neg", "Abs", "Sqrt"):
            yield "operation dropped", code[: m.start()] + code[m.end() - 1:]

    # ---- functions
    if not re.match(r"(Var|Column|template|HWY_INLINE)\b", stripped):
        for a, b in EXCHANGES:
            for name, other in ((a, b), (b, a)):
                m = re.search(r"(?<![\w])" + name + r"(?=\(|,|\))", code)
                if m and "boost" not in code:
                    yield "function exchanged", code[: m.start()] + other + code[m.end():]
