# What was built: a second start is silent, the installed tree can be moved.

need_build() { [[ -x $ROOT/build/release/bin/lmfast && -n ${LMFAST_TEST_SETUP:-} ]] || skip "scripts/test.sh runs it, after a build"; }

# shellcheck disable=SC2086  # LMFAST_TEST_SETUP is a list of options
test_second_start_is_silent_and_passes_arguments_on() {
  need_build
  "$ROOT/scripts/lmfast.sh" $LMFAST_TEST_SETUP -e 'print(1)' >/dev/null 2>&1 </dev/null
  same "--no-train" "$("$ROOT/scripts/lmfast.sh" $LMFAST_TEST_SETUP -e 'io.write("--no-train")' 2>"$T/err" </dev/null)"
  same "" "$(<"$T/err")"
  contains "$("$ROOT/scripts/lmfast.sh" $LMFAST_TEST_SETUP --help 2>&1)" "lmfast SCRIPT"
}

test_exit_code_of_the_program_passes_through() {
  need_build
  rc=0
  # shellcheck disable=SC2086
  "$ROOT/scripts/lmfast.sh" $LMFAST_TEST_SETUP -e 'error("no")' 2>/dev/null </dev/null || rc=$?
  same 1 $rc
}

test_installed_tree_can_be_moved() {
  need_build
  DESTDIR='' cmake --install "$ROOT/build/release" --prefix "$T/here" >/dev/null
  mkdir "$T/elsewhere"
  mv "$T/here" "$T/elsewhere/lmfast"
  cd /
  lmfast=$T/elsewhere/lmfast/bin/lmfast
  same 3 "$("$lmfast" -e 'print(1 + 2)')"
  contains "$(ldd "$lmfast")" "$T/elsewhere/lmfast/bin/../lib/liblmfast.so"
  lacks "$(ldd "$lmfast")" "$ROOT"
  ! grep -q 'LM_TRAIN:BOOL=ON' "$ROOT/build/release/CMakeCache.txt" ||
    contains "$("$lmfast" -e 'print(require("lm.engine.machine").torch().version)')" "2."
}

test_the_build_knows_its_commit() {
  need_build
  commit=$(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null || echo unknown)
  same "$commit" "$("$ROOT/build/release/bin/lmfast" -e 'io.write(require("lm.host").build.commit)')"
}
