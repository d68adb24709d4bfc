#!/usr/bin/env bash
# Every method of the preset mini beside its control: three seeds, the test sets of the demo, the
# cost of a training step. Writes the tables of docs/regularizers.md and a section of RESULTS.md.
# What is done already, by tools/reproduce.sh too, is not done again.
#
#   tools/compare_regularizers.sh [OPTIONS]        OPTIONS of egs2/mini_multi/slm1/run.sh
#
# --full true takes whole test sets, as tools/reproduce.sh does, and several times as long. The
# experiment is exp/mini: --preset, --tag and --exp_dir are refused.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
recipe=${root}/egs2/mini_multi/slm1
# shellcheck source=lib.sh
. "${root}/tools/lib.sh"
for word in "$@"; do
  [[ ! "${word}" =~ ^--(preset|tag|exp[_-]dir)$ ]] ||
    die "${word}: the methods of the preset mini are compared in exp/mini" \
      "give this option to ${recipe}/run.sh"
done
"${root}/tools/install.sh"
# shellcheck source=/dev/null
. "${OTREG_VENV:-${root}/tools/venv}/bin/activate"

settings=(--seeds "1 2 3" --publish_methods true --models_at_once 2 --arms all --pretrainings all)
if [[ " $* " =~ " --dry"[_-]"run " || " $* " == *" --help "* ]]; then # there is nothing to measure
  exec "${recipe}/run.sh" "${settings[@]}" "$@"
fi
"${recipe}/run.sh" "${settings[@]}" "$@" --stop_stage analyze
python "${root}/tools/benchmark_step.py" --model "${recipe}/exp/mini/sft_s1" \
  --json "${recipe}/exp/mini/step_times.json"
exec "${recipe}/run.sh" "${settings[@]}" "$@" --stage report
