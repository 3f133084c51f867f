#!/usr/bin/env bash
# Sets up what is missing, builds what changed and starts lmfast. scripts/lmfast.sh --setup-help lists the options.
set -euo pipefail
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/setup.sh"   # a link to this file in PATH works too

parse_setup_options "[lmfast's arguments]" "$@"
set_up -- lmfast lmfast_train
((setup_only)) && exit 0
exec "$LM_BUILD/bin/lmfast" "${setup_rest[@]}"
