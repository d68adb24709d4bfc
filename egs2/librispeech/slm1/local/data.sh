#!/usr/bin/env bash
# Stage 1 of librispeech: English books, and FLEURS out of domain, to data/{train,dev,test,ood}.
set -euo pipefail

train_subset=train-clean-100

usage() {
  cat <<'EOF'
Usage: local/data.sh [options]

Takes or fetches LibriSpeech (CC BY 4.0) and the English test set of FLEURS (CC BY 4.0), which is
out of domain. The sets clean and other are two test sets of their own, both in domain.

  --train_subset NAME train-clean-100, train-clean-360, train-other-500  (default: the first)
  --train_limit N     utterances of each language to train on, 0: all  (default: 0)
  --data_root DIR     existing copies, nothing of these is fetched     (default: fetch)
                        librispeech/ holds LibriSpeech/{SPEAKERS.TXT,test-clean,...}
                        fleurs/ holds data/en_us/{test.tsv,audio/test.tar.gz}
  --download_dir DIR  where downloads go                               (default: downloads)
  --output DIR        where the data directories go                    (default: data)
  --nj N              files fetched or looked at at a time             (default: 2)
EOF
}

# shellcheck source=../../../TEMPLATE/slm1/utils/published_sets.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../TEMPLATE/slm1/utils/published_sets.sh"

prepare_sets --languages en \
  --train "librispeech:${train_subset}" --dev librispeech:dev-clean librispeech:dev-other \
  --test librispeech:test-clean librispeech:test-other --ood fleurs:test
