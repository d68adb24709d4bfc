"""From a trained spoken language model and speech to text: CTC, LLM and both together."""
