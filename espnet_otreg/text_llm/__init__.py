"""A small causal LLM and its tokenizer, trained on freely licensed text (recipe stage 5)."""
