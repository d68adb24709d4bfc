# shellcheck shell=bash
# What local/data.sh has in common in the recipes of published corpora. Sourced where the script's
# own variables and `usage` are set: reads the command line, and defines prepare_sets, which takes
# the options that say which sets are prepared.

train_limit=0
data_root=""
download_dir=downloads
output=data
nj=2

template=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../path.sh
. "${template}/path.sh"
# shellcheck source=parse_options.sh
. "${template}/utils/parse_options.sh"

prepare_sets() {
  python -m espnet_otreg.bin.prepare_sets "$@" \
    --train_limit "${train_limit}" --data_root "${data_root}" \
    --download_dir "${download_dir}" --output_dir "${output}" --nj "${nj}"
}
