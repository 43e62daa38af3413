"""Another light on an image, by albumentations, which no other file imports."""

import os

import numpy as np


class Jitter:
    """Brightness, contrast and saturation vary, and the hue a little; regions stay where they are."""

    def __init__(self) -> None:
        # At import albumentations asks the network for its newest version, and takes a second: import it late.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations

        factor = (0.8, 1.2)
        step = albumentations.ColorJitter(
            brightness=factor, contrast=factor, saturation=factor, hue=(-0.02, 0.02), p=0.8
        )
        self.pipeline = albumentations.Compose([step])

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """The image under another light.

        Args:
            image: uint8 (H, W, 3), RGB.
            seed: the same one gives the same light.
        """
        self.pipeline.set_random_seed(seed)
        changed: np.ndarray = self.pipeline(image=image)["image"]
        return changed
