#!/usr/bin/env bash
# What is too long for every change: 12,000 random transport problems, other ones every time.
#
#   tools/nightly.sh [ARGUMENTS OF PYTEST]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
exec "${root}/tools/test.sh" "${root}/test/ot/test_properties.py" --hypothesis-profile nightly \
  --dist load --timeout 0 "$@"
