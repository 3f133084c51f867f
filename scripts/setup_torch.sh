# The project-local Python environment and libtorch; sourced by setup.sh.

# Sets torch_dir to the folder below which share/cmake/Torch lies; fails when there is none.
find_torch() {
  local folder prefixes=${CMAKE_PREFIX_PATH:-}
  if [[ -n ${LMFAST_TORCH:-} ]]; then
    is_torch "$LMFAST_TORCH" || fail "LMFAST_TORCH=$LMFAST_TORCH holds no libtorch: share/cmake/Torch/TorchConfig.cmake is missing there"
    torch_dir=$(cd "$LMFAST_TORCH" && pwd)
    return
  fi
  local IFS=:
  for folder in ${prefixes//;/:}; do
    # An entry may be the folder itself or, as torch.utils.cmake_prefix_path prints it, its share/cmake.
    if is_torch "$folder"; then torch_dir=$folder; return; fi
    if is_torch "${folder%/share/cmake}"; then torch_dir=${folder%/share/cmake}; return; fi
  done
  torch_dir=$(torch_of_venv || torch_of_python python3)
}

is_torch() { [[ -f $1/share/cmake/Torch/TorchConfig.cmake ]]; }

# pip writes INSTALLER last: without it the installation was interrupted.
torch_of_venv() {
  local done_file
  for done_file in "$LM_VENV"/lib/python3*/site-packages/torch-*.dist-info/INSTALLER; do
    [[ -f $done_file ]] && is_torch "${done_file%/*/*}/torch" && echo "${done_file%/*/*}/torch" && return
  done
  return 1
}

# The torch package of a Python, when it is 2.11 or later; it is looked for, not imported, which would take seconds.
torch_of_python() {
  command -v "$1" >/dev/null || return 1
  "$1" - 2>/dev/null <<'PYTHON'
import importlib.metadata, importlib.util, os, re, sys
spec = importlib.util.find_spec("torch")
version = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("torch")) if spec and spec.origin else None
folder = os.path.dirname(spec.origin) if version else ""
if not version or tuple(map(int, version.groups())) < (2, 11):
    sys.exit(1)
if not os.path.exists(folder + "/share/cmake/Torch/TorchConfig.cmake"):
    sys.exit(1)
print(folder)
PYTHON
}

ensure_venv() {
  if [[ -x $LM_VENV/bin/python ]] && compgen -G "$LM_VENV/lib/python3*/site-packages/pip-*.dist-info/INSTALLER" >/dev/null; then
    return
  fi
  run_step "making the Python environment .venv" python3 -m venv --clear "$LM_VENV" && return
  show_log
  fail ".venv could not be made" "python3 -m venv .venv"
}

ensure_torch() {
  find_torch && return
  ensure_venv
  # What an interrupted installation left would be taken for a whole one.
  rm -rf "$LM_VENV"/lib/python3*/site-packages/torch "$LM_VENV"/lib/python3*/site-packages/torch-*.dist-info
  local install=(install --retries 2 "torch==$LM_TORCH_VERSION")
  [[ -z $setup_torch_index ]] || install+=(--index-url "$setup_torch_index")
  if run_step "fetching libtorch $LM_TORCH_VERSION (some hundred MB)" "$LM_VENV/bin/python" -m pip "${install[@]}" &&
    find_torch; then
    return
  fi
  show_log 6
  fail "the package torch==$LM_TORCH_VERSION could not be fetched; is the network there? Any of these helps:" \
    ".venv/bin/python -m pip ${install[*]}      (or with --find-links FOLDER that has the wheels)" \
    "LMFAST_TORCH=FOLDER scripts/${0##*/}       (an unpacked libtorch, 2.11 or later)" \
    "scripts/${0##*/} --no-train                (without the training engine)"
}
