# shellcheck shell=bash disable=SC2034,SC2154
# Stages 1 to 5: data, features, the LLM and its tokens.

# Fetch and prepare the corpus: data/{train,dev,test,ood} (local/data.sh).
stage_data() {
  step data --input local/data.sh --set "data_args=${data_args}" --lock "${download_dir}" \
    --output data/{train,dev,test,ood}/{wav.scp,text}
  launch train_cmd data/log/prepare.log local/data.sh --download_dir "${download_dir}" \
    --output data --nj "${nj}" ${data_root:+--data_root "${data_root}"}
  options --data_args "${data_args}"
}

# Check every data directory and convert its audio to 16 kHz mono.
stage_format() {
  local set some='' skip=''
  for set in train dev test ood; do # test sets stay whole, or as many of them as --limit says
    case ${set} in train) skip=${skip_unreadable#false} ;; ood) some=${limit#0} ;; *) skip= ;; esac
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
  # What stage 4 would find wrong after all features have been made.
  step "${exp}/checks/llm" --input "${raw}/train/text"
  run python -m espnet_otreg.bin.train_text_llm --check --config "${conf}/llm.yaml" \
    --data_dir "${raw}/train" --output "${llm_dir}"
}

# A name that no test set has would make all of them out-of-domain, after hours of training.
check_in_domain() {
  step "${exp}/checks/domains" --input "${raw}"/{test,ood}/text \
    --input_if_there "${raw}"/{test,ood}/utt2domain
  run python -m espnet_otreg.bin.stage domains --in_domain "${in_domain_list[@]}" \
    --data_dir "${raw}"/{test,ood}
}

# Encode every set once with the frozen speech encoder.
stage_features() {
  fetch_model "${encoder}"
  if ((augment_copies > 0)); then
    encode_sets extract_train "${augment_copies}" train
    encode_sets extract_sets "" dev test ood
  else
    encode_sets extract_sets "" train dev test ood
  fi
}

# encode_sets LOG COPIES SET...: together, since to start a process takes longer than many a set.
encode_sets() {
  local log=${features}/log/$1.log copies=$2 set
  shift 2
  for set in "$@"; do
    step "${features}/${set}" --upstream "${raw}/${set}" --shards "${features}/${set}/jobs" \
      --input "${raw}/${set}"/{wav.scp,utt2digest} --input_if_there "${encoder_dir}" \
      --output "${features}/${set}"/{feats.scp,feats.json,text,utt2lang,utt2digest}
  done
  launch_on_device train_cmd "${log}" python -m espnet_otreg.bin.extract_features \
    --data "${@/#/${raw}/}" --output "${@/#/${features}/}" --model "${encoder_dir}" --nj "${nj}" \
    ${copies:+--augment_copies "${copies}"}
}

# Fetch the LLM and its tokenizer, or train them on text.
stage_llm() {
  local text=("${raw}/train") corpus=
  fetch_model "${llm}"
  [[ "${llm}" == train ]] || return 0
  if [[ -x local/text.sh ]]; then
    corpus=data/llm_text
    step "${corpus}" --upstream data --input local/text.sh --lock "${download_dir}" \
      --output "${corpus}/en.txt"
    launch train_cmd data/log/text.log \
      local/text.sh --data_root "${data_root}" --download_dir "${download_dir}"
    text+=("${corpus}")
  fi
  step "${llm_dir}" --training --input "${raw}/train/text" --upstream "${text[@]}" \
    --output "${llm_dir}"/{config.json,model.safetensors}
  launch cuda_cmd "${exp}/log/train_llm.log" python -m espnet_otreg.bin.train_text_llm \
    --data_dir "${raw}/train" --config "${conf}/llm.yaml" --output "${llm_dir}" \
    ${corpus:+--corpus "${corpus}"}
}

# Count the LLM's tokens in the training text and choose the classes of the CTC read-out.
stage_tokens() {
  step "${exp}/tokens" --input "${raw}/train/text" "${llm_facts[@]}" --output "${classes}"
  launch train_cmd "${exp}/tokens/log/tokens.log" python -m espnet_otreg.bin.token_classes \
    --text "${raw}/train/text" --llm "${llm_dir}" --output "${classes}"
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
