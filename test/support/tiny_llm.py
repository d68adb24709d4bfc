"""A tiny random LLM in the Llama layout with a real tokenizer, trained on a few sentences."""

from __future__ import annotations

from pathlib import Path

SENTENCES = {
    "en": ["press one now", "please hold the line", "goodbye", "call again later"],
    "es": ["pulse uno ahora", "por favor espere", "llame luego"],
    "fr": ["appuyez sur un", "veuillez patienter", "au revoir"],
    "it": ["premere uno adesso", "attendere prego", "arrivederci"],
    "ru": ["нажмите один", "пожалуйста ждите", "до свидания"],
}


def build_tiny_llm(directory: Path, hidden_size: int = 32, layers: int = 2) -> Path:
    """Make a model directory that AutoModelForCausalLM and AutoTokenizer load."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "<s>", "</s>", "<unk>", *(f"<{language}>" for language in SENTENCES)]
    texts = [text for texts in SENTENCES.values() for text in texts]
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=special[4:],
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=fast.pad_token_id,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    # Fresh padding rows are zero; the anchor needs a direction.
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.5)
    model.save_pretrained(directory)
    fast.save_pretrained(directory)
    return directory
