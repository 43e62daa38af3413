"""The tasks of VistaLLM: each file of this folder is one, a subclass of `Task`; `--plugin` adds others."""

from importlib import import_module
from pkgutil import iter_modules

from vista.task import Task

__all__ = ["Task"]

# A task is known (`Task.known`) once its file is imported.
for _file in iter_modules(__path__):
    if not _file.name.startswith("_"):
        import_module(f"{__name__}.{_file.name}")
