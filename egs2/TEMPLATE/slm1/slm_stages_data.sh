# shellcheck shell=bash disable=SC2034,SC2154
# Stages 1 to 5: data, features, the LLM and its tokens.

# Fetch and prepare the corpus: data/{train,dev,test,ood} (local/data.sh).
stage_data() {
  local outputs=() set
  for set in "${train_set}" "${valid_set}" "${test_sets[@]}"; do
    outputs+=(--output "data/${set}/wav.scp" --output "data/${set}/text")
  done
  if [[ -n "${data_args}" ]]; then
    outputs+=(--set "data_args=${data_args}")
  fi
  step data --input local/data.sh "${outputs[@]}" -- prepare_corpus
}

prepare_corpus() {
  local args=(--download_dir "${download_dir}" --output data --nj "${nj}") more
  if [[ -n "${data_root}" ]]; then
    args+=(--data_root "${data_root}")
  fi
  read -ra more <<<"${data_args}"
  launch train_cmd data/log/prepare.log local/data.sh "${args[@]}" "${more[@]}"
}

# Check every data directory and convert its audio to 16 kHz mono.
stage_format() {
  local set args inputs
  for set in "${train_set}" "${valid_set}" "${test_sets[@]}"; do
    args=(--data_dir "data/${set}" --output_dir "${raw}/${set}" --nj "${nj}"
      --mix_channels "${mix_channels}" --resample "${resample}")
    if [[ "${set}" == ood ]] && ((limit > 0)); then
      args+=(--limit "${limit}")
    fi
    inputs=(--input "data/${set}/wav.scp" --input "data/${set}/text")
    if [[ -f "data/${set}/segments" ]]; then
      inputs+=(--input "data/${set}/segments")
    fi
    if [[ -n "${marks}" ]]; then
      args+=(--marks "${marks}")
      inputs+=(--input "${marks}")
    fi
    step "${raw}/${set}" --upstream data "${inputs[@]}" \
      --output "${raw}/${set}/wav.scp" --output "${raw}/${set}/text" \
      -- launch train_cmd "${raw}/log/format_${set}.log" \
      python -m espnet_otreg.bin.format_data "${args[@]}"
  done
  if [[ "${llm}" == train ]]; then
    # What stage 4 would find wrong after all features have been made.
    run python -m espnet_otreg.bin.train_text_llm --check --config "${conf}/llm.yaml" \
      --data_dir "${raw}/${train_set}" --output "${llm_dir}"
  fi
}

# Encode every set once with the frozen speech encoder.
stage_features() {
  fetch_model "${encoder}"
  local set facts words how=(--model "${encoder_dir}" --nj "${nj}") log=${features}/log/extract
  local module=espnet_otreg.bin.extract_features record sets=() records=() started
  for set in "${train_set}" "${valid_set}" "${test_sets[@]}"; do
    facts=("${features}/${set}" --upstream "${raw}/${set}" --input "${raw}/${set}/wav.scp"
      --output "${features}/${set}/feats.scp" --output "${features}/${set}/feats.json"
      --output "${features}/${set}/text" --output "${features}/${set}/utt2lang")
    words=(python -m "${module}" --data "${raw}/${set}" --output "${features}/${set}" "${how[@]}")
    if [[ "${set}" == "${train_set}" ]] && ((augment_copies > 0)); then
      step "${facts[@]}" -- launch_on_device train_cmd "${log}_${set}.log" "${words[@]}" \
        --augment_copies "${augment_copies}"
      continue
    fi
    record=$(begin_step "${facts[@]}" -- "${words[@]}")
    if [[ -n "${record}" ]]; then
      sets+=("${set}") records+=("${record}")
    fi
  done
  if ((${#sets[@]} == 0)); then
    return
  fi
  # Together: to start a process takes longer than to encode many a set.
  started=${SECONDS} stage_idle=false
  launch_on_device train_cmd "${log}_sets.log" python -m "${module}" \
    --data "${sets[@]/#/${raw}/}" --output "${sets[@]/#/${features}/}" "${how[@]}"
  for set in "${!sets[@]}"; do
    finish_step "${features}/${sets[set]}" "${started}" "${records[set]}"
  done
}

# Fetch the LLM and its tokenizer, or train them on text.
stage_llm() {
  if [[ "${llm}" != train ]]; then
    fetch_model "${llm}"
    return
  fi
  local args=(--data_dir "${raw}/${train_set}" --config "${conf}/llm.yaml" --output "${llm_dir}")
  local facts=(--input "${raw}/${train_set}/text" --upstream "${raw}/${train_set}")
  if [[ -x local/text.sh ]]; then
    step data/llm_text --upstream data --input local/text.sh --output data/llm_text/en.txt \
      -- launch train_cmd data/log/text.log \
      local/text.sh --data_root "${data_root}" --download_dir "${download_dir}"
    args+=(--corpus data/llm_text)
    facts+=(--upstream data/llm_text)
  fi
  step "${llm_dir}" "${facts[@]}" --training \
    --output "${llm_dir}/config.json" --output "${llm_dir}/model.safetensors" \
    -- launch cuda_cmd "${exp}/log/train_llm.log" \
    python -m espnet_otreg.bin.train_text_llm "${args[@]}"
}

# Count the LLM's tokens in the training text and choose the classes of the CTC read-out.
stage_tokens() {
  step "${exp}/tokens" --input "${raw}/${train_set}/text" "${llm_facts[@]}" --output "${classes}" \
    -- launch train_cmd "${exp}/tokens/log/tokens.log" \
    python -m espnet_otreg.bin.token_classes \
    --text "${raw}/${train_set}/text" --llm "${llm_dir}" --output "${classes}"
}

# Where the model of that name is: a path or a hub name stays as it is.
model_dir() {
  if [[ -d "$1" || "$1" == */* ]]; then
    echo "$1"
  else
    echo "${download_dir}/$1"
  fi
}

# Make a model available that is known to tools/fetch_model.py; others are already there or on the hub.
fetch_model() {
  local directory args=(--cache "${download_dir}/packages")
  directory=$(model_dir "$1")
  if [[ "${directory}" == "$1" ]]; then
    return
  fi
  if ${accept_licence}; then
    args+=(--accept_licence)
  fi
  step "${download_dir}/done/$1" --set "name=$1" --output "${directory}/config.json" \
    -- launch train_cmd "${download_dir}/log/fetch_$1.log" \
    python "${otreg_root}/tools/fetch_model.py" "$1" --output "${directory}" "${args[@]}"
}
