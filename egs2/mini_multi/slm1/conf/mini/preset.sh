# shellcheck shell=bash
# Preset mini: minutes on two processor cores, everything under free licences.
: "${encoder:=whisper-base}"
: "${augment_copies:=1}"
: "${llm:=train}"
: "${arms:=sft control otreg}"
