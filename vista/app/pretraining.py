"""The command line of stage 0: LightningCLI with the encoder as a group of settings."""

import sys
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from vista.app.arguments import config_paths
from vista.app.cli import PARSER_ERRORS, STRICT, settings_of_verbs
from vista.app.errors import settings_blamed
from vista.app.explain import explain
from vista.app.parser import join_lists
from vista.data import InputError
from vista.models.parts import Encoder


class PretrainingCLI(LightningCLI):
    """The verb `pretrain`: an encoder under dense supervision."""

    def __init__(
        self, model: type[LightningModule], data: type[LightningDataModule], words: list[str]
    ) -> None:
        """Parse, build and run.

        Args:
            model: class of the LightningModule.
            data: class of the LightningDataModule.
            words: of the command line, after the verb.

        Raises:
            InputError: a setting is not understood.
        """
        types = settings_of_verbs({"model": model, "data": data, "encoder": Encoder})
        configs, rest = config_paths(words)
        named = [f"--config={path}" for path in configs]
        sys.argv[1:] = ["fit", *named, *join_lists(rest, types)]
        quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
        try:
            super().__init__(
                model,
                data,
                save_config_callback=None,
                seed_everything_default=0,
                trainer_defaults=quiet,
                parser_kwargs={**STRICT, "fit": STRICT},
            )
        except PARSER_ERRORS as error:
            raise InputError(explain(error, types)) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The encoder is a group of settings of its own, as in `fit`."""
        parser.add_class_arguments(Encoder, "encoder")
        parser.link_arguments("encoder", "model.encoder", apply_on="instantiate")
        parser.link_arguments("encoder.image_size", "data.image_size")
        parser.link_arguments("encoder.patch_size", "data.patch_size")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer as the settings want it."""
        with settings_blamed():
            return super().instantiate_trainer(**kwargs)
