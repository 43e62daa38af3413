"""For train.py: our model and transformers' InstructBLIP of the same sizes and weights."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration

from benchmarks.mixture_samples import IMAGE, VOCABULARY
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.vistallm import VistaLLM

Batch = dict[str, Tensor]
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "small": {
        "encoder": {"image_size": 224, "patch_size": 14, "hidden_size": 256, "num_layers": 4, "mlp_size": 768},
        "qformer": {"num_queries": 32, "hidden_size": 256, "num_layers": 4, "mlp_size": 768,
                    "cross_attention_every": 2},
        "llm": {"hidden_size": 512, "num_layers": 6, "num_heads": 8, "mlp_size": 1536},
    },
    "7b": {
        "encoder": {"image_size": 224, "patch_size": 14, "hidden_size": 1408, "num_layers": 39, "num_heads": 16,
                    "mlp_size": 6144},
        "qformer": {"num_queries": 32, "hidden_size": 768, "num_layers": 12, "num_heads": 12, "mlp_size": 3072,
                    "cross_attention_every": 2},
        "llm": {"hidden_size": 4096, "num_layers": 32, "num_heads": 32, "mlp_size": 11008, "tie_embeddings": False},
    },
}  # fmt: skip


def transformers_twin(ours: VistaLLM) -> InstructBlipForConditionalGeneration:
    """Transformers' own model of the same sizes and weights, in evaluation mode."""
    parts: Any = ours
    text = parts.language_model.config.to_dict()
    text.pop("architectures", None)
    config = InstructBlipConfig(
        vision_config=parts.vision_model.config.to_dict(),
        qformer_config=ours.qformer.config.to_dict(),
        text_config=text,
        num_query_tokens=ours.qformer.num_queries,
        image_token_index=ours.image_token_id,
    )
    twin = InstructBlipForConditionalGeneration(copy.deepcopy(config)).eval()
    result = twin.load_state_dict(ours.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) <= {"language_model.lm_head.weight"}
    twin.tie_weights()
    return twin


class Way(NamedTuple):
    """A way to train: the model, its loss on a batch, the layout of the answers, and whether batches are sorted."""

    model: torch.nn.Module
    loss: Callable[[Batch], Tensor]
    layout: str
    sorted: bool = False


class Bench:
    """Both models with the same weights."""

    def __init__(self, size: str, device: str, length_groups: int) -> None:
        torch.manual_seed(0)
        parts = SIZES[size]
        is_7b = size == "7b"  # stage 2 in half precision, on one card
        torch.set_default_dtype(torch.bfloat16 if is_7b else torch.float32)
        width = parts["encoder"]["hidden_size"]
        with torch.device(device):
            encoder = build_encoder(**parts["encoder"]).requires_grad_(False)
            qformer = QFormer(vocab_size=VOCABULARY, encoder_hidden_size=width, **parts["qformer"])
            llm = build_llm(vocab_size=VOCABULARY, **parts["llm"]).requires_grad_(not is_7b)
            self.ours = VistaLLM(encoder, qformer, llm, IMAGE, length_groups)
        self.queries = qformer.num_queries
        self.side = parts["encoder"]["image_size"]
        self.device = device
        self.usual: InstructBlipForConditionalGeneration | None = None
        if not is_7b:
            self.usual = transformers_twin(self.ours).to(device).train()
            self.usual.vision_model.requires_grad_(False)
        torch.set_default_dtype(torch.float32)

    def our_loss(self, batch: Batch) -> Tensor:
        """Mean over the tokens of all answers."""
        num_tokens = (batch["labels"][:, 1:] >= 0).sum()
        return self.ours(batch).sum() / num_tokens

    def usual_loss(self, batch: Batch) -> Tensor:
        """The same, by transformers."""
        assert self.usual is not None
        return self.usual(
            pixel_values=batch["pixel_values"][batch["image_index"]],
            qformer_input_ids=batch["instruction_ids"],
            qformer_attention_mask=batch["instruction_mask"],
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=batch["labels"],
        ).loss

    def strong_loss(self, batch: Batch) -> Tensor:
        """The same by transformers' parts, as who trains them well: an image once, logits at answers alone."""
        parts: Any = self.usual
        patches = parts.vision_model(pixel_values=batch["pixel_values"]).last_hidden_state
        queries = parts.query_tokens.expand(len(batch["image_index"]), -1, -1)  # (J, L, Dq)
        seen = batch["instruction_mask"].new_ones(queries.shape[:2])
        visual = parts.qformer(
            input_ids=batch["instruction_ids"],
            attention_mask=torch.cat([seen, batch["instruction_mask"]], dim=1),
            query_embeds=queries,
            encoder_hidden_states=patches[batch["image_index"]],
        ).last_hidden_state[:, : queries.shape[1]]
        embeds = parts.get_input_embeddings()(batch["input_ids"])  # (B, T, D)
        is_image = (batch["input_ids"] == IMAGE)[..., None]
        embeds = embeds.masked_scatter(is_image, parts.language_projection(visual))
        llm = parts.language_model
        hidden = llm.get_decoder()(
            inputs_embeds=embeds, attention_mask=batch["attention_mask"], use_cache=False
        ).last_hidden_state[:, :-1]
        target = batch["labels"][:, 1:]
        learned = target >= 0
        logits = llm.get_output_embeddings()(hidden[learned])
        return torch.nn.functional.cross_entropy(logits, target[learned])

    def compare(self, batch: Batch) -> float:
        """Largest difference of the losses and of any gradient, in units of the largest gradient of its tensor."""
        assert self.usual is not None
        our_loss, usual_loss = self.our_loss(batch), self.usual_loss(batch)
        our_loss.backward()
        usual_loss.backward()
        differences = [abs(our_loss.item() - usual_loss.item())]
        with torch.no_grad():
            differences.append(abs(usual_loss.item() - self.strong_loss(batch).item()))
        usual_grads = _grads(self.usual)
        for name, grad in _grads(self.ours).items():
            scale = grad.abs().max().clamp(min=1e-3)
            difference = (grad - usual_grads[name]).abs().max() / scale
            differences.append(difference.item())
        self.ours.zero_grad()
        self.usual.zero_grad()
        return max(differences)

    def ways(self) -> dict[str, Way]:
        """What is timed, by name."""
        ways = {
            "ours": Way(self.ours, self.our_loss, "paper"),
            "ours_compact": Way(self.ours, self.our_loss, "compact"),
        }
        if self.usual is not None:
            ways["usual"] = Way(self.usual, self.usual_loss, "paper")
            ways["sorted"] = Way(self.usual, self.usual_loss, "paper", sorted=True)
            ways["strong"] = Way(self.usual, self.strong_loss, "paper", sorted=True)
        return ways


def _grads(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
