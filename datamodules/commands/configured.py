"""The sources of configs without Lightning: what the verbs `score` and `check-task` start from.

    setup = read_setup(["coinit"], root=None, plugins=[])
    setup.sources["res_refcoco"].test       # {"res_refcoco_val": "val", ...}
    setup.codec                             # as the configs say
    setup.splits.load(setup.sources, "test")        # as `test` reads them, but for the look at the images

Nothing is written but compiled annotations: a generated world that is not there is made by `fit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from datamodules.missing import name_left_out
from datamodules.readers.own_settings import OwnData
from datamodules.source import Source, check_name
from datamodules.splits import Splits
from vista.app.plugins import load_entry_points, load_plugin
from vista.app.settings import defaults, make_part, plugin_files, stack
from vista.app.unnamed import Unnamed
from vista.codec.codec import Codec
from vista.data import InputError
from vista.leftovers import claim

# Of `datamodules.mixture.MixtureData`.
DEFAULT_ROOT = Path("data/world")
DEFAULT_CACHE = Path("data/compiled")


@dataclass
class Setup:
    """What configs say.

    Attributes:
        settings: all of them, stacked.
        sources: by name.
        root: the data root of sources that have none of their own.
        codec: how regions are written as text.
        splits: reads the sources' splits; images are not looked at.
    """

    settings: dict[str, Any]
    sources: dict[str, Source]
    root: Path
    codec: Codec
    splits: Splits


def read_setup(
    configs: Sequence[str],
    root: Path | None,
    plugins: Sequence[str],
    beside: Unnamed | None = None,
) -> Setup:
    """Load what comes from outside, then stack the configs.

    Args:
        configs: names or paths; the later decides. Size and place may be left unsaid.
        root: the data root, None for the one of the configs.
        plugins: files beside those that the configs name.
        beside: the config of a run, which nobody named; it says everything.

    Raises:
        MissingFileError: there is no such config or plugin.
        InputError: a source or a setting of the codec is not understood.
    """
    load_entry_points()
    for path in dict.fromkeys([*plugin_files(configs), *plugins]):
        load_plugin(path)
    before = [] if beside else defaults(configs)
    settings = stack([*before, *configs], beside)
    data = settings.get("data") or {}
    by_name = data.get("sources") or {}
    sources = {name: _source(name, values) for name, values in by_name.items()}
    codec = make_part(Codec, settings, "codec")
    root = root or Path(data.get("root") or DEFAULT_ROOT)
    cache = Path(data.get("cache") or DEFAULT_CACHE)
    claim(cache)
    splits = Splits(root, codec, cache, name_left_out)
    return Setup(settings, sources, root, codec, splits)


def _source(name: str, values: Any) -> Source:
    known = {field.name for field in fields(Source)}
    if not isinstance(values, dict) or not {"task", "dataset"} <= values.keys() <= known:
        takes = ", ".join(sorted(known))
        raise InputError(
            f"source {name}: it needs task and dataset and takes {takes}; it is {values}"
        )
    given = {key: value for key, value in values.items() if value is not None}
    if "root" in given:
        given["root"] = Path(given["root"])
    if "own" in given:
        given["own"] = _own_data(name, given["own"])
    if not isinstance(given.get("test", {}), dict):
        raise InputError(f"source {name}: `test` is {given['test']!r}, not splits by score")
    source = Source(**given)
    for each in (name, *source.test):
        check_name(str(each))
    return source


def _own_data(name: str, values: Any) -> OwnData:
    known = [field.name for field in fields(OwnData)]
    if not isinstance(values, dict) or not values.keys() <= set(known):
        raise InputError(f"source {name}: `own` takes {', '.join(known)}; it is {values}")
    return OwnData(**{key: value for key, value in values.items() if value is not None})
