"""`plan`: what a run will cost, before it begins. Of the weights only `config.json` is read, and no GPU is needed.

python main.py plan --config stage1 --config vicuna_7b --config coinit --config fsdp --nodes 4
"""

from collections.abc import Iterator
from dataclasses import asdict

from datamodules.commands.bare import (
    Run,
    Vocabularies,
    bare_model,
    put_on_adapters,
    read_run,
    read_tokenizer,
)
from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.cost import (
    PAPER_CARDS,
    PAPER_PEAK,
    card_batch,
    paper_hours,
    sample_flops,
    steps_of,
)
from datamodules.commands.mixture_lengths import MixtureLengths, mixture_lengths
from datamodules.commands.options import PlanOptions
from vista.data import InputError, MissingFileError
from vista.models.merged import LORA_A
from vista.models.vistallm import VistaLLM
from vista.module import check_frozen_dtype
from vista.printable import say
from vista.tokens.tokenizer import Tokenizer
from vista.training.flops import unit_flops
from vista.training.footprint import Memory, Sharing, checkpoint_bytes, memory

# Where the tokenizers' files are not there: those of InstructBLIP-Vicuna, with our numbers and marks.
USUAL = Vocabularies(32_994, 30_523)
GB = 1e9
SHARDED = ("ShardedStrategy", "ModelParallelStrategy")
KINDS = {
    "weights": "", "gradients": "", "optimizer": "its states", "gathered": "whole layers, copies, buckets",
    "activations": "of the heaviest batch drawn", "logits": "with their gradients",
}  # fmt: skip


def main(options: PlanOptions) -> None:
    """Print the plan.

    Raises:
        InputError: a setting is out of range, or nothing is known of the data.
        MissingFileError: no `config.json` says the sizes of a part.
    """
    if not 0 < options.mfu <= 1:
        raise InputError(f"--mfu {options.mfu} is no share of a card's peak, above 0 and at most 1")
    setup = read_setup(options.config, options.data.root, options.plugin)
    run = read_run(setup.settings)
    check_frozen_dtype(run.model["frozen_dtype"], run.trainer["precision"])
    tokenizer = tokenizer_if_there(setup)
    model = bare_model(setup.settings, vocabularies(tokenizer))
    put_on_adapters(model, run, vocabularies(tokenizer))
    say(*of_parts(model))
    if tokenizer is None:
        say(
            f"the tokenizer is not there: taken as {USUAL.llm:,} pieces, the QFormer's as {USUAL.qformer:,}"
        )
    mixture = mixture_lengths(setup, run, tokenizer, model.query_tokens.shape[1])
    say(*of_mixture(mixture))
    sharing = sharing_of(run, options)
    say(*of_memory(model, run, sharing, mixture, options.card_gb))
    say(*of_time(model, run, sharing, mixture, options))
    text = len(tokenizer.to_json()) if tokenizer else 0
    size = checkpoint_bytes(model, run.model["optimization"], text)
    say(f"checkpoint: {size / GB:.1f} GB, its weights and the optimizer's states")


def tokenizer_if_there(setup: Setup) -> Tokenizer | None:
    """The tokenizer of the configs; None where its files are not there."""
    try:
        return read_tokenizer(setup)
    except MissingFileError:
        return None


def vocabularies(tokenizer: Tokenizer | None) -> Vocabularies:
    """Rows of the embeddings."""
    return USUAL if tokenizer is None else Vocabularies.of(tokenizer)


def sharing_of(run: Run, options: PlanOptions) -> Sharing:
    """How cards share the training, as the configs say; `auto` devices are those of the options.

    Raises:
        InputError: a batch cannot be divided among the cards.
    """
    trainer = run.trainer
    devices = trainer["devices"]
    named = (
        len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else 8
    )
    cards = options.cards or named
    total = cards * (options.nodes or trainer["num_nodes"])
    if run.data["batch_size"] % total:
        raise InputError(
            f"the batch of {run.data['batch_size']} samples cannot be divided among {total} cards; set --nodes and "
            "--cards (of a node), or data.batch_size"
        )
    bf16 = "bf16" in str(trainer["precision"])
    strategy = trainer["strategy"]
    if not (isinstance(strategy, dict) and strategy["class_path"].endswith(SHARDED)):
        return Sharing(total, 1, bf16)
    shards = (strategy.get("init_args") or {}).get("tensor_parallel_size", "auto")
    return Sharing(total, shards if isinstance(shards, int) else cards, bf16, sharded=True)


def of_parts(model: VistaLLM) -> Iterator[str]:
    """A line for each part: parameters, and how many are trained."""
    yield f"{'part':20s} {'parameters':>16s}  trained"
    for name, part in (*model.named_children(), ("all", model)):
        total = sum(p.numel() for p in part.parameters())
        trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
        share = 100 * trained / max(1, total)
        adapted = any(LORA_A in own for own, _ in part.named_parameters())
        how = " by adapters" if adapted and part is not model else ""
        yield f"{name:20s} {total:>16,}  {share:.{2 if 0 < share < 1 else 0}f} %{how}"


def of_mixture(mixture: MixtureLengths) -> Iterator[str]:
    """What an epoch holds, and how that is known.

    Raises:
        InputError: nothing is known.
    """
    if not mixture.epoch:
        raise InputError(
            f"nothing is known of {', '.join(mixture.absent)}: the files are not there (--data.root), and no lengths "
            "are stated; a generated world is written by `fit`"
        )
    known = (
        "measured on the files"
        if mixture.sources[0].measured
        else "as stated for the paper's mixture"
    )
    yield f"an epoch: {mixture.epoch:,} samples of {len(mixture.sources)} sources, {known}"
    if mixture.absent:
        yield f"not counted, since neither files nor lengths are known: {', '.join(mixture.absent)}"


def of_memory(
    model: VistaLLM, run: Run, sharing: Sharing, mixture: MixtureLengths, card_gb: float
) -> Iterator[str]:
    """Memory of a card by kind, and the largest batch that fits."""
    rows = run.data["batch_size"] // sharing.cards
    batch = card_batch(mixture, rows, model.length_groups)
    used = memory(model, run.model["optimization"], sharing, batch)
    shared = f"{sharing.shards} share the weights" if sharing.sharded else "each has all weights"
    yield f"memory of a card in GB, {rows} samples on each of {sharing.cards}, {shared}:"
    for kind, size in asdict(used).items():
        yield f"    {kind:12s} {size / GB:8.2f}  {KINDS[kind]}".rstrip()
    verdict = "fits" if used.total <= card_gb * GB else "does not fit"
    yield f"    {'all':12s} {used.total / GB:8.2f}  {verdict} into {card_gb:g}"
    yield largest(used, rows, sharing, card_gb)


def largest(used: Memory, rows: int, sharing: Sharing, card_gb: float) -> str:
    """A sentence on the largest batch that fits: what grows with the samples grows evenly."""
    fixed = used.total - used.of_samples
    most = int((card_gb * GB - fixed) * rows / used.of_samples)
    if most < 1:
        return f"no sample fits: {fixed / GB:.1f} GB of a card are taken without any"
    return f"the largest batch that fits: {most} samples a card, data.batch_size {most * sharing.cards}"


def of_time(
    model: VistaLLM, run: Run, sharing: Sharing, mixture: MixtureLengths, options: PlanOptions
) -> Iterator[str]:
    """Operations, steps and hours, beside the paper's."""
    each = run.data["batch_size"] * (run.trainer["accumulate_grad_batches"] or 1)
    step = each * sample_flops(unit_flops(model), mixture)
    steps = steps_of(run, mixture.epoch)
    yield f"a step: {each} samples, {step / 1e12:,.4g} TFLOPs (encoder included, counted as speed/mfu)"
    if not steps:
        yield "no end: set trainer.max_epochs or trainer.max_steps"
        return
    speed = sharing.cards * options.tflops * 1e12 * options.mfu
    peak = f"{sharing.cards} x {options.tflops:g} TFLOP/s at an MFU of {options.mfu:.0%}"
    yield f"{steps:,} steps: {steps * step / speed / 3600:,.1f} hours on {peak}, validations not counted"
    llm = sum(p.numel() for p in model.language_model.parameters())
    hours = paper_hours(llm, "llm" in run.model["trainable"])
    if hours:
        implied = steps * step / (hours * 3600 * PAPER_CARDS * PAPER_PEAK)
        yield f"the paper: {hours} hours on {PAPER_CARDS} A100, of these operations an MFU of {implied:.1%}"
