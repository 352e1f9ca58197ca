#!/usr/bin/env bash
# Installs this package with what language models need into a virtual environment, and shows what the machine can do.
# Changes nothing outside the environment:
#     scripts/setup_llm.sh [FOLDER]        # default: .venv
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-.venv}

need() {
  local what=$1 how=$2
  shift 2
  "$@" >/dev/null 2>&1 || { printf 'setup_llm: error: expected %s; %s\n' "$what" "$how" >&2; exit 1; }
}

find_compiler() { command -v c++ || command -v g++ || command -v clang++; }

need "Python 3.10 or newer" "install python3" python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'
need "the module venv" "on Debian: apt-get install python3-venv" python3 -c 'import ensurepip, venv'
need "a C++20 compiler" "on Debian: apt-get install g++" find_compiler
printf 'compiler: %s\n' "$("$(find_compiler | head -1)" --version | head -1)"
if command -v nvcc >/dev/null; then
  printf 'nvcc: %s\n' "$(nvcc --version | tail -1)"
else
  printf 'nvcc: none, so kernels for GPUs are not built\n'
fi
if command -v nvidia-smi >/dev/null; then
  printf 'GPU: %s\n' "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -1 || true)"
else
  printf 'GPU driver: none\n'
fi

[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/python" -m pip install -q '.[llm,bench,quality]'
"$folder/bin/ttsrt" doctor
