# The gates of scripts/check.sh: gate_NAME runs in the project's folder and ends with the status 0 when all is well.

FUZZ_SECONDS=${LMFAST_FUZZ_SECONDS:-20}

# build_preset PRESET TARGET...: a build of its own below build/PRESET.
build_preset() {
  local preset=$1
  shift
  [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset"
  ninja -C "build/$preset" "$@"
}

gate_format() { scripts/format.sh --check; }
gate_luacheck() { luacheck --no-color -q .; }
gate_includes() { python3 scripts/checks/includes.py; }
gate_sizes() { python3 scripts/checks/text.py sizes; }
gate_patterns() { python3 scripts/checks/text.py patterns; }

gate_shell() {
  local file
  for file in scripts/*.sh scripts/checks/*.sh tests/scripts/*.sh .ci/run; do bash -n "$file"; done
  # shellcheck is used where it is installed.
  ! command -v shellcheck >/dev/null || shellcheck -x -e SC1091,SC2034,SC2154 scripts/*.sh scripts/checks/*.sh .ci/run
}

# What the schemas and docstrings generate equals what is checked in, file by file.
gate_generated() {
  local work rc=0
  work=$(mktemp -d)
  "$LMFAST" scripts/gen_docs.lua "$work"
  diff -r docs/reference "$work/docs/reference" || rc=1
  diff lua/lmfast.d.lua "$work/lua/lmfast.d.lua" || rc=1
  rm -rf "$work"
  ((rc == 0)) || echo "stale: run build/release/bin/lmfast scripts/gen_docs.lua"
  return $rc
}

# The kernels on 64-bit ARM, emulated.
gate_neon() { scripts/checks/neon.sh build/neon; }

# Real models and big suites take long under a sanitizer; the small ones go through the same code.
SANITIZED=("-tce=real models*,whole quantised*,file types*,constraint: MaskBench,constraint: masks on*,validate: JSON*")

gate_asan() {
  build_preset asan lmfast lmfast_tests
  export UBSAN_OPTIONS=print_stacktrace=1
  doctest_program build/asan/bin/lmfast_tests "${SANITIZED[@]}"
  limited python3 tests/repl/run.py build/asan/bin/lmfast
}

gate_tsan() {
  build_preset tsan lmfast_tests
  export TSAN_OPTIONS="suppressions=$LM_ROOT/tests/tsan.supp:halt_on_error=1"
  doctest_program build/tsan/bin/lmfast_tests "${SANITIZED[@]}"
}

# fuzz_target FILE: what is found goes to build/fuzz/found/NAME, the seeds stay as they are.
fuzz_target() {
  local name found
  name=$(basename "$1" _fuzz.cpp)
  found=build/fuzz/found/$name
  mkdir -p "$found/corpus"
  [[ -d tests/fuzz/corpus/$name ]] || { echo "tests/fuzz/corpus/$name is missing: add it to tests/fuzz/make_corpus.py"; return 1; }
  echo "== $name"
  "build/fuzz/bin/${name}_fuzz" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=2048 -verbosity=0 -print_funcs=0 -print_final_stats=1 \
    -artifact_prefix="$found/" "$found/corpus" "tests/fuzz/corpus/$name"
}

gate_fuzz() {
  local target rc=0
  build_preset fuzz
  for target in tests/fuzz/*_fuzz.cpp; do fuzz_target "$target" || rc=1; done
  return $rc
}
