# shellcheck shell=bash disable=SC2034,SC2154
# Stages 11 to 15: decoding, scores, analysis, report, packing. Trainings without a way of decoding
# are there for others to go on from.

# Decode the development and test sets with every trained model, in every way asked for.
stage_decode() {
  local dir checkpoint modes set
  while IFS='|' read -r _ _ _ dir _ _ checkpoint _ modes; do
    [[ -z "${modes}" ]] || decode_model "${dir}" "${checkpoint}" "${modes}"
  done < <(trainings)
  if ${full}; then
    for set in test ood; do
      dir=${exp}/whisper/zero_shot/${set}
      step "${dir}" --upstream "${raw}/${set}" --input_if_there "${encoder_dir}" \
        --output "${dir}/text"
      launch_on_device decode_cmd "${exp}/whisper/log/${set}.log" \
        python -m espnet_otreg.bin.whisper_baseline --data "${raw}/${set}" \
        --model "${encoder_dir}" --output "${dir}"
    done
  fi
}

decode_model() { # decode_model DIR CHECKPOINT MODES
  local mode modes words log=$1/decode/log texts=()
  read -ra modes <<<"$3"
  for mode in "${modes[@]}"; do texts+=("$1/${mode}"/{dev,test,ood}/text); done
  words=(python -m espnet_otreg.bin.slm_decode --model_dir "$1" --output_dir "$1" --checkpoint "$2"
    --modes "${modes[@]}" ${ngram:+--ngram "${ngram}"} --data_dir "${features}"/{dev,test,ood}
    --weights_dev "${features}/dev" --batch_size "${decode_batch_size}")
  model_step "$1/decode" --input "$1/$2" --input_if_there "${llm_dir}" --output "${texts[@]}" \
    --upstream "$1" "${features}"/{dev,test,ood} ${ngram:+"${ngram}"}
  if ((decode_nj > 1)); then # in several processes, whose results are then joined
    launch_on_device decode_cmd "${log}/decode.JOB.log" "JOB=1:${decode_nj}" "${words[@]}" \
      --job JOB --num_jobs "${decode_nj}"
    options --decode_args "${decode_args}"
    words+=(--num_jobs "${decode_nj}")
  fi
  launch_on_device decode_cmd "${log}/decode.log" "${words[@]}"
  options --decode_args "${decode_args}"
}

# Score all hypotheses: error rates per language and test set.
stage_score() {
  local dir set
  while read -r dir; do
    set=${dir##*/}
    model_step "${dir}/scoring" --input "${raw}/${set}/text" "${dir}/text" \
      --output "${dir}/scoring/score.json"
    launch train_cmd "${dir%/*}/log/score_${set}.log" python -m espnet_otreg.bin.slm_score \
      --reference_dir "${raw}/${set}" --hypothesis "${dir}/text" \
      --output "${dir}/scoring/score.json" --normalizer otreg-basic-v2 "${kinds_of_sets[@]}"
    options --score_args "${score_args}"
  done < <(hypotheses dev test ood | sed 's/^[^=]*=//')
}

# hypotheses SET...: "RUN, WAY OF DECODING=DIR" for each of these sets.
hypotheses() {
  local set name dir modes mode
  for set in "$@"; do
    ! ${full} || [[ "${set}" == dev ]] || echo "Whisper zero-shot=${exp}/whisper/zero_shot/${set}"
    while IFS='|' read -r _ name _ dir _ _ _ _ modes; do
      for mode in ${modes}; do echo "${name}, ${mode}=${dir}/${mode}/${set}"; done
    done < <(trainings)
  done
}

# The trainings that are analysed and packed: those that are decoded, with an LLM.
with_llm() { trainings | grep -v '^pretrain|' | grep -v '|$' || true; }

# Measure the modality gap and the retrieval of transcripts, and draw a transport plan.
stage_analyze() {
  local dir checkpoint output
  while IFS='|' read -r _ _ _ dir _ _ checkpoint _; do
    output=${dir}/analysis/analysis.json
    model_step "${dir}/analysis" --input "${dir}/${checkpoint}" --output "${output}" \
      --upstream "${dir}" "${features}"/{test,ood}
    launch_on_device decode_cmd "${dir}/log/analyze.log" python -m espnet_otreg.bin.slm_analyze \
      --model_dir "${dir}" --checkpoint "${checkpoint}" --data_dir "${features}"/{test,ood} \
      --output "${output}" --plan_image "${dir}/analysis/plan.png" \
      --audio_dir "${raw}"/{test,ood} "${kinds_of_sets[@]}"
  done < <(with_llm)
}

# Write the report: tables, verdicts and pictures from the scores and the analyses.
stage_report() {
  local report=${exp}/report documents=() dir files record=
  ! ${publish} || documents+=(--results_md "${otreg_root}/RESULTS.md"
    --readme "${otreg_root}/README.md")
  ! ${publish_methods} || documents+=(--methods_md "${otreg_root}/docs/regularizers.md"
    --methods_results_md "${otreg_root}/RESULTS.md")
  [[ ! -f conf/split.json ]] || record=conf/split.json
  mapfile -t files < <(hypotheses test ood | sed 's|^[^=]*=||; s|$|/scoring/score.json|')
  while IFS='|' read -r _ _ _ dir _; do
    files+=("${dir}/analysis/analysis.json")
  done < <(with_llm)
  step "${report}" --input "${files[@]}" --input_if_there "${exp}/step_times.json" \
    --output "${report}"/{results.md,table.txt,next.txt}
  launch train_cmd "${report}/log/report.log" python -m espnet_otreg.bin.slm_report \
    --exp "${exp}" --output "${report}" --command "${run_command}" \
    --data_dir "${raw}"/{train,dev,test,ood} ${record:+--split_record "${record}"} \
    "${documents[@]}"
}

# Pack every model with its prompt and its settings, to be used elsewhere.
stage_pack() {
  local dir checkpoint
  while IFS='|' read -r _ _ _ dir _ _ checkpoint _; do
    model_step "${dir}/packed" --upstream "${dir}" --input "${dir}/${checkpoint}" \
      --output "${dir}/packed/model/README.md"
    launch train_cmd "${dir}/log/pack.log" python -m espnet_otreg.bin.slm_pack \
      --model_dir "${dir}" --checkpoint "${checkpoint}" --output "${dir}/packed/model"
  done < <(with_llm)
}

# The end: the report's table with its verdicts and what to do next; before it, scores alone.
show_results() {
  local rows end=("${exp}/report"/{table,next}.txt)
  if ((last >= $(stage_number report))); then # stage pack alone may come before any report
    if ((first <= $(stage_number report))) || [[ -f "${end[0]}" ]]; then run cat "${end[@]}"; fi
  elif ((last >= $(stage_number score))); then
    mapfile -t rows < <(hypotheses test ood | sed 's|.*|--row=&/scoring/score.json|')
    run python -m espnet_otreg.bin.slm_table "${rows[@]}"
  fi
}
