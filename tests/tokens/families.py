"""Small tokenizers that are made as those of the families that are used, and saved as transformers saves them."""

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre
from tokenizers import processors as post
from transformers import PreTrainedTokenizerFast

TEXT = [
    "the red circle at [12, 345] is (a) big one. 2014 was, [it] said: 10:30! 3.14, 1000 dogs ([one]) [[two]]",
    "system user assistant you are a helpful assistant, question answer yes no none what is it?",
] * 3
CHATML = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
HEADERS = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}"
    "<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
DIGITS_1 = r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DIGITS_3 = DIGITS_1.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
SPLITS = {"qwen": DIGITS_1, "llama3": DIGITS_3}
CONTROL = {
    "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
    "smollm2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama2": ["<unk>", "<s>", "</s>"],
    "mistral": ["<unk>", "<s>", "</s>"],
    "gemma": ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"],
}  # fmt: skip
NAMED = {
    "qwen": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    "smollm2": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"},
    "llama2": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "mistral": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "gemma": {"unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"},
}  # fmt: skip
TEMPLATES = {
    "qwen": CHATML,
    "llama3": HEADERS,
    "smollm2": CHATML,
    "llama2": INST,
    "mistral": INST,
    "gemma": TURNS,
}
BYTE_LEVEL = ("qwen", "llama3", "smollm2")
FAMILIES = tuple(CONTROL)


def save_family(name: str, folder: Path) -> Path:
    """The folder of a family's tokenizer, with its own special tokens and chat template."""
    backend = _bytes(name) if name in BYTE_LEVEL else _pieces(name)
    special = [AddedToken(token, normalized=False, special=True) for token in CONTROL[name]]
    backend.add_special_tokens(special)
    if name == "qwen":
        backend.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    if bos := NAMED[name].get("bos_token"):
        writes = post.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
        )
        if name == "llama3":
            backend.post_processor = post.Sequence([post.ByteLevel(trim_offsets=False), writes])
        elif name != "smollm2":
            backend.post_processor = writes
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, **NAMED[name])
    fast.chat_template = TEMPLATES[name]
    fast.save_pretrained(folder)
    return folder


def _bytes(name: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    if name == "smollm2":
        cut = [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]
    else:
        split = pre.Split(Regex(SPLITS[name]), behavior="isolated")
        cut = [split, pre.ByteLevel(add_prefix_space=False, use_regex=False)]
    if name == "qwen":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre.Sequence(cut)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def _pieces(name: str) -> Tokenizer:
    """Byte fallback; Gemma has pieces of several spaces and line breaks, and puts no space before a text."""
    pieces = [*CONTROL[name], *(f"<0x{byte:02X}>" for byte in range(256))]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre.Sequence(
        [pre.Metaspace(prepend_scheme="always"), pre.Digits(individual_digits=True)]
    )
    letters = [*"0123456789[],.()▁\n", *map(chr, range(97, 123))]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=pieces, initial_alphabet=letters, show_progress=False
    )
    trained.train_from_iterator(TEXT, trainer)
    import json

    model = json.loads(trained.to_str())["model"]
    vocabulary, merges = model["vocab"], [tuple(pair) for pair in model["merges"]]
    extra = [("▁", "["), ("]", ".")]
    if name == "gemma":
        extra += [("▁", "▁"), ("\n", "\n"), ("\n", "▁")]
    for one, other in extra:
        if one + other not in vocabulary:
            vocabulary[one + other] = len(vocabulary)
            merges.append((one, other))
    unk = "<unk>"
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=unk, fuse_unk=True, byte_fallback=True)
    )
    steps = [] if name == "gemma" else [normalizers.Prepend("▁")]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    if name == "gemma":
        tokenizer.pre_tokenizer = pre.Split(" ", behavior="merged_with_previous")
    return tokenizer
