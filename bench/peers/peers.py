"""What compare-pytorch, compare-vgg, compare-lm and compare-bpe share: a fair environment for both programs, and a check of the Pythons given."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# A setting of PyTorch may have these words among its options. An allocator that neither returns memory to the system nor takes it
# in small pages: tensors of some MB are allocated and freed in every step.
HUGE_PAGES = "--huge-pages"
# OpenBLAS's products by AVX2: those that OpenBLAS 0.3.21 chooses for a recent Xeon took twice as long.
HASWELL = "--openblas-haswell"
ALLOCATOR = {"THP_MEM_ALLOC_ENABLE": "1", "MALLOC_MMAP_THRESHOLD_": "8000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000",
             "MALLOC_TOP_PAD_": "100000000", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# Where alma is kept to AVX2, PyTorch and its libraries are too.
AVX2_DEVICE = "cpu:x86-64-v3"
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
PROBE = """
import torch
torch.mm(torch.ones(8, 8), torch.ones(8, 8))
print(torch.__version__)
print(*{line.split()[-1] for line in open("/proc/self/maps") if "/blas/libblas.so" in line})
"""


def environment(device, setting=()):
    """One thread in every library, and the kernels that the libraries choose by themselves; AVX2's where alma has level v3."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("OPENBLAS_", "OMP_", "MKL_", "NVPL_", "DNNL_", "ONEDNN_", "ATEN_", "MALLOC_", "GLIBC_", "THP_"))}
    env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if device == AVX2_DEVICE:
        env |= AVX2
    if HASWELL in setting:
        env["OPENBLAS_CORETYPE"] = "Haswell"
    return env | (ALLOCATOR if HUGE_PAGES in setting else {})


def output(command, env):
    """What a program prints; its end is ours if it fails."""
    result = subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, command))}\nended with {result.returncode}:\n{result.stderr[-2000:].rstrip()}")
    return result.stdout


def torch_version(python):
    """Ends the program if this Python has no PyTorch, or one whose products are those of the reference BLAS."""
    try:
        probe = subprocess.run([python, "-c", PROBE], capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"error: cannot run --python {python}: {error.strerror}")
    if probe.returncode != 0:
        reason = (probe.stderr.strip().splitlines() or ["no message"])[-1]
        sys.exit(f"error: {python} has no PyTorch ({reason}); Debian's: apt-get install python3-torch libopenblas0-pthread; "
                 "the newest: python3 -m venv DIR, DIR/bin/pip install torch, --python DIR/bin/python")
    version, reference = probe.stdout.split("\n")[:2]
    if reference:
        sys.exit(f"error: the PyTorch of {python} multiplies by the reference BLAS, {reference}, about 20 times more slowly than "
                 "it can; install OpenBLAS: apt-get install libopenblas0-pthread")
    return version


def require_program(path):
    if not path.is_file():
        sys.exit(f"error: no {path}; build it first: make build, and cmake --build build --target {path.name}")


def bench(options, name):
    """A benchmark of alma-bench: its JSON, the level and the multiply-add peak of the same seconds in FLOP/s."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        output([options.alma_bench, "--device", options.device, "--threads", "1", "--filter", f"^{name}$", "--json", file.name],
               environment(options.device))
        report = json.load(open(file.name))
    of_alma = report["context"]["alma"]
    peak = max(of_alma["ceilings"][when]["flops_per_second"] for when in ("start", "end"))
    return report["benchmarks"][0], of_alma["level"], peak


def add_options(parser):
    parser.add_argument("--alma-bench", type=pathlib.Path, default=ROOT / "build/alma-bench")
    parser.add_argument("--device", default="cpu", help="cpu or cpu:LEVEL; at cpu:x86-64-v3 PyTorch has AVX2 alone, too")
    parser.add_argument("--pairs", type=int, default=7)


def name(setting):
    return " ".join(word.removeprefix("--") for word in setting) or "default"


def words(setting):
    """What the peer's script gets of a setting."""
    return [word for word in setting if word not in (HUGE_PAGES, HASWELL)]


def with_environments(settings, device):
    """Each setting in each environment; at level v3 OpenBLAS has AVX2 alone anyway."""
    environments = [(), (HUGE_PAGES,)]
    if device != AVX2_DEVICE:
        environments += [(HASWELL,), (HUGE_PAGES, HASWELL)]
    return [(*setting, *added) for setting in settings for added in environments]


def median_and_range(values):
    return f"{statistics.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"
