"""The command line of stage 0: LightningCLI with the encoder as a group of settings."""

from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser

from vista.app.arguments import one_file
from vista.app.errors import settings_blamed
from vista.app.parts import ENCODER, SHOWN
from vista.app.strict_cli import StrictCLI
from vista.models.encoder import patch_grid

# Stage 0 writes one file when it ends, and nothing beside it.
TRAINER_DEFAULTS = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}


class PretrainingCLI(StrictCLI):
    """The verb `pretrain`: an encoder under dense supervision."""

    def __init__(
        self,
        model: type[LightningModule],
        data: type[LightningDataModule],
        configs: list[str],
        words: list[str],
    ) -> None:
        """Parse, build and run.

        Args:
            model: class of the LightningModule.
            data: class of the LightningDataModule.
            configs: paths, see `vista.app.arguments.config_paths`.
            words: all others of the command line, after the verb.
        """
        named = [f"--config={one_file(configs, 'stage0')}"] if configs else []
        groups = {"model": model, "data": data, "encoder": ENCODER}
        super().__init__(groups, ("fit",), ["fit", *named, *words], TRAINER_DEFAULTS)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The encoder is a group of settings of its own, as in `fit`."""
        parser.add_class_arguments(ENCODER, "encoder")
        parser.link_arguments("encoder", "model.encoder", apply_on="instantiate")
        for setting, value in {**SHOWN, "grid": patch_grid}.items():
            parser.link_arguments(
                "encoder", f"data.{setting}", compute_fn=value, apply_on="instantiate"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer as the settings want it."""
        with settings_blamed():
            return super().instantiate_trainer(**kwargs)
