"""Instances of a COCO file as dense targets, one per patch of the encoder: the data of stage 0."""

from itertools import chain
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.readers import READERS
from datamodules.synthetic.world import write_pretraining
from vista.data import Annotation, InputError
from vista.geometry import decode_segmentation
from vista.images import CLIP_MEAN, CLIP_STD, ImageTransform, load_image


class PatchTargets(Dataset[dict[str, Tensor]]):
    """For every patch: the words and box of the object that covers most of it."""

    def __init__(
        self,
        annotations: list[Annotation],
        categories: list[str],
        root: Path,
        transform: ImageTransform,
        grid: int,
    ) -> None:
        """Keep the annotations; images are read when asked for.

        Args:
            annotations: with `boxes`, `segmentations` and `extra["categories"]`.
            categories: names of all categories; each of their words is one target.
            root: the data root.
            transform: image to tensor.
            grid: patches along a side.
        """
        self.annotations, self.root, self.transform, self.grid = annotations, root, transform, grid
        self.words = sorted(set(" ".join(categories).split()))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.annotations)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`pixel_values` (3, S, S), `words` (P, W), `box` (P, 4)."""
        annotation = self.annotations[index]
        pixels = self.transform(load_image(self.root / annotation.images[0]))
        size = height, width = annotation.sizes[0]
        # N objects, P patches of about as many pixels each, W words.
        masks = np.stack([decode_segmentation(s, size) for s in annotation.segmentations])
        rows, columns = (np.arange(self.grid) * side // self.grid for side in size)
        strips = np.add.reduceat(masks.astype(np.int64), rows, axis=1)
        cover = np.add.reduceat(strips, columns, axis=2).reshape(len(masks), -1).T  # pixels, (P, N)
        # The object that covers most of a patch; the words of a patch without any are all zero.
        best = cover.argmax(1)  # (P,)
        named = np.array(
            [self._has_words(name) for name in annotation.extra["categories"]]
        )  # (N, W)
        words = named[best] & (cover.max(1) > 0)[:, None]  # (P, W)
        scale = np.array([width, height, width, height], np.float32)
        boxes = np.array(annotation.boxes, dtype=np.float32) / scale  # (N, 4)
        return {
            "pixel_values": self.transform.normalised(pixels),
            "words": torch.from_numpy(words.astype(np.float32)),
            "box": torch.from_numpy(boxes[best]),
        }

    def _has_words(self, name: str) -> list[bool]:
        """Which of all words a category's name has, (W,)."""
        return [word in name.split() for word in self.words]


class PretrainingData(LightningDataModule):
    """Scenes of the world that no later stage sees."""

    def __init__(
        self,
        root: Path = Path("data/pretrain"),
        num_scenes: int = 20000,
        num_val: int = 500,
        image_size: int = 96,
        image_mean: tuple[float, float, float] = CLIP_MEAN,
        image_std: tuple[float, float, float] = CLIP_STD,
        grid: int = 12,
        batch_size: int = 32,
        num_workers: int = 1,
        seed: int = 0,
    ) -> None:
        """Keep the settings.

        Args:
            root: where the scenes are written, once.
            num_scenes: scenes in all.
            num_val: of these, the last ones that are only measured on.
            image_size: side S that the scenes have on disk and in the model, in pixels.
            image_mean: of the pixels of each channel on the scale 0..1, filled in by the command line.
            image_std: their deviation, filled in by the command line.
            grid: patches of the encoder along a side, filled in by the command line.
            batch_size: scenes a step.
            num_workers: loader processes.
            seed: of the scenes.

        Raises:
            InputError: no scene is left to train on or to measure on.
        """
        super().__init__()
        if not 0 < num_val < num_scenes:
            raise InputError(f"of {num_scenes} scenes, {num_val} cannot be held out")
        self.root, self.num_scenes, self.num_val, self.seed = root, num_scenes, num_val, seed
        self.image_size, self.grid = image_size, grid
        self.transform = ImageTransform(image_size, image_mean, image_std)
        self.batch_size, self.num_workers = batch_size, num_workers

    def prepare_data(self) -> None:
        """Write the scenes where they are missing."""
        write_pretraining(self.root, self.seed, self.num_scenes, self.image_size)

    def setup(self, stage: str | None = None) -> None:
        """Read the instances."""
        annotations = list(READERS["coco_instances"](self.root, "train2017"))
        cut = len(annotations) - self.num_val
        names = chain.from_iterable(annotation.extra["categories"] for annotation in annotations)
        arguments = sorted(set(names)), self.root, self.transform, self.grid
        self.train = PatchTargets(annotations[:cut], *arguments)
        self.val = PatchTargets(annotations[cut:], *arguments)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Shuffled scenes."""
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Held-out scenes."""
        return self._loader(self.val, shuffle=False)

    def _loader(self, dataset: PatchTargets, shuffle: bool) -> DataLoader[dict[str, Tensor]]:
        return DataLoader(
            dataset,
            self.batch_size,
            shuffle,
            num_workers=self.num_workers,
            drop_last=shuffle,
            persistent_workers=self.num_workers > 0,
        )
