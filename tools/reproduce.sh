#!/usr/bin/env bash
# Everything behind RESULTS.md: three seeds of every arm, whole test sets, the zero-shot row.
# What is done already is not done again, so an interrupted run goes on where it stopped.
#
#   tools/reproduce.sh [OPTIONS]                    preset mini
#   tools/reproduce.sh --preset pretrained [OPTIONS]
#
# OPTIONS are those of egs2/mini_multi/slm1/run.sh; they come after, and win over, ours.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
"${root}/tools/install.sh" --without_tests
# Data and features of the demo are used here, whole test sets beside them.
settings=(--preset mini --full true --seeds "1 2 3" --arms "sft control otreg otreg_ctc" --publish true)
exec "${root}/egs2/mini_multi/slm1/run.sh" "${settings[@]}" "$@"
