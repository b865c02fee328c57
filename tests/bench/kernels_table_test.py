#!/usr/bin/env python3
"""bench/kernels-table: each planted fault is named, and its numbers are those of the compiler and of cuda_occupancy.h."""
import importlib.machinery
import importlib.util
import pathlib
import sys
import unittest

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "bench" / "kernels-table"
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("kernels_table", str(PROGRAM))
table = importlib.util.module_from_spec(importlib.util.spec_from_loader("kernels_table", loader))
loader.exec_module(table)

REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN4alma1fILi4EEEvPf' for 'sm_90'
ptxas info    : Function properties for _ZN4alma1fILi4EEEvPf
    16 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function '_Z1gv' for 'sm_100'
ptxas info    : Function properties for _Z1gv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 24 registers, used 0 barriers
"""


def access(**changes):
    return {"place": "f.cu:1", "store": False, "shared": False, "width": 16, "requests": 2, "bytes": 1024, "sectors": 32,
            "wavefronts": 0, "conflicts": 0, **changes}


def benchmark(name="kernels/relu/8x64", accesses=None, **changes):
    kernel = {"name": "f<4>", "launches": 1, "block_threads": 256, "dynamic_shared": 0, "read": 1024, "written": 1024,
              "distinct_read": 1024, "distinct_written": 1024, "accesses": accesses or [access()], **changes}
    return {"name": name, "minimum": 2048, "kernels": [kernel]}


class KernelsTable(unittest.TestCase):
    def problems(self, benchmarks, spills=0, kernels=("f<4>",)):
        compiled = {name: {90: table.Resources(40, 0, spills)} for name in kernels}
        return [text for text in table.check(compiled, benchmarks) if "need not be an exception" not in text]

    def test_report_of_the_compiler(self):
        self.assertEqual(table.parse_report(REPORT), {("_ZN4alma1fILi4EEEvPf", 90): table.Resources(40, 1024, 20),
                                                      ("_Z1gv", 100): table.Resources(24, 0, 0)})
        with self.assertRaises(table.Failure):
            table.parse_report("Compiling entry function 'f' for 'sm_90'\nUsed many registers")

    def test_names_are_the_simulators(self):
        for plain, short in (("void alma::(anonymous namespace)::f<4, 8>(float const*)", "f<4, 8>"), ("alma::g(int)", "g"),
                             ("void alma::f<alma::(anonymous namespace)::Row<4> >(float*)", "f<Row<4> >")):
            self.assertEqual(table.short_name(plain), short)

    def test_occupancy(self):  # blocks per multiprocessor of cuda_occupancy.h, CUDA 13.0, times warps of a block
        for architecture, threads, registers, shared, warps in ((80, 256, 32, 0, 64), (90, 256, 65, 0, 24), (100, 32, 16, 0, 32),
                                                                (80, 128, 24, 33000, 16), (90, 128, 24, 33000, 24)):
            self.assertEqual(64 * table.occupancy(architecture, threads, table.Resources(registers, shared, 0), 0), warps)
        self.assertEqual(64 * table.occupancy(80, 128, table.Resources(24, 1000, 0), 32000), 16)

    def test_what_keeps_to_the_limits(self):
        self.assertEqual(self.problems([benchmark()]), [])

    def test_planted_faults(self):
        for text, made in (
                ("f<4> spills 4 bytes on sm_90", self.problems([benchmark()], spills=4)),
                ("relu/8x64 moves 1.500 times", self.problems([benchmark(distinct_read=2048, read=2048)])),
                ("asks for 1.500 times", self.problems([benchmark(read=2048)])),
                ("f.cu:1 of f<4> uses 0.500 of its sectors", self.problems([benchmark(accesses=[access(sectors=64)])])),
                ("f<4> has 3 bank conflicts", self.problems([benchmark(accesses=[access(shared=True, conflicts=3)])])),
                ("no benchmark of kernels/ calls g", self.problems([benchmark()], kernels=("f<4>", "g"))),
                ("report has no f", self.problems([benchmark()], kernels=())),
        ):
            self.assertEqual(len(made), 1, made)
            self.assertIn(text, made[0])

    def test_exceptions_hold_for_their_shapes_and_up_to_their_limit(self):
        twice = {"distinct_read": 2048, "read": 2048}  # 1.5 times the least
        self.assertEqual(self.problems([benchmark("kernels/batch_norm/c4_32x32", **twice)]), [])
        self.assertEqual(len(self.problems([benchmark("kernels/batch_norm/c4_4x4", **twice)])), 1)
        self.assertEqual(len(self.problems([benchmark("kernels/batch_norm/c4_32x32", distinct_read=2200, read=2200)])), 1)

    def test_an_exception_that_nothing_needs_is_told(self):
        told = table.check({"f<4>": {90: table.Resources(40, 0, 0)}}, [benchmark()])
        self.assertEqual(len(told), len(table.MOVED + table.ASKED + table.SECTORS))


if __name__ == "__main__":
    unittest.main()
