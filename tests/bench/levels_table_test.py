#!/usr/bin/env python3
"""bench/levels-table: its rows are those of planted times, and alma-bench as it is gives a whole table.
   levels_table_test.py ALMA_BENCH"""
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import unittest

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "bench" / "levels-table"
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("levels_table", str(PROGRAM))
table = importlib.util.module_from_spec(importlib.util.spec_from_loader("levels_table", loader))
loader.exec_module(table)
ALMA_BENCH = sys.argv.pop(1)


class LevelsTable(unittest.TestCase):
    def test_rows(self):
        results = {
            "x86-64-v3": {"exp/8": (10, 0.5), "exp/16": (20, 0.125), "exp/only_here": (1, 0.5), "log/8": (5, 1)},
            "generic": {"exp/8": (40, 0.25), "exp/16": (20, 0.25), "log/8": (10, 0.5)},
        }
        self.assertEqual(list(table.rows(results)), [["exp", "25%, 12% at 16", "25%, 25% at 8", "2.00, 4.00 at 8"],
                                                     ["log", "100%", "50%", "2.00"]])

    def test_medians(self):
        runs = [{"a/1": {"time_ns": time, "share": share}} for time, share in ((1, 0.3), (5, 0.1), (3, 0.2))]
        self.assertEqual(table.medians(runs), {"a/1": (3, 0.2)})

    def test_wrong_usage(self):
        for arguments, message in (["--rounds", "0"], "--rounds is 0"), (["--alma-bench", "/nowhere"], "/nowhere is not there"):
            done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)

    def test_the_bench_as_it_is(self):
        done = subprocess.run([PROGRAM, "--alma-bench", ALMA_BENCH, "--quick", "--rounds", "1"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        header, _, *rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
        self.assertIn("generic: share", header)
        self.assertGreater(len(rows), 50)
        for row in rows:
            self.assertEqual(row.count("|"), header.count("|"))
        for family in ("matmul", "conv2d", "matmul_images", "gather_images", "softmax", "adadelta", "mix"):
            self.assertTrue(any(row.startswith(f"| {family} |") for row in rows), family)


unittest.main()
