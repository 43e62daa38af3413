"""Groups of settings of `MixtureData`, as configs and the command line name them.

data:
  order: {epoch_samples: 28000, seed: 0}        # --data.order.epoch_samples 28000
  scoring: {max_val: 256, max_test: null}       # --data.scoring.max_test 1000
  world: {scenes: 10000, formats: [all]}        # --data.world.scenes 10000
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SampleOrder:
    """In which order training samples come, and how many make an epoch.

    Attributes:
        epoch_samples: samples in an epoch; none: every sample as often as its source's weight says.
        sorted_epochs: first epochs in which samples come in the order of their files, for the generated world from one
            object an image to many; later ones are shuffled.
        questions_per_image: most samples of one image that stand together, so that it is encoded once.
        seed: of the order of samples and of the choice of templates.
    """

    epoch_samples: int | None = None
    sorted_epochs: int = 0
    questions_per_image: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Scoring:
    """How many questions are scored, and how.

    Attributes:
        max_val: questions of each source that are scored while training; none: all.
        max_test: questions of each source that `test` scores; none: all.
        unseen_prompts: questions of each source that `test` asks again, in instructions that are never trained on; they
            are scored as `<score>_unseen_wording`.
        eval_batch_size: questions in a batch of each process.
    """

    max_val: int | None = 256
    max_test: int | None = None
    unseen_prompts: int = 0
    eval_batch_size: int = 128


@dataclass(frozen=True)
class World:
    """The generated world, which is written where the data root is missing and is named `world`.

    Attributes:
        scenes: training scenes.
        formats: data sets that it is written as, beside COCO, RefCOCO, VQA v2 and NLVR2; `all`: every one there is.
    """

    scenes: int = 20000
    formats: list[str] = field(default_factory=list)
