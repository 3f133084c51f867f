# The Debian packages of dependencies.tsv; sourced by setup.sh.

# is_there CHECK: whether a row's third column holds on this machine.
is_there() {
  local what=${1#*:}
  case ${1%%:*} in
    cmd) command -v "$what" >/dev/null ;;
    header) [[ -e /usr/include/$what || -e /usr/local/include/$what ]] ;;
    file) [[ -e $what ]] ;;
    python) command -v python3 >/dev/null && python3 -c "import $what" 2>/dev/null ;;
    *) fail "dependencies.tsv: unknown check \"$1\"" ;;
  esac
}

# missing_packages NEED...: one line "package<tab>what for" for each package that is not there.
missing_packages() {
  local purpose package check need
  while IFS=$'\t' read -r purpose package check need; do
    [[ $purpose == \#* || -z $package || " $* " != *" $need "* ]] && continue
    is_there "$check" || printf '%s\t%s\n' "$package" "$purpose"
  done <"$LM_ROOT/scripts/dependencies.tsv"
}

is_root() { [[ $(id -u) == 0 ]]; }

# Prints how to become root without a dead end: nothing, "sudo", or fails.
root_prefix() {
  if is_root; then return 0; fi
  command -v sudo >/dev/null || return 1
  if sudo -n true 2>/dev/null || [[ -t 0 && -t 2 ]]; then echo sudo; else return 1; fi
}

apt_install() {  # apt_install PREFIX PACKAGE...
  local as_root=$1
  shift
  # A fresh machine has no package lists; an offline one may still have the packages in its cache.
  $as_root apt-get -q update || true
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
}

ensure_packages() {
  local missing names as_root command
  missing=$(missing_packages "$@")
  [[ -n $missing ]] || return 0
  names=$(cut -f1 <<<"$missing" | sort -u | tr '\n' ' ')
  names=${names% }
  command="apt-get install $names"
  command -v apt-get >/dev/null || fail "these are missing (package: what for):" "${missing//$'\t'/: }"
  as_root=$(root_prefix) || fail "these Debian packages are missing; installing them takes root:" "sudo $command"
  # sudo may ask for the password: that happens before its output goes to the log.
  [[ -z $as_root ]] || sudo -v || fail "these Debian packages are missing:" "sudo $command"
  # shellcheck disable=SC2086  # names is a list
  run_step "installing Debian packages: $names" apt_install "$as_root" $names && missing=$(missing_packages "$@") || true
  [[ -z $missing ]] && return 0
  show_log 10
  fail "these packages could not be installed; is the network there?" "${as_root:+sudo }apt-get update && ${as_root:+sudo }$command"
}
