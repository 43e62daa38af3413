"""Which sources a run trains on and scores, and how often their samples occur.

choice = Choice(sources, tasks=["multi_image"], replay_tasks=["single_image"], replay=0.5)
choice.trained_on()     # {"nlvr2": Source(...), "rec_refcoco": Source(...), ...}
"""

from collections.abc import Mapping, Sequence

import numpy as np

from datamodules.source import LoadedSource, Source, check_source, nearest
from tasks import Task
from vista.data import InputError

KINDS = {"single_image": False, "multi_image": True}  # word for several tasks -> `Task.multi_image`


class Choice:
    """The sources of the chosen tasks."""

    def __init__(
        self,
        sources: dict[str, Source],
        tasks: Sequence[str] | None,
        replay_tasks: Sequence[str] | None,
        replay: float,
    ) -> None:
        """Keep the settings, see `datamodules.mixture.MixtureData`.

        Raises:
            InputError: a setting has no meaning, or a source's task, reader and fields do not fit together.
        """
        if not 0 <= replay < 1:
            raise InputError(
                f"the share of replayed samples is at least 0 and below 1, not {replay}"
            )
        for name, source in sources.items():
            check_source(name, source)
        self.sources, self.replay = sources, replay
        self.tasks = chosen_tasks(tasks, sources)
        self.replay_tasks = chosen_tasks(replay_tasks, sources) or []

    def scored(self) -> dict[str, Source]:
        """Sources whose splits are scored, those of replayed tasks included."""
        return self._of(None if self.tasks is None else [*self.tasks, *self.replay_tasks])

    def trained_on(self) -> dict[str, Source]:
        """Sources with a split to train on.

        Raises:
            InputError: there are none, or none to replay.
        """
        main = {name: source for name, source in self._of(self.tasks).items() if source.train}
        if not self.replay:
            replayed = {}
        else:
            # A source of both is trained on once, as one of the main tasks.
            replayed = {name: s for name, s in self._of(self.replay_tasks).items() if s.train}
            if replayed.keys() <= main.keys():
                raise InputError(
                    f"data.replay is {self.replay}, but data.replay_tasks have no source with a split to train on "
                    "beside those of data.tasks; a config's data.sources take the place of all in configs before it"
                )
        if not main:
            raise InputError("none of the chosen tasks has a source with a split to train on")
        return main | replayed

    def weights(self, loaded: Sequence[LoadedSource]) -> list[float]:
        """How often a sample of each training source occurs in an epoch; replayed ones get their share of it."""
        main = self._of(self.tasks)
        weights = np.array([self.sources[source.name].weight for source in loaded], dtype=float)
        samples = np.array([len(source.annotations) for source in loaded]) * weights
        replayed = np.array([source.name not in main for source in loaded])
        if replayed.any():
            # Replayed samples are to be `replay` of all, so `odds` times as many as the others.
            odds = self.replay / (1 - self.replay)
            weights[replayed] *= odds * samples[~replayed].sum() / samples[replayed].sum()
        return weights.tolist()

    def _of(self, tasks: Sequence[str] | None) -> dict[str, Source]:
        if tasks is None:
            return self.sources
        chosen = {name: source for name, source in self.sources.items() if source.task in tasks}
        for task in tasks:
            if not any(source.task == task for source in chosen.values()):
                raise InputError(f"task {task} has no source; add one under data.sources")
        return chosen


def chosen_tasks(words: Sequence[str] | None, sources: Mapping[str, Source]) -> list[str] | None:
    """Names of tasks, with `single_image` and `multi_image` written out: all of that kind that have a source.

    Raises:
        InputError: there is no such task.
    """
    if words is None:
        return None
    with_source = [source.task for source in sources.values()]
    names: list[str] = []
    for word in words:
        if word in KINDS:
            names += [n for n in with_source if Task.known[n].multi_image is KINDS[word]]
        elif word in Task.known:
            names.append(word)
        else:
            raise InputError(nearest(word, [*Task.known, *KINDS], "task"))
    return list(dict.fromkeys(names))
