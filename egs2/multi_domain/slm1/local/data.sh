#!/usr/bin/env bash
# Stage 1 of multi_domain: one corpus in domain, the others out of it, to data/{train,dev,test,ood}.
set -euo pipefail

corpus=mls
languages=de,fr,es,it,nl,pl
train_subset=""

usage() {
  cat <<'EOF'
Usage: local/data.sh [options]

Trains on Multilingual LibriSpeech (books) or Common Voice (volunteers), whose test sets are in
domain. Out of domain are FLEURS (Wikipedia, read), VoxPopuli (parliament) and the other of the two.
Takes existing copies and fetches the rest, except Common Voice, which takes an account: download
one release from https://datacollective.mozillafoundation.org and give --data_root. Counts the
sentences of the training set in every other set: data/overlap.json.

  --corpus NAME       mls or commonvoice                               (default: mls)
  --languages LIST    ISO-639-1 codes with commas between them         (default: de,fr,es,it,nl,pl)
                      also en and pt, which VoxPopuli lacks
  --train_subset NAME set of the corpus; for mls train_1h, train_10h or train
                                                                       (default: train_10h, train)
  --train_limit N     utterances of each language to train on, 0: all  (default: 0)
  --data_root DIR     existing copies, nothing of these is fetched     (default: fetch)
                        commonvoice/ holds cv-corpus-VERSION-DATE/de/{clips,test.tsv,...}, one release
                        mls/ holds mls_german or mls_german_opus, ...
                        fleurs/ holds data/de_de/{test.tsv,audio/test.tar.gz}, ...
                        voxpopuli/ holds transcribed_data/de/asr_test.tsv, ...; or data/de/asr_test.tsv, ...
  --download_dir DIR  where downloads go                               (default: downloads)
  --output DIR        where the data directories go                    (default: data)
  --nj N              files fetched or looked at at a time             (default: 2)
EOF
}

# shellcheck source=../../../TEMPLATE/slm1/utils/published_sets.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../TEMPLATE/slm1/utils/published_sets.sh"

case "${corpus}" in
  mls) other=commonvoice default_subset=train_10h ;;
  commonvoice) other=mls default_subset=train ;;
  *)
    echo "error: --corpus ${corpus}: no such corpus to train on; choose mls or commonvoice" >&2
    exit 1
    ;;
esac
prepare_sets --languages "${languages}" \
  --train "${corpus}:${train_subset:-${default_subset}}" --dev "${corpus}:dev" \
  --test "${corpus}:test" --ood fleurs:test voxpopuli:test "${other}:test"
