"""Stage 3: `VistaModule` that learns from the scores of its own answers, where `reinforcement.group` is above 0.

A batch of training samples is asked, not shown: to each question a group of answers is drawn under the task's grammar
and rewarded by the task (`Task.reward`). One batch is one step of Lightning's, however often weights are updated from
its answers: so order, schedule, faults, checkpoints and a resumed run are those of the other stages.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from vista.data import Annotation, InputError
from vista.decoding.decoder import longest_answers
from vista.decoding.grammar import compile_grammar
from vista.module import VistaModule
from vista.task import Task
from vista.tokens.batch_types import TrainingBatch
from vista.training.learning import train_sources
from vista.training.policy import Reinforcement, advantages, clipped_loss, kl_estimate, kl_loss
from vista.training.rollouts import (
    FreeTokens,
    Rollout,
    draw_answers,
    questions_of,
    token_log_probs,
)


class ReinforcedModule(VistaModule):
    """The model in any of its stages."""

    def __init__(
        self,
        *args: Any,
        reinforcement: Reinforcement = Reinforcement(),  # noqa: B008 (frozen)
        **kwargs: Any,
    ) -> None:
        """Put the parts together.

        Args:
            args: as `VistaModule` takes them.
            reinforcement: how the model learns from the scores of its own answers.
            kwargs: as `VistaModule` takes them.
        """
        super().__init__(*args, **kwargs)
        self.reinforcement = reinforcement
        self.logged = "reward" if reinforcement.group else "loss"
        self.rollout: Rollout | None = None  # of the step that is under way
        self.drawn: Tensor | None = None  # log-probabilities before its first update, float (F,)
        self.at_start: Tensor | None = None  # the same under the weights at the start
        self.start: list[Tensor] | None = None  # trained weights at the start of the stage

    def on_train_start(self) -> None:
        """Prepare rewards, and keep the weights that the model shall not leave.

        Raises:
            InputError: what this stage cannot do is asked for.
        """
        super().on_train_start()
        if not self.reinforcement.group:
            return
        if self.reinforcement.group == 1:
            raise InputError("answers are compared: --model.reinforcement.group must be 2 or more")
        if self.device_mesh is not None:
            raise InputError("no answers are drawn by a sharded model: leave out --config fsdp")
        if self.trainer.accumulate_grad_batches > 1:
            raise InputError("with --model.reinforcement, a step is one batch: set its size alone")
        for source in train_sources(self.trainer):
            source.task.prepare_rewards(source.annotations)
        if self.reinforcement.kl and self.start is None:
            self.start = [p.detach().to("cpu", copy=True) for p in self._trained()]

    def _trained(self) -> list[torch.nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """The loss of the batch's answers, which are drawn before the first of its updates."""
        if not self.reinforcement.group:
            return super().training_step(batch, batch_idx)
        self.model.eval()  # with dropout no token would be as likely as when it was drawn
        if self.rollout is None:
            self._begin(batch)
        assert self.rollout is not None
        tokens = token_log_probs(self.model, self.rollout)
        if self.drawn is None:
            self.drawn = tokens.log_probs.detach()
            self.at_start = self._start_log_probs(self.rollout)
        return self._loss(tokens)

    def _begin(self, batch: TrainingBatch) -> None:
        """Draw answers and reward them."""
        began, settings = perf_counter(), self.reinforcement
        sources = train_sources(self.trainer)
        asked = [(sources[s].task, sources[s].annotations[i]) for _, _, s, i in batch["keys"]]
        automata = [compile_grammar(task.grammar(a), self.tokenizer) for task, a in asked]
        limits = longest_answers([task for task, _ in asked], automata)
        seeds = [(settings.seed, epoch, position) for epoch, position, _, _ in batch["keys"]]
        self.rollout = draw_answers(
            self.model, questions_of(batch), automata, limits, seeds, settings.group,
            settings.temperature,
        )  # fmt: skip
        self.rewards = torch.tensor(self._rewards(asked), device=self.device)  # (P, k)
        self.usable = (batch["loss_weights"].sum(1) > 0).float()  # (P,)
        self.drawn = self.at_start = None
        self._log_rewards(batch["source_index"])
        self.seconds = perf_counter() - began, perf_counter()

    def _rewards(self, asked: Sequence[tuple[Task, Annotation]]) -> list[list[float]]:
        assert self.rollout is not None
        texts = [self.tokenizer.decode(answer.token_ids) for answer in self.rollout.answers]
        rewards = []
        for k, (task, annotation) in enumerate(asked):
            reference = task.reference(annotation)
            own = texts[k * self.rollout.group : (k + 1) * self.rollout.group]
            rewards.append([task.reward(task.parse(text, annotation), reference) for text in own])
        return rewards

    def _log_rewards(self, source_index: Tensor) -> None:
        """Of the answers of all processes, before any of them is learned from."""
        assert self.rollout is not None
        earned = self.rewards.mean(1) * self.usable
        self._log_losses(earned, self.usable, source_index, True)
        lengths = torch.tensor([len(a.token_ids) for a in self.rollout.answers]).float()
        alike = self.rewards.amax(1) == self.rewards.amin(1)
        shown = {
            "train/reward": earned.sum() / self.usable.sum().clamp(min=1),
            "train/no_signal": alike.float().mean(),  # share of the groups
            "train/length": lengths.mean().to(self.device),
        }
        self.log_dict(shown, sync_dist=True)

    @torch.no_grad()
    def _start_log_probs(self, rollout: Rollout) -> Tensor | None:
        if self.start is None:
            return None
        with exchanged(self._trained(), self.start):
            return token_log_probs(self.model, rollout).log_probs

    def _loss(self, tokens: FreeTokens) -> Tensor:
        """Summed over an answer's tokens and averaged over the answers of all processes: length buys nothing."""
        assert self.drawn is not None
        settings, log_probs = self.reinforcement, tokens.log_probs
        worth = advantages(self.rewards, settings.estimator).flatten()[tokens.answer]
        counted = self.usable.repeat_interleave(settings.group)[tokens.answer]
        loss = clipped_loss(log_probs, self.drawn, worth, settings.clip)
        loss = loss - settings.entropy * tokens.entropies
        ratio = (log_probs.detach() - self.drawn).exp()
        shown = {
            "entropy": tokens.entropies.detach(),
            "beyond_clip": ((ratio - 1).abs() > settings.clip).float(),
        }
        if self.at_start is not None:
            loss = loss + settings.kl * kl_loss(log_probs, self.at_start)
            shown["kl"] = kl_estimate(log_probs.detach(), self.at_start)
        answers = self.usable.sum() * settings.group
        mean = (loss * counted).sum() / self._mean_over_processes(answers).clamp(min=1)
        shares = counted / counted.sum().clamp(min=1)
        means = {f"train/{name}": (value * shares).sum() for name, value in shown.items()}
        self.log_dict({"train/loss": mean.detach(), **means}, sync_dist=True)
        return mean

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """As many updates as are asked for, each with its own forward and backward pass."""
        for _ in range(self.reinforcement.updates if self.reinforcement.group else 1):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def on_train_batch_end(self, outputs: Any, batch: TrainingBatch, batch_idx: int) -> None:
        """Answers a second of this process, drawn and learned from; the next batch has its own."""
        if self.rollout is not None:
            count, (drawing, learned_from) = len(self.rollout.answers), self.seconds
            learning = perf_counter() - learned_from
            speeds = {"drawn_per_s": count / drawing, "learned_per_s": count / learning}
            self.log_dict({f"speed/{name}": value for name, value in speeds.items()}, batch_size=1)
        self.rollout = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the weights at the start, too, where the model is held to them."""
        super().on_save_checkpoint(checkpoint)
        if self.start is not None:
            checkpoint["vista"]["start"] = self.start

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Of a run that goes on; a new stage starts anew."""
        super().on_load_checkpoint(checkpoint)
        self.start = checkpoint.get("vista", {}).get("start")


@contextmanager
def exchanged(parameters: Sequence[torch.nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """Give parameters other values for a while."""
    kept = [parameter.data for parameter in parameters]
    try:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data = value.to(parameter.device)
        yield
    finally:
        for parameter, own in zip(parameters, kept, strict=True):
            parameter.data = own
