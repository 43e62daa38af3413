"""Tasks and readers from outside: Python files, and installed packages that name an entry point.

    python main.py test --plugin my_task.py ...         a file; also the key `plugin` of a config

    [project.entry-points."vista.tasks"]                an installed package's pyproject.toml
    my_task = "my_package.my_task"                      a module or class whose import makes the task known

Loading is importing: a subclass of `Task` makes itself known, a reader is put into `READERS` by the file itself.
"""

import sys
import warnings
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from vista.data import InputError, MissingFileError

GROUP = "vista.tasks"
ROOT = Path(__file__).parents[2]


def load_plugin(path: str | Path) -> None:
    """Run a Python file that brings tasks or readers; once, however often it is asked for.

    Args:
        path: relative to the working folder, else to the project's.

    Raises:
        MissingFileError: it is not there.
    """
    file = (Path(path) if Path(path).is_file() else ROOT / path).absolute()
    if not file.is_file():
        raise MissingFileError(f"there is no plugin {path}")
    name = f"plugin_{file.stem}"  # a plugin may be called like the package that it brings in
    if name in sys.modules and sys.modules[name].__file__ == str(file):
        return
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"the plugin {path} is no Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module  # loader processes find the plugin's classes by this name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def load_entry_points(group: str = GROUP) -> list[str]:
    """Import what installed packages name under a group of entry points.

    A package that cannot be imported is named in a warning: it must not stop those who do not use it.

    Returns:
        the names of the entry points that were loaded.
    """
    loaded = []
    for point in entry_points(group=group):
        try:
            point.load()
        except Exception as error:  # whatever somebody else's module does on import
            warnings.warn(
                f"the task {point.name} ({point.value}) is not loaded: {error!r}", stacklevel=2
            )
        else:
            loaded.append(point.name)
    return loaded
