# shellcheck shell=bash
# Preset pretrained: a multilingual LLM. Where the hub cannot be reached: --llm gemma-3-270m, whose
# terms of use you accept with --accept_licence. Other recipes link to this directory.
: "${encoder:=whisper-base}"
: "${augment_copies:=0}"
: "${llm:=qwen3-0.6b}"
: "${arms:=sft control otreg}"
