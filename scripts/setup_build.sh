# Configuration and build of build/release; sourced by setup.sh.

cached() { sed -n "s/^$1:[A-Z]*=//p" "$LM_BUILD/CMakeCache.txt" 2>/dev/null || true; }

# CMake itself notices changed CMake files; this notices changed wishes.
configure_release() {
  local wishes=(-DLM_TRAIN=OFF) tests=OFF cuda=OFF stamp=$LM_BUILD/.configured
  ((setup_train)) && wishes=(-DLM_TRAIN=ON "-DTorch_DIR=$torch_dir/share/cmake/Torch")
  if ((setup_cuda)); then
    command -v nvcc >/dev/null || fail "--cuda takes the CUDA toolkit; there is no nvcc in PATH"
    cuda=ON
  fi
  # Tests once configured stay: going back and forth between lmfast.sh and test.sh must not configure anew.
  if ((setup_tests)) || [[ $(cached LM_TESTS) == ON ]]; then tests=ON; fi
  wishes+=(-DLM_TESTS=$tests -DLM_CUDA=$cuda)
  if [[ -f $LM_BUILD/build.ninja && -f $stamp && $(<"$stamp") == "${wishes[*]}" ]]; then return; fi
  if ! (cd "$LM_ROOT" && run_step "configuring" cmake --preset release "${wishes[@]}"); then
    show_log
    fail "CMake could not configure the build"
  fi
  printf '%s' "${wishes[*]}" >"$stamp"
}

# build_release TARGET...: no target means all. Silent when everything is up to date.
build_release() {
  local targets=() target rc=0 options=() log=$LM_BUILD/build.log
  for target in "$@"; do
    [[ $target == lmfast_train && $setup_train == 0 ]] || targets+=("$target")
  done
  if ((setup_cuda && ${#targets[@]})); then targets+=(lmfast_cuda); fi
  [[ -z $setup_jobs ]] || options+=(-j "$setup_jobs")
  NINJA_STATUS='[%f/%t] ' ninja -C "$LM_BUILD" "${options[@]}" "${targets[@]}" </dev/null 2>&1 | build_progress "$log" || rc=$?
  ((rc == 0)) && return
  printf '%s\n' "--- the end of $log" >&2
  tail -n 40 "$log" >&2
  fail "the build failed"
}

# Writes the build's output to the log. A line is shown as soon as something is compiled; a terminal sees the progress.
build_progress() {
  local line width begun=0
  width=$(($(tput cols 2>/dev/null || echo 80) - 1))
  : >"$1"
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$1"
    [[ $line == \[* && $line != *"Re-checking globbed"* ]] || continue
    if ((!begun)); then
      begun=1 SECONDS=0
      [[ -t 2 ]] || say "building (log: $1)"
    fi
    line="lmfast: building $line"
    [[ ! -t 2 ]] || printf '\r\033[K%s' "${line:0:width}" >&2
  done
  if ((begun)) && [[ -t 2 ]]; then printf '\r\033[Klmfast: built in %d s\n' "$SECONDS" >&2; fi
}
