"""VistaLLM: the composition of encoder, QFormer and LLM (Section 3.1, Figure 2).

    pixel_values (I, 3, S, S) -> vision_model -> (I, P, D) -> qformer, with the instruction -> (J, L, D)
    -> language_projection -> put in place of the J x L `<image>` tokens of input_ids (B, T) -> language_model

Letters: I images of the batch, J uses of an image by a sample (a sample with k images has k; several samples may share
an image), L queries, P patch tokens, B samples, T tokens. The attributes carry the names that transformers'
InstructBLIP gives to the same parts, so that state dicts are interchangeable.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vista.models.llm import logit_steps
from vista.models.parts import QFormer
from vista.tokens.batch_types import Batch


class VistaLLM(nn.Module):
    """One model for all tasks. See the head of this file for the shapes."""

    def __init__(
        self,
        vision_model: PreTrainedModel,
        qformer: QFormer,
        language_model: PreTrainedModel,
        image_token_id: int,
        length_groups: int = 8,
    ) -> None:
        """Put built parts together.

        Args:
            vision_model: called with pixel_values (I, 3, S, S), gives `last_hidden_state` (I, P, D).
            qformer: the instruction-guided tokenizer.
            language_model: any causal language model of transformers.
            image_token_id: id of `<image>`, which stands L times in `input_ids` for every image.
            length_groups: calls of the decoder in which a batch is trained, samples of about one length in each.
        """
        super().__init__()
        width, llm_width = qformer.config.hidden_size, language_model.config.hidden_size
        self.image_token_id = image_token_id
        self.length_groups = length_groups
        self.vision_model = vision_model
        self.qformer = qformer
        self.query_tokens = nn.Parameter(torch.randn(1, qformer.num_queries, width) * width**-0.5)
        self.language_projection = nn.Linear(width, llm_width)
        nn.init.normal_(self.language_projection.weight, std=width**-0.5)
        nn.init.zeros_(self.language_projection.bias)
        self.language_model = language_model
        self.logit_steps = logit_steps(language_model.config)

    def encode_images(self, batch: Batch) -> Tensor:
        """Visual tokens of every use of an image.

        Args:
            batch: `pixel_values` float (I, 3, S, S); `image_index` int (J,), which image each use shows;
                `sample_index` int (J,), which sample uses it; `instruction_ids`, `instruction_mask` int (B, Tq).

        Returns:
            float (J, L, D of the LLM), uses in reading order.
        """
        patches = self.vision_model(pixel_values=batch["pixel_values"]).last_hidden_state
        sample_index, image_index = batch["sample_index"], batch["image_index"]
        lengths = batch["instruction_mask"].sum(dim=1)[sample_index].tolist()  # (J,)
        queries = self.query_tokens.expand(len(lengths), -1, -1)  # (J, L, Dq)
        visual = torch.zeros_like(queries)
        # As many groups on every process, and each has as many samples: see `length_groups`.
        for rows in length_groups(lengths, min(self.length_groups, len(batch["input_ids"]))):
            samples, longest = sample_index[rows], lengths[rows[-1]]
            text_mask = batch["instruction_mask"][samples, :longest]
            # Queries may all be looked at, instructions up to their padding.
            mask = torch.cat([text_mask.new_ones(len(rows), queries.shape[1]), text_mask], dim=1)
            visual[rows] = self.qformer(
                input_ids=batch["instruction_ids"][samples, :longest],
                attention_mask=mask,
                query_embeds=queries[rows],
                encoder_hidden_states=patches[image_index[rows]],
            ).last_hidden_state[:, : queries.shape[1]]  # of (R, L + longest, Dq), the queries first
        return self.language_projection(visual)

    def embed(self, batch: Batch) -> Tensor:
        """Token embeddings with the visual tokens in their places.

        Returns:
            float (B, T, D).

        Raises:
            ValueError: the number of `<image>` tokens of a sample is not L times its number of images.
        """
        input_ids = batch["input_ids"]
        inputs_embeds = self.language_model.get_input_embeddings()(input_ids)  # (B, T, D)
        visual = self.encode_images(batch)
        num_queries = visual.shape[1]
        is_image = input_ids == self.image_token_id
        # `masked_scatter` counts over the whole batch: it would not notice a mark that another sample lacks.
        uses = torch.bincount(batch["sample_index"], minlength=len(input_ids))  # (B,)
        if not torch.equal(is_image.sum(dim=1), uses * num_queries):
            raise ValueError(f"a sample needs {num_queries} <image> tokens for each of its images")
        # Uses are in reading order, and so is the scatter: the k-th run of `<image>` gets the k-th use.
        return inputs_embeds.masked_scatter(is_image[..., None], visual.to(inputs_embeds.dtype))

    def forward(self, batch: Batch) -> Tensor:
        """Next-token loss of every answer token (Section 3.1, "LLM").

        Only the positions before an answer token go through the head: a vocabulary is wide, answers are short.

        Args:
            batch: as for `encode_images`, with `input_ids`, `attention_mask`, `labels` int (B, T), padded on the
                right; a label is the token itself where it is to be learned, else -100.

        Returns:
            float (B, T - 1), cross entropy in nats; zero where nothing is learned.
        """
        target = batch["labels"][:, 1:]  # (B, T - 1): each position is asked for the next token
        learned = target != -100
        hidden = self._decode(self.embed(batch), batch["attention_mask"])[:, :-1]
        logits = self.language_model.get_output_embeddings()(hidden[learned])  # (learned tokens, V)
        for step in self.logit_steps:
            logits = step(logits)
        loss = nn.functional.cross_entropy(logits.float(), target[learned], reduction="none")
        return loss.new_zeros(target.shape).masked_scatter(learned, loss)

    def _decode(self, inputs_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden states, float (B, T, D), zero on the padding.

        Samples of about the same length go through the decoder together, so that a short caption is not padded to the
        length of a mask: two thirds of the work in a mixed batch.
        """
        decoder = self.language_model.get_decoder()
        lengths = attention_mask.sum(dim=1).tolist()
        hidden = torch.zeros_like(inputs_embeds)
        for rows in length_groups(lengths, self.length_groups):
            longest = lengths[rows[-1]]  # the rows of a group go from short to long
            hidden[rows, :longest] = decoder(
                inputs_embeds=inputs_embeds[rows, :longest],
                attention_mask=attention_mask[rows, :longest],
                use_cache=False,
            ).last_hidden_state
        return hidden


def length_groups(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Rows of about one length together: groups whose padded sizes sum to the least there is.

    On a CPU this does as well as packing several samples into a row, without a mask that is quadratic in the row.

    Every process has as many groups as every other whose batch has as many rows: sharded layers gather their weights
    once a group, so that another number would let a process wait for ever.

    Args:
        lengths: tokens of each row.
        most: number of groups; fewer where there are fewer rows.

    Returns:
        indices of rows, the shortest rows first; every row is in one group, and no group is empty.
    """
    order = np.argsort(lengths, kind="stable")
    # (rows,), rising: a group is a stretch of it, padded to its last
    tall = np.asarray(lengths)[order]
    rows, count = len(tall), min(most, len(tall))
    starts = np.arange(rows)
    # Of the first i rows: the least padded size in the groups so far, and where the last group begins.
    cost, began = np.full(rows + 1, np.inf), np.zeros((count, rows + 1), dtype=int)
    cost[0] = 0
    # Dynamic programming over the number of groups.
    for k in range(count):
        last, cost = cost, np.full(rows + 1, np.inf)
        for i in range(k + 1, rows + 1):
            sizes = last[:i] + (i - starts[:i]) * tall[i - 1]  # by where group k begins
            began[k, i] = sizes.argmin()
            cost[i] = sizes[began[k, i]]
    # Back from the longest rows: each group begins where the groups before it end.
    groups, end = [], rows
    for k in reversed(range(count)):
        groups.append(order[began[k, end] : end].tolist())
        end = began[k, end]
    return groups[::-1]
