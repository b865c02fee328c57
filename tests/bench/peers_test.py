"""bench/peers: what compare-pytorch, compare-vgg and compare-lm refuse, with Pythons and programs that are not what they should be."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PEERS = pathlib.Path(__file__).resolve().parents[2] / "bench/peers"
sys.dont_write_bytecode = True
sys.path.insert(0, str(PEERS))
import peers


class Peers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def script(self, name, text):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def refused(self, python, *parts):
        """Both programs end with a message of one line, not with a traceback."""
        for program in ("compare-pytorch", "compare-vgg", "compare-lm"):
            built = ["--alma-bench", "/bin/true", *(["--alma", "/bin/true"] if program == "compare-pytorch" else [])]
            end = subprocess.run([PEERS / program, "--python", python, *built], capture_output=True, text=True)
            self.assertEqual(end.returncode, 1, end.stderr)
            self.assertEqual(len(end.stderr.strip().splitlines()), 1, end.stderr)
            for part in ("error: ", str(python), *parts):
                self.assertIn(part, end.stderr)

    def test_the_reference_blas_is_refused(self):
        library = "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0"
        python = self.script("python", f"#!/bin/sh\necho 1.13.0\necho {library}\n")
        self.refused(python, "reference BLAS", library, "apt-get install libopenblas0-pthread")

    def test_another_blas_is_taken(self):
        self.assertEqual(peers.torch_version(self.script("python", "#!/bin/sh\necho 1.13.0\necho\n")), "1.13.0")

    def test_no_pytorch_and_no_python(self):
        python = self.script("python", "#!/bin/sh\necho 'Traceback' >&2\necho \"No module named 'torch'\" >&2\nexit 1\n")
        self.refused(python, "has no PyTorch", "No module named 'torch'", "python3-torch")
        self.refused(pathlib.Path(self.folder.name) / "missing", "cannot run", "No such file")

    def test_a_program_that_is_not_built(self):
        end = subprocess.run([PEERS / "compare-vgg", "--alma-bench", "/missing/alma-bench"], capture_output=True, text=True)
        self.assertEqual(end.returncode, 1)
        self.assertIn("error: no /missing/alma-bench; build it first", end.stderr)

    def test_environments(self):
        os.environ["OPENBLAS_CORETYPE"] = "Prescott"
        plain, avx2 = peers.environment("cpu"), peers.environment("cpu:x86-64-v3", ("--flat", peers.HUGE_PAGES))
        self.assertNotIn("OPENBLAS_CORETYPE", plain)
        self.assertNotIn("GLIBC_TUNABLES", plain)
        self.assertEqual((plain["OMP_NUM_THREADS"], avx2["OMP_NUM_THREADS"]), ("1", "1"))
        self.assertEqual((avx2["OPENBLAS_CORETYPE"], avx2["ONEDNN_MAX_CPU_ISA"]), ("Haswell", "AVX2"))
        self.assertEqual(avx2["GLIBC_TUNABLES"], "glibc.malloc.hugetlb=1")
        self.assertEqual(peers.environment("cpu", (peers.HASWELL,))["OPENBLAS_CORETYPE"], "Haswell")
        for device, environments in (("cpu", 4), (peers.AVX2_DEVICE, 2)):
            tried = peers.with_environments([("--flat",)], device)
            self.assertEqual(len(set(tried)), environments)
            self.assertEqual([peers.words(setting) for setting in tried], [["--flat"]] * environments)


if __name__ == "__main__":
    unittest.main()
