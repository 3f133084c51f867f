#!/usr/bin/env bash
# Formats the C++ files with clang-format 14; --check changes nothing and fails when a file would change.
# Usage: scripts/format.sh [--check] [FILE ...]        (default: all C++ files that git knows)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(-i)
if [[ ${1:-} == --check ]]; then
  mode=(--dry-run -Werror --ferror-limit=1)
  shift
fi
files=("$@")
((${#files[@]})) || mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.cpp' '*.h' '*.cu' '*.cuh')
printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 20 clang-format-14 "${mode[@]}"
