#!/usr/bin/env bash
# Stage 1 of mini_multi: public archives to data/{train,preference,dev,test,ood}.
set -euo pipefail

data_root=""
download_dir=downloads
output=data
nj=2

usage() {
  cat <<'EOF'
Usage: local/data.sh [options]

Fetches the Asterisk core sounds (en es fr it ru), Flight of the Amazon Queen (en), Drascula (en),
Tux Paint stamps (es fr ru), the Russian Festival voice and Menardi's prompts (it), has the Italian
out-of-domain sets read by two synthetic voices, and makes data/{train,preference,dev,test,ood}.
Archives that are there already are not fetched again.

  --data_root DIR     take the .deb files from DIR and fetch nothing   (default: fetch)
  --download_dir DIR  where archives and their files go                (default: downloads)
  --output DIR        where the data directories go                    (default: data)
  --nj N              archives at a time                               (default: 2)
EOF
}

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
template=${recipe}/../../TEMPLATE/slm1
# shellcheck source=../../../TEMPLATE/slm1/path.sh
. "${template}/path.sh"
# shellcheck source=../../../TEMPLATE/slm1/utils/parse_options.sh
. "${template}/utils/parse_options.sh"

# prepare CORPUS LANGUAGE SOURCE [OPTION...]: make the data directory ${prepared}.
prepare() {
  local corpus=$1 language=$2 source=$3
  prepared=${output}/local/${corpus}_${language}
  python -m espnet_otreg.bin.prepare_corpus --corpus "${corpus}" --language "${language}" \
    --corpus_dir "${download_dir}/${source}" --output_dir "${prepared}" "${@:4}"
}

python -m espnet_otreg.bin.fetch_archives \
  --download_dir "${download_dir}" --data_root "${data_root}" --nj "${nj}"

in_domain=()
for language in en es fr it ru; do
  prepare core_sounds "${language}" "core_sounds_${language}"
  in_domain+=("${prepared}")
done

prepare amazon_queen en amazon_queen
training=("${prepared}")

out_of_domain=()
prepare drascula en drascula
out_of_domain+=("${prepared}")
for language in es fr ru; do
  prepare tuxpaint "${language}" tuxpaint
  out_of_domain+=("${prepared}")
done
prepare festvox_ru ru festvox_ru
out_of_domain+=("${prepared}")
echo "pico_synthetic: read by the Italian voice of SVOX Pico (PyPI py-nanotts); synthetic speech"
echo "  Apache-2.0: (C) 2008-2009 SVOX AG"
prepare pico_synthetic it tuxpaint
out_of_domain+=("${prepared}")
echo "espeak_synthetic: read by the Italian voice of eSpeak NG (PyPI espeakng-loader); synthetic speech"
echo "  GPL-3.0-or-later: Jonathan Duddington, Reece H. Dunn and contributors"
prepare espeak_synthetic it tuxpaint
out_of_domain+=("${prepared}")

prepare menardi it menardi --keep "${recipe}/conf/menardi_kept.txt"
same_texts=("${prepared}")

python -m espnet_otreg.bin.split_data --in_domain "${in_domain[@]}" \
  --training "${training[@]}" --out_of_domain "${out_of_domain[@]}" \
  --same_texts "${same_texts[@]}" --output_dir "${output}" --record "${recipe}/conf/split.json"
