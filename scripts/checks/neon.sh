#!/usr/bin/env bash
# Compiles the kernels and their tests for 64-bit ARM and runs them under qemu-user. scripts/checks/neon.sh [BUILD_DIR]
# Takes Debian's g++-aarch64-linux-gnu and qemu-user; the kernels need fmt's and doctest's headers only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=${1:-build/neon}
for program in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v "$program" >/dev/null || { echo "$program is missing; apt-get install g++-aarch64-linux-gnu qemu-user"; exit 1; }
done
mkdir -p "$dir/include"
for header in fmt doctest; do ln -sfn "/usr/include/$header" "$dir/include/$header"; done

flags=(-std=c++20 -O2 -Wall -Wextra -Wshadow -Wconversion -Werror -DFMT_HEADER_ONLY=1 -Isrc -Itests/cpp -isystem "$dir/include")
sources=(src/engine/kernels/cpu/{dispatch,kernels_scalar,kernels_neon,kernels_neon_dot,panels,panel_blocks}.cpp
  src/engine/kernels/cpu/dequant/*.cpp src/engine/core/{aligned_buffer,cpu_features,dtype,error,tensor_view,thread_pool}.cpp
  tests/cpp/kernels_test.cpp tests/cpp/main.cpp)
compile() {
  local source=$1 object extra=()
  object=$dir/$(basename "$source" .cpp).o
  [[ $source != *_neon_dot.cpp ]] || extra=(-march=armv8.2-a+dotprod)
  [[ $source != */dequant/* && $source != *panel_blocks* ]] || extra=(-ffp-contract=off)
  aarch64-linux-gnu-g++ "${flags[@]}" "${extra[@]}" -c "$source" -o "$object"
}
objects=()
for source in "${sources[@]}"; do
  compile "$source"
  objects+=("$dir/$(basename "$source" .cpp).o")
done
aarch64-linux-gnu-g++ -static "${objects[@]}" -o "$dir/kernels_test"
qemu-aarch64 "$dir/kernels_test"
