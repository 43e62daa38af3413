"""The sources of configs without Lightning: what the verbs `score` and `check-task` start from.

    setup = read_setup(["default", "coinit"], root=None, plugins=[])
    setup.sources["res_refcoco"].test       # {"res_refcoco_val": "val", ...}
    setup.codec                             # as the configs say
    annotations = read_split("res_refcoco", setup.sources["res_refcoco"], setup.root, "val")

Nothing is written: a generated world that is not there is made by `fit`.
"""

import gc
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from datamodules.readers import READERS
from datamodules.source import Source
from vista.app.plugins import load_entry_points, load_plugin
from vista.app.settings import make_part, plugin_files, stack
from vista.codec.codec import Codec
from vista.data import Annotation, InputError, MissingFileError

DEFAULT_ROOT = Path("data/world")  # of `datamodules.mixture.MixtureData`


@dataclass
class Setup:
    """What configs say.

    Attributes:
        settings: all of them, stacked.
        sources: by name.
        root: the data root of sources that have none of their own.
        codec: how regions are written as text.
    """

    settings: dict[str, Any]
    sources: dict[str, Source]
    root: Path
    codec: Codec


def read_setup(configs: Sequence[str], root: Path | None, plugins: Sequence[str]) -> Setup:
    """Load what comes from outside, then stack the configs.

    Args:
        configs: names or paths; the later decides.
        root: the data root, None for the one of the configs.
        plugins: files beside those that the configs name.

    Raises:
        MissingFileError: there is no such config or plugin.
        InputError: a source or a setting of the codec is not understood.
    """
    load_entry_points()
    for path in dict.fromkeys([*plugin_files(configs), *plugins]):
        load_plugin(path)
    settings = stack(configs)
    data = settings.get("data") or {}
    sources = {name: _source(name, values) for name, values in (data.get("sources") or {}).items()}
    codec = make_part(Codec, settings, "codec")
    return Setup(settings, sources, root or Path(data.get("root") or DEFAULT_ROOT), codec)


def _source(name: str, values: Any) -> Source:
    known = {field.name for field in fields(Source)}
    if not isinstance(values, dict) or not {"task", "dataset"} <= values.keys() <= known:
        takes = ", ".join(sorted(known))
        raise InputError(
            f"source {name}: it needs task and dataset and takes {takes}; it is {values}"
        )
    given = {key: value for key, value in values.items() if value is not None}
    return Source(**given | ({"root": Path(given["root"])} if "root" in given else {}))


def read_split(name: str, source: Source, root: Path, split: str) -> list[Annotation]:
    """All sound annotations of a split; images are not looked at.

    Args:
        name: of the source, for messages.
        source: tells the reader.
        root: the data root, unless the source has one of its own.
        split: one of the reader's.

    Raises:
        MissingFileError: an official file is missing; names the source, the path and where to get it.
    """
    gc.disable()  # as in `datamodules.source.read_annotations`
    try:
        reader = READERS[source.dataset](source.root or root, split)
        annotations = list(reader)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"source {name}: {error}") from error
    finally:
        gc.enable()
    if reader.problems:
        listed = "; ".join(f"{key}: {why}" for key, why in reader.problems[:5])
        warnings.warn(
            f"source {name} ({split}): {len(reader.problems)} records left out: {listed}",
            stacklevel=2,
        )
    return annotations
