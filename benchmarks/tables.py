#!/usr/bin/env python3
"""What `pushforward fit` does with tables as people publish them: benchmarks/tables.py <tool> <folder> [<folder> ...]

Every table (.csv, .tsv, .txt, .data, also with .gz) below the folders is fitted as it is. Where that fails, the options that
the error itself names (--drop '...', --missing drop, --thousands ',') are added, as often as new ones come. A table of the outcomes is printed:
fitted as it is, with one more command, with several, or not; and whether the rows are those that the file has.
"""

import argparse
import collections
import csv
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = re.compile(r"; (?:leave (?:it|them) out with |read it with )?(--(?:drop|missing|thousands) .*)")


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


def named_options(message):
    """What the last line of an error says to add: [("--drop", "a,b"), ("--missing", "drop")]."""
    found = COMMAND.search(message.strip().splitlines()[-1]) if message.strip() else None
    if not found:
        return []
    try:
        words = shlex.split(found[1])
    except ValueError:
        return []
    pairs = []
    while len(words) >= 2 and words[0] in ("--drop", "--missing", "--thousands"):
        pairs.append((words[0], words[1]))
        words = words[2:]
    return pairs


def judge(tool, path, seconds):
    options, commands, message = [], 0, ""
    while True:
        report, message = run(tool, path, options, seconds)
        commands += 1
        if report is not None:
            break
        fresh = [pair for pair in named_options(message) if pair[1] not in options]
        if commands > 4 or not fresh:
            return None, commands, message.strip().splitlines()[-1] if message.strip() else "", options
        options = options + [word for pair in fresh for word in pair]
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
        endings = tuple(kind + packed for kind in (".csv", ".tsv", ".txt", ".data") for packed in ("", ".gz"))
        files = sorted(p for p in folder.rglob("*") if p.name.endswith(endings) and p.is_file())
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
