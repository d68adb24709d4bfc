"""The spoken language model: encoder, projector, read-out, compression, prompt and LLM."""
