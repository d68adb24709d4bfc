#!/usr/bin/env bash
# Train on FLEURS, test on it and on VoxPopuli, with and without OTReg: ./run.sh, or
# ./run.sh --help for stages and options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

settings=(
  --preset pretrained         # conf/pretrained
  --seeds "1"                 # "1 2 3" for a claim
  --in_domain "fleurs"
  --limit 300                 # utterances of each out-of-domain set and language; --full takes all
)
exec ../../TEMPLATE/slm1/slm.sh "${settings[@]}" -- "$@"
