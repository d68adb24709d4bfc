# shellcheck shell=bash disable=SC2034,SC2154
# Stages 1 to 6: data, features, the LLM and its tokens.

# Fetch and prepare the corpus: data/{train,dev,test,ood} (local/data.sh), and text (local/text.sh).
stage_data() {
  step data --input local/data.sh --set "data_args=${data_args}" --lock "${download_dir}" \
    --output data/{train,dev,test,ood}/{wav.scp,text}
  launch train_cmd data/log/prepare.log local/data.sh --download_dir "${download_dir}" \
    --output data --nj "${nj}" ${data_root:+--data_root "${data_root}"}
  options --data_args "${data_args}"
  [[ -n "${corpus}" && ("${llm}" == train || -n "${synthesis}" || -n "${ngram}") ]] || return 0
  step "${corpus}" --upstream data --input "${text_corpus:-local/text.sh}" --output "${corpus}" \
    --lock "${download_dir}"
  if [[ -n "${text_corpus}" ]]; then
    launch train_cmd data/log/text.log python -m espnet_otreg.bin.collect_text \
      --text "${text_corpus}" --exclude data --output "${corpus}"
  else
    launch train_cmd data/log/text.log \
      local/text.sh --data_root "${data_root}" --download_dir "${download_dir}"
  fi
}

# Check every data directory and convert its audio to 16 kHz mono.
stage_format() {
  local set some skip
  for set in train dev test ood; do # test sets stay whole, or as many of them as --limit says
    some='' skip=''
    case ${set} in
      train) some=${train_limit#0} skip=${skip_unreadable#false} ;;
      ood) some=${limit#0} ;;
    esac
    step "${raw}/${set}" --upstream data --input "data/${set}"/{wav.scp,text} \
      ${marks:+--input "${marks}"} --input_if_there "data/${set}/segments" \
      --recordings "data/${set}" --output "${raw}/${set}"/{wav.scp,text,utt2digest}
    launch train_cmd "${raw}/log/format_${set}.log" python -m espnet_otreg.bin.format_data \
      --data_dir "data/${set}" --output_dir "${raw}/${set}" --nj "${nj}" \
      --mix_channels "${mix_channels}" --resample "${resample}" ${some:+--limit "${some}"} \
      ${marks:+--marks "${marks}"} ${skip:+--skip_unreadable true}
  done
  check_in_domain
  [[ "${llm}" == train ]] || return 0
  # What stage 5 would find wrong after all features have been made.
  step "${exp}/checks/llm" --input "${raw}/train/text"
  run python -m espnet_otreg.bin.train_text_llm --check --config "${llm_config}" \
    --data_dir "${raw}/train" --output "${llm_dir}"
}

# A name that no test set has would make all of them out-of-domain, after hours of training.
check_in_domain() {
  step "${exp}/checks/domains" --input "${raw}"/{test,ood}/text \
    --input_if_there "${raw}"/{test,ood}/utt2domain
  run python -m espnet_otreg.bin.stage domains "${kinds_of_sets[@]}" --data_dir "${raw}"/{test,ood}
}

# Have sentences of the text read aloud by synthetic voices: more training speech.
stage_synthesis() {
  local accept=${accept_licence#false} made=${raw}/synthetic
  [[ -n "${synthesis}" ]] || return 0
  step "${made}" --upstream data "${corpus}" --input "${corpus}" --shards "${made}/wavs" \
    --output "${made}"/{wav.scp,text,utt2digest} --lock "${download_dir}"
  launch train_cmd "${raw}/log/synthesis.log" python -m espnet_otreg.bin.synthesize \
    --config "${synthesis}" --corpus "${corpus}" --exclude data --output "${made}" \
    --nj "${nj}" --download_dir "${download_dir}" ${accept:+--accept_licence}
}

# Encode every set once with the frozen speech encoder; a synthetic voice only as bad lines and
# rooms leave it, where there are augmented copies.
stage_features() {
  local sets=("${speech_sets[@]}" dev test ood)
  fetch_model "${encoder}"
  if ((augment_copies > 0)); then
    encode_sets train "--augment_copies ${augment_copies}" train
    [[ -z "${synthesis}" ]] ||
      encode_sets synthetic "--augment_copies 1 --only_augmented" synthetic
    sets=(dev test ood)
  fi
  encode_sets sets "" "${sets[@]}"
  [[ -n "${synthesis}" ]] || return 0
  step "${training}" --upstream "${features}"/{train,synthetic} \
    --output "${training}"/{feats.scp,feats.json,text,utt2lang,utt2digest}
  run python -m espnet_otreg.bin.combine_features --input "${features}"/{train,synthetic} \
    --output "${training}"
}

# encode_sets LOG OPTIONS SET...: together, since to start a process takes longer than many a set.
encode_sets() {
  local log=${features}/log/extract_$1.log copies own=${2:+${augment}} set
  read -ra copies <<<"$2"
  shift 2
  for set in "$@"; do
    step "${features}/${set}" --shards "${features}/${set}/jobs" --input_if_there "${encoder_dir}" \
      --upstream "${raw}/${set}" --input "${raw}/${set}"/{wav.scp,utt2digest} ${own:+"${own}"} \
      --output "${features}/${set}"/{feats.scp,feats.json,text,utt2lang,utt2digest}
  done
  launch_on_device train_cmd "${log}" python -m espnet_otreg.bin.extract_features \
    --data "${@/#/${raw}/}" --output "${@/#/${features}/}" --model "${encoder_dir}" --nj "${nj}" \
    "${copies[@]}" ${own:+--augment_config "${own}"} \
    ${encoder_layers:+--layer "${encoder_layers}"} --dtype auto
}

# Fetch the LLM and its tokenizer, or train them on text.
stage_llm() {
  fetch_model "${llm}"
  [[ "${llm}" == train ]] || return 0
  step "${llm_dir}" --training --input "${raw}/train/text" --upstream "${raw}/train" \
    ${corpus:+"${corpus}"} --output "${llm_dir}"/{config.json,model.safetensors}
  launch cuda_cmd "${exp}/log/train_llm.log" python -m espnet_otreg.bin.train_text_llm \
    --data_dir "${raw}/train" --config "${llm_config}" --output "${llm_dir}" \
    ${corpus:+--corpus "${corpus}"}
}

# Count tokens in the training text for the classes of CTC, and word n-grams for mode ctc_ngram.
stage_tokens() {
  local texts=("${speech_sets[@]/%//text}")
  texts=("${texts[@]/#/${raw}/}")
  step "${exp}/tokens" --input "${texts[@]}" "${llm_facts[@]}" --output "${classes}"
  launch train_cmd "${exp}/tokens/log/tokens.log" python -m espnet_otreg.bin.token_classes \
    --text "${texts[@]}" --llm "${llm_dir}" --output "${classes}"
  [[ -n "${ngram}" ]] || return 0
  step "${ngram}" --upstream "${raw}/train" ${corpus:+"${corpus}"} --output "${ngram}"
  launch train_cmd "${ngram}/log/ngram.log" python -m espnet_otreg.bin.train_ngram \
    --data_dir "${raw}/train" ${corpus:+--corpus "${corpus}"} --output "${ngram}"
}

# Make a model available that is known to tools/fetch_model.py; others are there or on the hub.
fetch_model() {
  local directory accept=${accept_licence#false}
  directory=$(model_dir "$1")
  [[ "$1" != train && "${directory}" != "$1" ]] || return 0
  step "${download_dir}/done/$1" --set "name=$1" --output "${directory}/config.json"
  launch train_cmd "${download_dir}/log/fetch_$1.log" \
    python "${otreg_root}/tools/fetch_model.py" "$1" --output "${directory}" \
    --cache "${download_dir}/packages" ${accept:+--accept_licence}
}
