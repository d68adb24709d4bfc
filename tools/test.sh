#!/usr/bin/env bash
# Run every test: of the package with the examples in its documentation, of the recipes' shell
# scripts and of the tools. Installs what is missing first.
#
#   tools/test.sh [PYTEST ARGUMENTS]      for instance: tools/test.sh test/ot -k sinkhorn
#
# The tests run in one process more than there are cores, since some wait for others, at most four;
# -n 0 runs them in one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=${OTREG_VENV:-${root}/tools/venv}
# shellcheck source=lib_debian.sh
. "${root}/tools/lib_debian.sh"

if [[ "${1:-}" == --help ]]; then
  print_help "${BASH_SOURCE[0]}"
  exit 0
fi
"${root}/tools/install.sh"
if [[ -z "${SCLITE_DIR:-}" ]]; then
  sclite=$(debian_program sctk usr/lib/sctk/bin/sclite)
  SCLITE_DIR=$(dirname "${sclite}")
  export SCLITE_DIR
fi

cd "${root}"
# shellcheck source=/dev/null
. "${venv}/bin/activate"
# The environment is installed without bytecode, which would be made anew by each of many commands.
unset PYTHONPATH PYTHONDONTWRITEBYTECODE
# The tests are small: threads inside a process would only get in each other's way.
export OMP_NUM_THREADS=1
# Files stay together, so that what their tests share is made once, and in our order.
exec python -m pytest --numprocesses $(($(nproc) + 1)) --maxprocesses 4 --dist loadfile \
  --no-loadscope-reorder --durations 20 "$@" </dev/null
