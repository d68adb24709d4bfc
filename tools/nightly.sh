#!/usr/bin/env bash
# What is too long for every change: 12,400 random transport problems and 150,000 random input
# files, other ones every time; the recipe of several published corpora from its first to its last
# stage; 20 kills of a recipe; half an hour of training and decoding.
#
#   tools/nightly.sh [ARGUMENTS OF PYTEST]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${OTREG_VENV:-${root}/tools/venv}

"${root}/tools/test.sh" "${root}/test/ot/test_properties.py" --hypothesis-profile nightly \
  --dist load --timeout 0 "$@"
"${root}/tools/test.sh" "${root}/test/fuzz" --hypothesis-profile fuzz --dist load --timeout 0 "$@"
"${root}/tools/test.sh" "${root}/test/nightly" "$@"
unset PYTHONPATH PYTHONDONTWRITEBYTECODE
export OMP_NUM_THREADS=1
"${venv}/bin/python" "${root}/tools/kill_recipe.py" --kills 20
"${venv}/bin/python" "${root}/tools/kill_synthesis.py"
"${venv}/bin/python" "${root}/tools/soak.py" --minutes 30
