#!/usr/bin/env bash
# Stage 1 of mls: read books in eight languages, and FLEURS out of domain, to data/{train,dev,test,ood}.
set -euo pipefail

languages=de,fr,es,it,nl,pl
train_subset=train_10h

usage() {
  cat <<'EOF'
Usage: local/data.sh [options]

Takes or fetches Multilingual LibriSpeech (CC BY 4.0; Opus, 1.6 GB to 29 GB a language, English
651 GB) and the test sets of FLEURS (CC BY 4.0), which are out of domain.

  --languages LIST    ISO-639-1 codes with commas between them         (default: de,fr,es,it,nl,pl)
  --train_subset NAME train_1h, train_10h (as published) or train      (default: train_10h)
  --train_limit N     utterances of each language to train on, 0: all  (default: 0)
  --data_root DIR     existing copies, nothing of these is fetched     (default: fetch)
                        mls/ holds mls_german or mls_german_opus, ...
                        fleurs/ holds data/de_de/{test.tsv,audio/test.tar.gz}, ...
  --download_dir DIR  where downloads go                               (default: downloads)
  --output DIR        where the data directories go                    (default: data)
  --nj N              files fetched or looked at at a time             (default: 2)
EOF
}

# shellcheck source=../../../TEMPLATE/slm1/utils/published_sets.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../TEMPLATE/slm1/utils/published_sets.sh"

prepare_sets --languages "${languages}" \
  --train "mls:${train_subset}" --dev mls:dev --test mls:test --ood fleurs:test
