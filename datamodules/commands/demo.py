"""`demo`: a web page that asks a model about pictures, on this machine alone.

python main.py demo                             the newest run, else the weights that come with the clone
python main.py demo --ckpt_path exported        a run, a checkpoint or a folder of `export`
"""

from importlib.util import find_spec
from pathlib import Path

import tasks  # noqa: F401  (makes them known)
from datamodules.commands.loaded import load, settings_of
from datamodules.commands.options import DemoOptions
from datamodules.commands.shown_examples import shown_examples
from vista.app.plugins import load_entry_points, load_plugin
from vista.app.runs import find_checkpoint, newest_or_own
from vista.data import InputError
from vista.page.answerer import Answerer
from vista.page.page import Page
from vista.page.server import HOST, listen, server_of
from vista.printable import say


def main(options: DemoOptions) -> None:
    """Load the model and serve the page until the process is told to stop.

    Raises:
        InputError: gradio is missing, the port is taken, or the model cannot be loaded.
    """
    if find_spec("gradio") is None:
        raise InputError("the page needs gradio: pip install 'vistallm[demo]'")
    listening = listen(options.port)  # before the model: a port that is taken is said at once
    page = make_page(options)
    say(f"{page.name} answers at http://{HOST}:{listening.getsockname()[1]} (end it by Ctrl-C)")
    server_of(page).run(sockets=[listening])


def make_page(options: DemoOptions) -> Page:
    """The page of a model.

    Raises:
        InputError: there is no such model, or it is damaged.
    """
    load_entry_points()
    for plugin in options.plugin:
        load_plugin(plugin)
    path = find_checkpoint(options.ckpt_path or newest_or_own())
    say(f"checkpoint: {path}")
    loaded = load(path, settings_of(path, options.config))
    answerer = Answerer(loaded.model, loaded.tokenizer, loaded.coordinates, options.limits)
    return Page(answerer, loaded.codec, loaded.template, _name(path), shown_examples())


def _name(path: Path) -> str:
    """A run's name, else the folder's or the file's."""
    return path.parent.parent.name if path.parent.name == "checkpoints" else path.name
