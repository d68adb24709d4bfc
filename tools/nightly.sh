#!/usr/bin/env bash
# What is too long for every change: 12,000 random transport problems, other ones every time, and
# the recipe of several published corpora from its first to its last stage.
#
#   tools/nightly.sh [ARGUMENTS OF PYTEST]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
"${root}/tools/test.sh" "${root}/test/nightly" "$@"
exec "${root}/tools/test.sh" "${root}/test/ot/test_properties.py" --hypothesis-profile nightly \
  --dist load --timeout 0 "$@"
