# Set-up shared by lmfast.sh, test.sh and check.sh; to be sourced. Every step looks first and is silent when there is
# nothing to do. Everything is written to stderr or to logs below build/: stdout belongs to the program that is started.
set -euo pipefail

LM_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LM_BUILD=$LM_ROOT/build/release
LM_LOG=$LM_ROOT/build/setup.log
LM_VENV=$LM_ROOT/.venv
LM_TORCH_VERSION=2.13.0   # 2.11 and later compile as well

# What the options of the command line change.
setup_train=1 setup_model=1 setup_cuda=0 setup_tests=0 setup_only=0 setup_torch_index='' setup_jobs=''

source "$LM_ROOT/scripts/setup_packages.sh"
source "$LM_ROOT/scripts/setup_torch.sh"
source "$LM_ROOT/scripts/setup_model.sh"
source "$LM_ROOT/scripts/setup_build.sh"

setup_help() {
  cat <<TEXT
Usage: scripts/${0##*/} [set-up options] $1

Set-up options stand before all others; "--" ends them.
  --no-train          without the training engine: no libtorch is fetched or needed
  --no-model          do not fetch the first model
  --cuda              with the GPU kernels; takes the CUDA toolkit (nvcc)
  --torch-index URL   package index that libtorch comes from, e.g. one with CPU-only or CUDA builds
  --jobs N            compile N files at a time (default: one for each processor)
  --setup-only        stop after set-up and build
  --setup-help        print this help

Environment
  LMFAST_TORCH        folder of an unpacked libtorch, or of a Python torch package, to use instead of fetching one
  CMAKE_PREFIX_PATH   searched for libtorch too
  LMFAST_MODELS       folder of the models (default: lmfast/models below XDG_CACHE_HOME or ~/.cache)
  CC, CXX, CXXFLAGS   as CMake reads them at the first configuration
TEXT
}

# parse_setup_options USAGE ARGUMENT...: reads the leading set-up options; setup_rest gets what follows them.
parse_setup_options() {
  local usage=$1
  shift
  while (($#)); do
    case $1 in
      --no-train) setup_train=0 ;;
      --no-model) setup_model=0 ;;
      --cuda) setup_cuda=1 ;;
      --torch-index=*) setup_torch_index=${1#*=} ;;
      --jobs=*) setup_jobs=${1#*=} ;;
      --torch-index | --jobs)
        (($# > 1)) || fail "$1 needs a value" "scripts/${0##*/} --setup-help lists the options"
        if [[ $1 == --jobs ]]; then setup_jobs=$2; else setup_torch_index=$2; fi
        shift ;;
      --setup-only) setup_only=1 ;;
      --setup-help) setup_help "$usage" >&2; exit 0 ;;
      --) shift; break ;;
      *) break ;;
    esac
    shift
  done
  [[ $setup_jobs =~ ^[0-9]*$ ]] || fail "--jobs takes a whole number, not \"$setup_jobs\""
  setup_rest=("$@")
}

say() { printf 'lmfast: %s\n' "$*" >&2; }

# fail MESSAGE [HINT...]: each hint is a line of its own.
fail() {
  say "$1"
  shift
  (($# == 0)) || printf '        %s\n' "$@" >&2
  exit 1
}

# run_step TITLE COMMAND...: TITLE is shown once, the output goes to the log. On a terminal the last line of the
# output stands behind the title while the command runs. The status is the command's.
run_step() {
  local title=$1 rc=0
  shift
  printf '== %s\n' "$*" >>"$LM_LOG"
  if [[ -t 2 ]]; then
    "$@" </dev/null 2>&1 | live_line "$title" || rc=$?
  else
    say "$title"
    "$@" </dev/null >>"$LM_LOG" 2>&1 || rc=$?
  fi
  return $rc
}

live_line() {
  local line width
  width=$(($(tput cols 2>/dev/null || echo 80) - 1))
  printf 'lmfast: %s' "$1" >&2
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$LM_LOG"
    line="lmfast: $1  ${line//[[:cntrl:]]/}"
    printf '\r\033[K%s' "${line:0:width}" >&2
  done
  printf '\r\033[Klmfast: %s\n' "$1" >&2
}

show_log() {
  printf '%s\n' "--- the end of $LM_LOG" >&2
  tail -n "${1:-25}" "$LM_LOG" >&2
  printf '%s\n' "---" >&2
}

# One set-up at a time in a checkout: a second one waits, it does not spoil the first one's files.
lock_setup() {
  mkdir -p "$LM_ROOT/build"
  exec 9>"$LM_ROOT/build/.setup.lock"
  flock -n 9 || { say "waiting for another set-up in this folder"; flock 9; }
  if [[ -f $LM_LOG ]] && (($(stat -c %s "$LM_LOG") > 1000000)); then : >"$LM_LOG"; fi
}

unlock_setup() { exec 9>&-; }

# set_up NEED... -- TARGET...: NEED are the kinds of packages in dependencies.tsv beside build and train.
set_up() {
  local needs=(build)
  ((setup_train)) && needs+=(train)
  while [[ $1 != -- ]]; do needs+=("$1"); shift; done
  shift
  lock_setup
  ensure_packages "${needs[@]}"
  ((setup_train)) && ensure_torch
  ((setup_model)) && ensure_model
  configure_release
  build_release "$@"
  unlock_setup
}
