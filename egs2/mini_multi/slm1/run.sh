#!/usr/bin/env bash
# Train a spoken language model on real prompts in five languages, with and without OTReg, and
# print its word error rate per language: ./run.sh, or ./run.sh --help for stages and options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

settings=(
  --preset mini               # conf/mini; "--preset pretrained" takes a larger LLM
  --seeds "1"                 # "1 2 3" for a claim
  --limit 60                  # utterances of each out-of-domain set and language
  --beside menardi_same_prompts  # shown, but in no mean
)
exec ../../TEMPLATE/slm1/slm.sh "${settings[@]}" -- "$@"
