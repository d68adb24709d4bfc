#!/usr/bin/env bash
# From nothing to the table: install what is missing, run the recipe mini_multi, print its word
# error rates. What is done already is not done again.
#
#   tools/demo.sh [OPTIONS]      those of egs2/mini_multi/slm1/run.sh, for instance --full
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
[[ "${1:-}" == --help ]] || "${root}/tools/install.sh"
exec "${root}/egs2/mini_multi/slm1/run.sh" "$@"
