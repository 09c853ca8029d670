#!/usr/bin/env python3
"""What `pushforward fit` does with tables as people publish them: benchmarks/tables.py <tool> <folder> [<folder> ...]

Every table (.csv, .tsv, .txt, .data) below the folders is fitted as it is. Where that fails, the options that the error
itself names (--drop '...', --missing drop) are added, as often as new ones come. A table of the outcomes is printed:
fitted as it is, with one more command, with several, or not; and whether the rows are those that the file has.
"""

import argparse
import collections
import csv
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

OPTION = re.compile(r"--drop '([^']+)'|(--missing drop)")


def run(tool, path, options, seconds):
    with tempfile.TemporaryDirectory() as folder:
        command = [tool, "fit", str(path), "--out", f"{folder}/m.st", "--budget", "200", "--json", *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return None, f"no answer in {seconds} s"
        except UnicodeDecodeError:
            return None, "output that is no UTF-8"
    if done.returncode == 0:
        return json.loads(done.stdout), done.stderr
    return None, done.stderr


def lines_of(path):
    """Records that are neither blank nor comments, as Python's csv module counts them; none if it cannot."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            return sum(1 for row in csv.reader(f, delimiter="\0") if row and row[0].strip() and row[0][0] != "#")
    except (UnicodeDecodeError, csv.Error):
        return None


def judge(tool, path, seconds):
    options, commands, drops, missing, message = [], 0, [], False, ""
    while True:
        report, message = run(tool, path, options, seconds)
        commands += 1
        if report is not None:
            break
        named = OPTION.findall(message)
        fresh = [names for names, _ in named if names and names not in drops]
        wants_missing = any(m for _, m in named) and not missing
        if commands > 4 or not (fresh or wants_missing):
            return None, commands, message.strip().splitlines()[-1] if message.strip() else "", options
        drops += fresh
        missing = missing or wants_missing
        options = (["--missing", "drop"] if missing else []) + (["--drop", ",".join(drops)] if drops else [])
    return report, commands, message, options


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--seconds", type=int, default=120, help="at most, for a fit")
    args = parser.parse_args()
    outcomes = collections.Counter()
    for folder in args.folders:
        if not folder.is_dir():
            sys.exit(f"benchmarks/tables.py: no folder {folder}")
        files = sorted(p for p in folder.rglob("*") if p.suffix in (".csv", ".tsv", ".txt", ".data"))
        for path in files:
            report, commands, message, options = judge(args.tool, path, args.seconds)
            kind = "not" if report is None else "as it is" if commands == 1 else "one more command" if commands == 2 else "several"
            outcomes[kind] += 1
            what = message
            if report is not None:
                missed = re.search(r"([\d,]+) rows? left out", message)
                rows, lines = report["rows"] + int(missed[1].replace(",", "") if missed else 0), lines_of(path)
                what = f"{report['rows']} rows, {len(report['columns'])} columns {' '.join(options)}"
                if lines is not None and rows not in (lines, lines - 1):
                    what += f" (the file has {lines} lines)"
                    outcomes["other number of rows"] += 1
            print(f"{kind}\t{path.relative_to(folder.parent)}\t{what[:200]}", flush=True)
    print()
    for kind, count in outcomes.most_common():
        print(f"{count:5d} {kind}")


if __name__ == "__main__":
    main()
