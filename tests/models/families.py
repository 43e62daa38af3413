"""Small language models of the families that are used, from transformers' own configs."""

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 500000.0}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def family_config(name: str, vocab_size: int) -> PreTrainedConfig:
    """A config of the family, with what sets it apart and is small enough to matter in short sequences."""
    sizes = SIZES | {"vocab_size": vocab_size, "num_hidden_layers": 2}
    window = {"sliding_window": 6}
    configs = {
        "llama2": lambda: LlamaConfig(**sizes | {"num_key_value_heads": 4}, rms_norm_eps=1e-5),
        "llama3": lambda: LlamaConfig(**sizes, rope_parameters=LLAMA3),
        "smollm2": lambda: LlamaConfig(**sizes, rope_parameters=ROPE, tie_word_embeddings=True),
        "qwen2": lambda: Qwen2Config(**sizes, tie_word_embeddings=True),
        "qwen3": lambda: Qwen3Config(**sizes, head_dim=16),
        "mistral": lambda: MistralConfig(**sizes, **window),
        "gemma2": lambda: Gemma2Config(
            **sizes, **window, head_dim=16, query_pre_attn_scalar=16, final_logit_softcapping=4.0
        ),
        "gemma3": lambda: Gemma3TextConfig(
            **sizes | {"num_hidden_layers": 4}, **window, head_dim=16, query_pre_attn_scalar=16,
            layer_types=["sliding_attention", "full_attention"] * 2, final_logit_softcapping=4.0,
        ),
    }  # fmt: skip
    return configs[name]()


FAMILIES = ["llama2", "llama3", "smollm2", "qwen2", "qwen3", "mistral", "gemma2", "gemma3"]
