"""SPICE of `pycocoevalcap`, guarded: it downloads two large jars at its first call and fails on new Java versions.

The library expects Stanford CoreNLP 3.6.0 in `pycocoevalcap/spice/lib`, writes temporary files and a cache beside it,
asks for a heap of 8 GB, and gives NaN for an image whose captions hold no tuples.
"""

import contextlib
import io
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pycocoevalcap.spice.spice as library

from vista.metrics.ptb import java_options

_FOLDER = Path(library.__file__).parent
_JARS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
# Java 16 and newer refuse the reflection of SPICE's cache without these; older versions ignore the variable.
_OPENED = ("lang", "math", "util", "util.concurrent", "net", "text")
_JAVA_OPTIONS = " ".join(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED)
_JAVA_OPTIONS += " --add-opens=java.sql/java.sql=ALL-UNNAMED"


def spice_problem(allow_download: bool = False) -> str | None:
    """Why SPICE cannot run here, as a sentence; None where it can.

    Args:
        allow_download: the library may fetch CoreNLP (about 0.4 GB) when it is missing.
    """
    if shutil.which("java") is None:
        return "SPICE skipped: `java` is not on PATH"
    if not os.access(_FOLDER, os.W_OK):
        return f"SPICE skipped: it writes its cache into {_FOLDER}, which is not writable"
    if not allow_download and not all((_FOLDER / "lib" / jar).is_file() for jar in _JARS):
        return (
            "SPICE skipped: CoreNLP 3.6.0 jars not found; run `python -m pycocoevalcap.spice.get_stanford_models` "
            "once with internet access"
        )
    return None


def spice_score(references: dict[int, list[str]], captions: dict[int, list[str]]) -> float:
    """Mean SPICE (f of all tuples) over the images that have one.

    Args:
        references: tokenised reference captions by image.
        captions: one tokenised caption by image.

    Returns:
        0..1. Images without tuples (NaN) are left out of the mean with a warning.

    Raises:
        OSError: the jars could not be fetched.
        subprocess.CalledProcessError: Java failed.
    """
    with java_options(_JAVA_OPTIONS), contextlib.redirect_stdout(io.StringIO()):
        _, per_image = library.Spice().compute_score(references, captions)
    values = np.array([score["All"]["f"] for score in per_image], dtype=np.float64)
    missing = int(np.isnan(values).sum())
    if missing:
        warnings.warn(
            f"SPICE: {missing} of {len(values)} images have no tuples and are left out",
            stacklevel=2,
        )
    return float(np.nanmean(values)) if missing < len(values) else 0.0
