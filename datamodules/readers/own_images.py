"""Where the images of own data lie: below the data root, in a folder of it, or in tar shards."""

import os
from functools import cached_property
from pathlib import Path

from datamodules.readers.files import inside
from datamodules.readers.reader import Reader
from datamodules.readers.remote import paths
from vista.data import InputError
from vista.shards import ENDING, files_below


class OwnImages:
    """Finds images by the names that records give them."""

    def __init__(self, reader: Reader, setting: str) -> None:
        """Keep the setting.

        Args:
            reader: whose images they are; it watches the shards.
            setting: `own.images`: empty, a folder below the data root, shards there, or their addresses.
        """
        self.reader, self.setting = reader, setting

    def path(self, image: str) -> str:
        """An image's path below the root; an absolute one must be below it, too.

        Raises:
            InputError: it leads out of the data root, or a shard cannot be used.
        """
        root = os.path.abspath(self.reader.root).rstrip("/")
        if image.startswith(f"{root}/"):
            return inside(image.removeprefix(f"{root}/"))
        name = image.removeprefix("./")
        if name in self._in_shards:
            return self._in_shards[name]
        # A web address has empty parts, so it leads out as well.
        return inside("/".join([*self._folders[:1], name]))

    @cached_property
    def _folders(self) -> list[str]:
        return paths(self.reader.root, self.setting) if self.setting else []

    @cached_property
    def _in_shards(self) -> dict[str, str]:
        """The path of each image by its name in its shard."""
        found: dict[str, str] = {}
        for folder in self._folders:
            if folder.endswith(ENDING):
                for name, path in self._of_shard(self.reader.file(folder)):
                    other = found.setdefault(name, path)
                    if other != path:
                        why = f"{other} and {path} have one name, so records cannot name them"
                        raise InputError(f"own.images holds an image twice: {why}")
        return found

    def _of_shard(self, shard: Path) -> list[tuple[str, str]]:
        root = self.reader.root
        return [
            (file.relative_to(shard).as_posix(), file.relative_to(root).as_posix())
            for file in files_below(shard)
        ]
