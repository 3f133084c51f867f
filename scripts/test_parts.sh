# The parts of scripts/test.sh: part_NAME runs in the project's folder and prints `N passed, N failed, N skipped` last.

LMFAST=$LM_BUILD/bin/lmfast

# A program that hangs ends its part, not the patience of whoever waits for the last line.
limited() { timeout --kill-after=10 "${LMFAST_TEST_TIMEOUT:-900}" "$@"; }

export_test_environment() {
  # The user's own settings must not change what the tests see.
  unset LMFAST_LUA_PATH LMFAST_HISTORY LMFAST_KERNELS LMFAST_THREADS LMFAST_TRAIN_LIBRARY
  export LMFAST_TEST_MODELS=${LMFAST_TEST_MODELS:-$(models_folder)}
  local options=(--no-model)
  ((setup_train)) || options+=(--no-train)
  ((!setup_cuda)) || options+=(--cuda)
  export LMFAST_TEST_SETUP="${options[*]}"   # how tests/scripts calls lmfast.sh without changing the configuration
}

# counts_of_doctest LOG: doctest's summary in our words. A test that lacks its data prints "skipped: reason" and returns,
# which doctest counts as passed.
counts_of_doctest() {
  local pattern='test cases: +[0-9]+ \| +([0-9]+) passed \| +([0-9]+) failed' good bad skips
  [[ $(grep '^\[doctest\] test cases:' "$1") =~ $pattern ]] || return 1
  good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
  skips=$(grep -c '^skipped: ' "$1") || true
  echo "$((good > skips ? good - skips : 0)) passed, $bad failed, $skips skipped"
}

# doctest_program PROGRAM: also used by check.sh for the sanitizer builds.
doctest_program() {
  local log rc=0
  log=$(mktemp)
  limited "$@" >"$log" 2>&1 || rc=$?
  cat "$log"
  counts_of_doctest "$log" || rc=1
  rm -f "$log"
  return $rc
}

part_cpp() { doctest_program "$LM_BUILD/bin/lmfast_tests"; }
part_lua() { limited "$LMFAST" test tests/lua/*_spec.lua; }

part_luajit() {
  if command -v luajit >/dev/null; then limited luajit tests/lua/run.lua; else
    echo "skipped: the luajit program is missing (Debian package luajit)"
    echo "0 passed, 0 failed, 1 skipped"
  fi
}

part_repl() { limited python3 tests/repl/run.py "$LMFAST"; }

part_hub() { limited python3 tests/hub/run.py "$LMFAST"; }

part_docs() {
  if [[ -f tests/docs/run.py ]]; then limited python3 tests/docs/run.py "$LMFAST"; else
    echo "skipped: there is no tests/docs/run.py"
    echo "0 passed, 0 failed, 1 skipped"
  fi
}

part_scripts() { limited bash tests/scripts/run.sh; }

part_serve() { limited python3 tests/serve/run.py "$LMFAST"; }
