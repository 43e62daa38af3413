"""Stage 3: `VistaModule` that learns from the scores of its own answers, where `reinforcement.group` is above 0.

A batch of training samples is asked, not shown: to each question a group of answers is drawn under the task's grammar
and rewarded by the task (`Task.reward`). One batch is one step of Lightning's, however often the weights are updated from
its answers: so order, schedule, faults, checkpoints and a resumed run are those of the other stages.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from vista.data import InputError
from vista.decoding.grammar import compile_grammar
from vista.decoding.hypothesis import Hypothesis
from vista.module import VistaModule
from vista.tokens.batch_types import Batch, TrainingBatch
from vista.training.learning import train_sources
from vista.training.policy import (
    Reinforcement,
    advantages,
    clipped_loss,
    kl_estimate,
    kl_loss,
)
from vista.training.rollouts import FreeTokens, draw_answers, questions_of, token_log_probs


class Rollout:
    """The answers of one batch, P questions with k answers each, and what they were worth."""

    def __init__(
        self, questions: Batch, answers: list[Hypothesis], rewards: Tensor, usable: Tensor
    ) -> None:
        """Keep them.

        Args:
            questions: without their answers.
            answers: those to the same question one after the other.
            rewards: float (P, k).
            usable: bool (P,), whether a question's images could be read.
        """
        self.questions, self.answers, self.rewards, self.usable = (
            questions, answers, rewards, usable
        )  # fmt: skip
        self.drawn: Tensor | None = None  # log-probabilities before the first update, float (F,)
        self.start: Tensor | None = None  # and under the weights at the start of the stage


class ReinforcedModule(VistaModule):
    """The model in any of its stages."""

    def __init__(
        self, *args: Any, reinforcement: Reinforcement = Reinforcement(), **kwargs: Any
    ) -> None:
        """Put the parts together.

        Args:
            args: as `VistaModule` takes them.
            reinforcement: how the model learns from the scores of its own answers.
            kwargs: as `VistaModule` takes them.
        """
        super().__init__(*args, **kwargs)
        self.reinforcement = reinforcement
        self.rollout: Rollout | None = None
        self.start: list[Tensor] | None = None  # trained weights at the start of the stage
        self.seconds = [0.0, 0.0]  # of the last step: drawing, learning

    def on_train_start(self) -> None:
        """Prepare rewards, and keep the weights that the model shall not leave.

        Raises:
            InputError: what this stage cannot do is asked for.
        """
        super().on_train_start()
        if not self.reinforcement.group:
            return
        self._check()
        for source in train_sources(self.trainer):
            source.task.prepare_rewards(source.annotations)
        if self.reinforcement.kl and self.start is None:
            self.start = [p.detach().to("cpu", copy=True) for p in self._trained()]

    def _check(self) -> None:
        if self.reinforcement.group == 1:
            raise InputError(
                "--model.reinforcement.group is 1: answers are compared, take 2 or more"
            )
        if self.device_mesh is not None:
            raise InputError("answers cannot be drawn by a sharded model; take DDP")
        if self.trainer.accumulate_grad_batches > 1:
            raise InputError(
                "several batches a step are not there for --model.reinforcement; set --data.batch_size alone"
            )

    def _trained(self) -> list[torch.nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """The loss of the batch's answers, which are drawn before the first of its updates."""
        if not self.reinforcement.group:
            return super().training_step(batch, batch_idx)
        self.model.eval()  # what is dropped would make an update's tokens other ones than those drawn
        if self.rollout is None:
            began = perf_counter()
            self.rollout = self._draw(batch)
            self._log_rewards(self.rollout, batch)
            self.seconds = [perf_counter() - began, perf_counter()]
        return self._loss(self.rollout)

    def _draw(self, batch: TrainingBatch) -> Rollout:
        settings, group = self.reinforcement, self.reinforcement.group
        sources = train_sources(self.trainer)
        asked = [(sources[s].task, sources[s].annotations[i]) for _, _, s, i in batch["keys"]]
        automata = [compile_grammar(task.grammar(a), self.tokenizer) for task, a in asked]
        limits = []
        for (task, _), automaton in zip(asked, automata, strict=True):
            limits.append(automaton.longest_answer or task.max_new_tokens)
        seeds = [(settings.seed, epoch, position) for epoch, position, _, _ in batch["keys"]]
        questions = questions_of(batch)
        answers = draw_answers(
            self.model, questions, automata, limits, group, settings.temperature, seeds
        )
        rewards = []
        for k, (task, annotation) in enumerate(asked):
            reference = task.reference(annotation)
            for answer in answers[k * group : (k + 1) * group]:
                text = self.tokenizer.decode(answer.token_ids)
                rewards.append(task.reward(task.parse(text, annotation), reference))
        usable = batch["loss_weights"].sum(1) > 0
        table = torch.tensor(rewards, device=self.device).view(-1, group)
        return Rollout(questions, answers, table, usable)

    def _loss(self, rollout: Rollout) -> Tensor:
        """Summed over an answer's tokens and averaged over the answers of all processes: length buys nothing."""
        settings = self.reinforcement
        tokens = self._log_probs(rollout)
        if rollout.drawn is None:
            rollout.drawn = tokens.log_probs.detach()
            rollout.start = self._start_log_probs(rollout)
        worth = advantages(rollout.rewards, settings.estimator) * rollout.usable[:, None]
        loss = clipped_loss(
            tokens.log_probs, rollout.drawn, worth.flatten()[tokens.answer], settings.clip
        )
        counted = rollout.usable.repeat_interleave(settings.group)[tokens.answer].float()
        shown = {
            "entropy": tokens.entropies.detach(),
            "moved": tokens.log_probs.detach() - rollout.drawn,
        }
        if rollout.start is not None:
            loss = loss + settings.kl * kl_loss(tokens.log_probs, rollout.start) * counted
            shown["kl"] = kl_estimate(tokens.log_probs.detach(), rollout.start)
        loss = loss - settings.entropy * tokens.entropies * counted
        answers = rollout.usable.float().sum() * settings.group
        mean = loss.sum() / self._mean_over_processes(answers).clamp(min=1)
        shown["moved"] = (shown["moved"].exp() - 1).abs() > settings.clip  # beyond the clip
        means = {
            f"train/{name}": (value * counted).sum() / counted.sum().clamp(min=1)
            for name, value in shown.items()
        }
        self.log_dict({"train/loss": mean.detach(), **means}, sync_dist=True)
        return mean

    def _log_probs(self, rollout: Rollout) -> FreeTokens:
        settings = self.reinforcement
        return token_log_probs(
            self.model, rollout.questions, rollout.answers, settings.group, settings.temperature
        )

    @torch.no_grad()
    def _start_log_probs(self, rollout: Rollout) -> Tensor | None:
        if self.start is None:
            return None
        with exchanged(self._trained(), self.start):
            return self._log_probs(rollout).log_probs

    def _log_rewards(self, rollout: Rollout, batch: TrainingBatch) -> None:
        """Of the answers of all processes, before any of them is learned from."""
        usable, rewards = rollout.usable.float(), rollout.rewards
        sums = rewards.mean(1) * usable
        self._log_losses(sums, usable, batch["source_index"], True, "reward")
        lengths = [len(answer.token_ids) for answer in rollout.answers]
        signal = rewards.amax(1) > rewards.amin(1)
        shown = {
            "train/reward": sums.sum() / usable.sum().clamp(min=1),
            "train/no_signal": 1 - signal.float().mean(),
            "train/length": torch.tensor(lengths, dtype=torch.float, device=self.device).mean(),
        }
        self.log_dict(shown, sync_dist=True)

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
        if self.rollout is not None:
            drawing, began = self.seconds
            answers, learning = len(self.rollout.answers), perf_counter() - began
            self.speeds = {
                "speed/drawn_per_s": answers / drawing, "speed/learned_per_s": answers / learning
            }  # fmt: skip
            self.rollout = None

    def on_train_batch_end(self, outputs: Any, batch: TrainingBatch, batch_idx: int) -> None:
        """Answers a second of this process, drawn and learned from."""
        if self.reinforcement.group:
            self.log_dict(self.speeds, batch_size=1)

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
def exchanged(parameters: list[torch.nn.Parameter], values: list[Tensor]) -> Iterator[None]:
    """Give parameters other values for a while."""
    kept = [parameter.data for parameter in parameters]
    try:
        for parameter, value in zip(parameters, values, strict=True):
            parameter.data = value.to(parameter.device)
        yield
    finally:
        for parameter, own in zip(parameters, kept, strict=True):
            parameter.data = own
