#!/usr/bin/env bash
# Compiles the plugins' ops, both adapters and the driver of device "tensorrt" against headers of TensorRT; warnings are errors in our
# files. Nothing is linked or run.
#   plugins/check.sh HEADERS...
# HEADERS are folders with NvInferRuntime.h, or with a folder `include` that has it: of 8.6, 10.x or 11.x. CXX is the compiler (c++);
# CUDA_HOME is where the CUDA toolkit's headers are, otherwise that of nvcc. Prints a line for each folder and adapter; the exit code
# is 0 if all compile.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
command -v "${CXX:=c++}" >/dev/null || { echo "check.sh: $CXX is missing: set CXX" >&2; exit 2; }

cuda_headers() {
  local root=${CUDA_HOME:-} nvcc folder
  if [ -z "$root" ]; then
    nvcc=$(command -v nvcc) || return 1
    root=$(sed -n 's/^.*TOP=//p' <<<"$("$nvcc" --dryrun -E -x cu /dev/null 2>&1 | grep 'TOP=')")
  fi
  for folder in "$root/include" "$root"/targets/*/include; do
    [ -e "$folder/cuda_runtime_api.h" ] && { echo "$folder"; return 0; }
  done
  return 1
}
cuda=$(cuda_headers) || { echo "check.sh: cuda_runtime_api.h is missing: set CUDA_HOME" >&2; exit 2; }

# The value of a macro of NvInferVersion.h, which may be the name of another one.
version_number() {
  local value
  value=$(sed -n "s/^#define *$2 *\([A-Za-z0-9_]*\).*/\1/p" "$1" | head -1)
  [[ $value =~ ^[0-9]*$ ]] || value=$(sed -n "s/^#define *$value *\([0-9]*\).*/\1/p" "$1" | head -1)
  echo "$value"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
flags=(-std=c++20 -O0 -fPIC -c -Wall -Wextra -Werror -Iplugins -Icpp/src -Icpp/include -isystem "$cuda")
failed=0

compile() { # compile LABEL FLAG... -- FILE...
  local label=$1 extra=() status=compiles
  shift
  while [ "$1" != -- ]; do extra+=("$1"); shift; done
  shift
  for file in "$@"; do
    "$CXX" "${flags[@]}" "${extra[@]}" -o "$folder/object.o" "$file" || { status=fails failed=1; }
  done
  echo "$label: $status"
}

compile "ops" -- plugins/common/*.cpp
for headers in "$@"; do
  [ -e "$headers/NvInferVersion.h" ] || headers=$headers/include
  file=$headers/NvInferVersion.h
  [ -e "$file" ] || { echo "check.sh: $headers: no headers of TensorRT" >&2; exit 2; }
  major=$(version_number "$file" NV_TENSORRT_MAJOR)
  version=$major.$(version_number "$file" NV_TENSORRT_MINOR).$(version_number "$file" NV_TENSORRT_PATCH)
  # All that v2 implements is deprecated.
  compile "TensorRT $version, v2" -Wno-deprecated-declarations -isystem "$headers" -- plugins/v2/*.cpp
  compile "TensorRT $version, driver" -Wno-deprecated-declarations -isystem "$headers" -- cpp/src/tensorrt/driver/*.cpp
  [ "$major" -lt 10 ] || compile "TensorRT $version, v3" -isystem "$headers" -- plugins/v3/*.cpp
done
exit $failed
