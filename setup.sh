#!/usr/bin/env bash
# Installs the packages that alma needs on Debian 12, where it is tested, and Ubuntu 24.04, which has the same package names.
# Names the packages that it installs; does nothing, and needs no root, if all are installed. CUDA is optional: without the
# toolkit the build has only the device `cpu`.
#   setup.sh            packages to build and run
#   setup.sh --dev      also packages for the tests: formatting, fuzzing, other processors, Slurm, TensorBoard, a browser
set -euo pipefail

packages=(
  g++ make cmake ninja-build ccache git        # build
  libeigen3-dev                                # products, reductions and convolutions in f64
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev
  zlib1g-dev liblzma-dev libzstd-dev libssl-dev  # packed data, checksums
  libcurl4-openssl-dev libarchive-dev          # data sets from the web
  libpcre2-dev                                 # Unicode's classes of characters
  libgtest-dev googletest libbenchmark-dev     # tests, bench suite
  python3                                      # bench/compare, bench/kernels-table
  dataset-fashion-mnist                        # the images of `make run`
  libjs-vega                                   # alma report
  dpkg-dev                                     # make package
)
if [ "${1:-}" = --dev ]; then
  packages+=(clang-format-14 clang-14 libclang-rt-14-dev qemu-user g++-aarch64-linux-gnu slurm-wlm munge python3-venv python3-numpy nodejs chromium chromium-driver python3-selenium)
elif [ $# -gt 0 ]; then
  echo "usage: setup.sh [--dev]" >&2
  exit 2
fi

if ! command -v dpkg-query >/dev/null; then
  echo "setup.sh supports Debian and Ubuntu. On other systems, install the equivalents of: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  echo "setup.sh installs: ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "error: installing these packages needs root, and sudo is not installed; run as root: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "error: apt-get failed; its last lines are above" >&2
    exit 1
  fi
fi

# TensorBoard's reader checks the event files; the distribution does not package it.
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" = --dev ] && [ ! -e "$here/.venv/bin/tensorboard" ]; then
  echo "setup.sh installs: tensorboard (in .venv)"
  { python3 -m venv "$here/.venv" && "$here/.venv/bin/pip" install --quiet tensorboard; } >/dev/null 2>&1 ||
    echo "warning: pip cannot install tensorboard; its test is skipped"
fi

# The toolkit's programs are often not on PATH.
if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
  echo "No CUDA toolkit: only the device cpu is built. For the devices cuda and cuda-sim, install the toolkit (12.8 or newer,"
  echo "with cuBLAS) from NVIDIA's repository for your distribution: https://docs.nvidia.com/cuda/cuda-installation-guide-linux/"
elif [ -z "$(find /usr/include /usr/local/include /usr/local/cuda*/include ${CUDNN_PATH:+"$CUDNN_PATH"} -name cudnn.h -print -quit 2>/dev/null)" ]; then
  echo "No cuDNN: the devices cuda and cuda-sim are built without convolution. To have it, install cuDNN 9 from NVIDIA's repository"
  echo "(package cudnn9-cuda-12 or -13), or set CUDNN_PATH to its folder."
fi
