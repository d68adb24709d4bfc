# shellcheck shell=bash disable=SC2034,SC2154
# Where everything of a run lies. Options that were left empty get the experiment's values.

conf=conf/${preset} exp=${exp_dir}/${preset}${tag:+_${tag}} raw=dump/raw
shared=(data dump "${download_dir}") # other experiments write here, too
read -ra kinds_of_sets <<<"--in_domain ${in_domain} ${beside:+--beside ${beside}}"
! ${full} || limit=0
! ${hf_offline} || export HF_HUB_OFFLINE=1

[[ -f "${conf}/experiment.yaml" ]] || die "--preset ${preset}: there is no \
${conf}/experiment.yaml" "choose one of: $(cd conf && echo */)"
[[ -z "${marks}" || -f "${marks}" ]] || die "--marks ${marks}: no such file" "check the path"
for name in encoder llm data_root text_corpus; do
  # One slash may also be a name of the hub.
  [[ -d "${!name}" || ! ("${!name}" =~ ^[./] || "${!name}" == */*/*) ]] ||
    die "--${name} ${!name}: no such directory" "check the path"
done

# Lines "setting|NAME|VALUE" and "training|STAGE|NAME|SEED|DIRECTORY|CONFIGURATION|CHECKPOINT TO
# START FROM|CHECKPOINT TO USE|paired or unpaired|WAYS OF DECODING".
planning=(python -m espnet_otreg.bin.experiment plan --conf "${conf}" --exp "${exp}"
  --arms "${arms}" --pretrainings "${pretrainings}" --seeds "${seeds}"
  --stages "${training_stages[*]}" --decode_modes "${decode_modes}" --floor_modes "${floor_modes}"
  --synthesis "${synthesis}" --num_splits "${num_splits}")
! ${accept_licence} || planning+=(--accept_licence)
plan=$("${planning[@]}" "${dry[@]}")

setting() { sed -n "s/^setting|$1|//p" <<<"${plan}"; }

# The trainings of stage $1, or all: one on a line, without the first word.
trainings() { sed -n "s/^training|\(${1:-.*}|\)/\1/p" <<<"${plan}"; }

encoder=${encoder:-$(setting encoder)} llm=${llm:-$(setting llm)}
encoder_layers=$(setting encoder_layers) upper_half=$(setting upper_half)
augment_copies=${augment_copies:-$(setting augment_copies)}
llm_config=$(setting llm_config) spoken=$(setting synthesis) augment=$(setting augment)

corpus= # the text: one's own, or what the recipe fetches
[[ ! -x local/text.sh && -z "${text_corpus}" ]] || corpus=data/llm_text
if [[ -n "${spoken}" && -z "${corpus}" ]]; then
  [[ -z "${synthesis}" ]] || die "${spoken}: there is no text to read aloud" \
    "give --text_corpus DIR with LANGUAGE.txt"
  echo "note: no text is here, so no speech is made of it (--text_corpus DIR)"
  spoken=
fi
synthesis=${spoken}

# Where the model of that name is: a path or a hub name stays as it is.
model_dir() { [[ -d "$1" || "$1" == */* ]] && echo "$1" || echo "${download_dir}/$1"; }

features=dump/features/$(basename "${encoder}")${encoder_layers:+-layer${encoder_layers}}
encoder_dir=$(model_dir "${encoder}") classes=${exp}/tokens/classes.json ngram=
[[ "${plan}" != *ctc_ngram* ]] || ngram=${exp}/ngram # a way of decoding reads it
# Training speech: the recordings, and what is made from text.
speech_sets=(train ${synthesis:+synthetic}) training=${features}/train${synthesis:+_and_synthetic}
llm_dir=$(model_dir "${llm}")
llm_facts=(--set "llm=${llm}") # of what is made from the LLM
if [[ "${llm}" == train ]]; then
  llm_dir=${exp}/llm
  llm_facts+=(--upstream "${llm_dir}")
elif [[ "${llm_dir}" != "${llm}" ]]; then
  llm_facts+=(--upstream "${download_dir}/done/${llm}")
fi
