"""The programs of docs/c.md against the tool: c_page.py <prefix> <tool> <data.csv> <language ...>

Each program of the page is built against the library that is installed in the prefix, gets a model that the tool fitted,
and must print the columns and the very numbers that the tool gives. Julia is not in Debian: its calls are made with
ctypes, by the types that the page gives them, which must be those of the header.
"""
import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parents[2]
prefix, tool, data = (os.path.abspath(argument) for argument in sys.argv[1:4])
languages = sys.argv[4:]
page = (root / "docs/c.md").read_text()
library = next(path for path in pathlib.Path(prefix).glob("lib*/**/libpushforward_c.so"))
library_dir = str(library.parent)
env = dict(os.environ, LD_LIBRARY_PATH=library_dir)


def run(*command, **options):
    done = subprocess.run(command, env=env, capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def program(language):
    found = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert len(found) == 1, f"docs/c.md has {len(found)} programs in {language}"
    return found[0]


def column_types(signature):
    """'const double*' becomes 'double*': what is passed, by type."""
    types = []
    for parameter in signature.split(","):
        parameter = re.sub(r"\bconst\b", "", parameter).strip()
        kind = re.match(r"(\w+)\s*(\**)", parameter)
        types.append(kind[1] + kind[2])
    return types


# Of Julia's types, how ctypes passes them and what they are in C.
julia_types = {
    "Cint": (ctypes.c_int, {"int"}),
    "Csize_t": (ctypes.c_size_t, {"size_t"}),
    "Int64": (ctypes.c_int64, {"int64_t"}),
    "UInt64": (ctypes.c_uint64, {"uint64_t"}),
    "Cstring": (ctypes.c_char_p, {"char*"}),
    "Ptr{UInt8}": (ctypes.c_char_p, {"char*"}),
    "Ptr{Float64}": (ctypes.POINTER(ctypes.c_double), {"double*"}),
    "Ptr{Cvoid}": (ctypes.c_void_p, {"pf_model*", "pf_workspace*"}),
    "Ptr{Ptr{Cvoid}}": (ctypes.POINTER(ctypes.c_void_p), {"pf_model**"}),
    "Cvoid": (None, {"void"}),
}


def julia(model_path):
    header = re.sub(r"/\*.*?\*/", "", (pathlib.Path(prefix) / "include/pushforward.h").read_text(), flags=re.DOTALL)
    prototypes = {
        m[3]: (column_types(m[1] + m[2])[0], column_types(m[4]))
        for m in re.finditer(r"PF_API ((?:const )?\w+)(\*?) (\w+)\(([^)]*)\);", header)
    }
    c = ctypes.CDLL(str(library))
    model, error = ctypes.c_void_p(), ctypes.create_string_buffer(1024)
    values = {"ARGS[1]": model_path.encode(), "e": error, "length(e)": len(error), "C_NULL": None}
    calls = re.findall(r"@ccall lib\.(\w+)\(((?:[^()]|\([^()]*\))*)\)::(\w+)", program("julia"))
    assert len(calls) == 6, calls
    names = []
    for name, arguments, result in calls:
        parsed = [a.strip().rsplit("::", 1) for a in re.split(r",(?![^(]*\))", arguments)]
        expected_result, expected = prototypes[name]
        assert expected_result in julia_types[result][1], (name, result, expected_result)
        assert len(parsed) == len(expected), (name, parsed, expected)
        for (_, kind), wanted in zip(parsed, expected):
            assert wanted in julia_types[kind][1], (name, kind, wanted)
        function = getattr(c, name)
        function.argtypes = [julia_types[kind][0] for _, kind in parsed]
        function.restype = julia_types[result][0]

        def value(text):
            if text == "model":
                return ctypes.byref(model)
            if text == "model[]":
                return model
            return values[text] if text in values else int(text)

        if name == "pf_column":
            for i in range(values["dim"]):
                names.append(function(model, i).decode())
            continue
        got = function(*(value(text) for text, _ in parsed))
        if name == "pf_dim":
            values.update(dim=got, rows=3, y=(ctypes.c_double * (3 * got))(), log_prob=(ctypes.c_double * 3)())
        elif result == "Cint" and got != 0:
            sys.exit(f"{name}: {error.value.decode()}")
    return " ".join(names) + "\n" + "".join(f"{v!r}\n" for v in values["log_prob"])


def printed(language, folder, model):
    if language == "julia":
        return julia(model)
    text = program(language)
    source = folder / re.match(r"\W*(\S+)", text.replace(":", " "))[1]
    source.write_text(text)
    binary, link = str(folder / f"density_{language}"), [f"-L{library_dir}", "-lpushforward_c"]
    if language == "python":
        return run(sys.executable, str(source), model)
    if language == "c":
        flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
        run("cc", *flags, f"-I{prefix}/include", str(source), "-o", binary, *link)
    elif language == "fortran":
        run("gfortran", "-Wall", "-Werror", str(source), "-o", binary, *link, cwd=folder)
    elif language == "rust":
        run("rustc", "-D", "warnings", f"-L{library_dir}", "-l", "pushforward_c", str(source), "-o", binary)
    else:
        sys.exit(f"no such language: {language}")
    missing = subprocess.run([binary, "no such file"], env=env, capture_output=True, text=True)
    said = missing.stdout + missing.stderr
    assert missing.returncode != 0 and "no such file" in said, said
    return run(binary, model)


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    model, samples = str(folder / "model.safetensors"), str(folder / "samples.csv")
    run(tool, "fit", data, "--model", "maf", "--layers", "2", "--hidden", "8", "--epochs", "1", "--out", model)
    run(tool, "sample", model, "-n", "3", "--seed", "1", "--out", samples)
    columns = pathlib.Path(samples).read_text().splitlines()[0].split(",")
    log_prob = [float(line.split(",")[-1]) for line in run(tool, "log-prob", model, samples).splitlines()[1:]]
    assert len(log_prob) == 3
    for language in languages:
        lines = printed(language, folder, model).splitlines()
        assert lines[0].split() == columns, (language, lines[0], columns)
        got = [float(line) for line in lines[1:]]
        assert got == log_prob, (language, got, log_prob)
        print(f"docs/c.md: {language} prints the tool's numbers")
