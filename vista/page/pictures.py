"""Pictures that people have sent: of each only its tensor and size are kept, under a key that nobody can guess."""

import base64
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock

import numpy as np
from torch import Tensor

from vista.data import InputError, Size
from vista.draw import fitted, jpeg
from vista.images import ImageTransform, load_image
from vista.leftovers import temporary_folder
from vista.page.limits import Limits
from vista.printable import in_one_line

SHOWN = 1600  # pixels of the longer side that a browser is sent
DECODED = 2  # pictures in memory at a time, each of as many pixels as the limit allows


@dataclass(frozen=True)
class Picture:
    """A picture as the model sees it.

    Attributes:
        name: of its file.
        size: (H, W) in pixels.
        pixels: float (3, S, S).
    """

    name: str
    size: Size
    pixels: Tensor


class Pictures:
    """The pictures of all people."""

    def __init__(self, transform: ImageTransform, limits: Limits) -> None:
        """Start without any.

        Args:
            transform: image to tensor.
            limits: of a file, of a picture, and of all.
        """
        self.transform, self.limits = transform, limits
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._lock, self._decoding = Lock(), BoundedSemaphore(DECODED)

    def add(self, content: bytes, name: str) -> dict[str, object]:
        """Keep a picture.

        Args:
            content: of its file.
            name: of its file, on the person's own disk.

        Returns:
            what the browser is sent: the picture's key, name and size, and itself as a data URL.

        Raises:
            InputError: the file is too large, or no picture; names it by its own name.
        """
        name = in_one_line(Path(name).name)[:100] or "picture"
        if len(content) > self.limits.upload:
            raise InputError(too_large(name, self.limits))
        with self._decoding:
            image = self._decode(content, name)
            pixels = self.transform.normalised(self.transform(image))
        return self._keep(Picture(name, (image.shape[0], image.shape[1]), pixels), image)

    def _decode(self, content: bytes, name: str) -> np.ndarray:
        with temporary_folder("vista-page-") as folder:
            file = folder / "picture"
            file.write_bytes(content)
            try:
                return load_image(file, self.limits.pixels, exif=True)
            except InputError as error:
                raise InputError(str(error).replace(str(file), name)) from error

    def _keep(self, picture: Picture, image: np.ndarray) -> dict[str, object]:
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._kept[key] = picture
            while len(self._kept) > self.limits.kept:
                self._kept.popitem(last=False)
        shown = base64.b64encode(jpeg(fitted(image, SHOWN), quality=92)).decode()
        height, width = picture.size
        return {
            "key": key,
            "name": picture.name,
            "width": width,
            "height": height,
            "url": f"data:image/jpeg;base64,{shown}",
        }

    def get(self, key: str) -> Picture:
        """A picture by its key.

        Raises:
            InputError: it was forgotten, or never there.
        """
        with self._lock:
            if key not in self._kept:
                raise InputError("a picture was forgotten here; remove it and add it again")
            self._kept.move_to_end(key)
            return self._kept[key]


def too_large(name: str, limits: Limits) -> str:
    """What is said of a file that is too large."""
    return f"The file {name} is too large: more than {limits.upload / 1e6:.0f} MB."
