"""The server of the page: gradio streams the answers and keeps the queue, the page itself is `static/`.

    GET  /                      the page
    GET  /about                 tasks, examples, limits
    POST /pictures?name=a.png   a picture; its key
    POST /examples/0            an example, its pictures with their keys
    POST /coco                  an answer as COCO JSON
    POST /gradio/gradio_api/call/ask, then GET .../call/ask/EVENT     an answer as it is written

It is reached from this machine alone, and asks no other one.
"""

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from vista.data import InputError
from vista.page.guard import Guard
from vista.page.page import Page
from vista.page.pictures import too_large
from vista.page.question import Told

if TYPE_CHECKING:  # of the extra `demo`, which need not be installed to look at this file
    from fastapi import FastAPI
    from uvicorn import Server

HOST = "127.0.0.1"
STATIC = Path(__file__).parent / "static"


def make_app(page: Page) -> "FastAPI":
    """The application: routes of the page, gradio below `/gradio`, files of `static/`."""
    import gradio
    from fastapi import FastAPI
    from fastapi.staticfiles import StaticFiles

    limits = page.limits
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, lengths={"/pictures": limits.upload}, other=limits.body)
    _add_routes(app, page)
    with gradio.Blocks(analytics_enabled=False, title="VistaLLM") as blocks:
        gradio.api(page.ask, api_name="ask", concurrency_limit=limits.rows + limits.queue)
    blocks.queue(max_size=limits.rows + limits.queue)
    gradio.mount_gradio_app(app, blocks, path="/gradio", max_file_size=limits.upload)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


def _add_routes(app: "FastAPI", page: Page) -> None:
    from fastapi import Body, Request
    from fastapi.responses import JSONResponse
    from starlette.concurrency import run_in_threadpool

    @app.exception_handler(InputError)
    def say(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.get("/about")
    def about() -> dict[str, object]:
        return page.about()

    @app.post("/pictures")
    async def add_picture(request: Request, name: str = "") -> dict[str, object]:
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > page.limits.upload:
                raise InputError(too_large(name, page.limits))
        return await run_in_threadpool(page.pictures.add, bytes(content), name)

    @app.post("/examples/{number}")
    def example(number: int) -> dict[str, object]:
        return page.example(number)

    @app.post("/coco")
    def coco(data: Told = Body()) -> dict[str, object]:  # noqa: B008 (FastAPI's way)
        return page.coco(data)


def listen(port: int) -> socket.socket:
    """A socket on this machine.

    Args:
        port: 0: any free one.

    Raises:
        InputError: the port is taken.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(
            f"port {port} cannot be had ({error}); name another one by --port"
        ) from error
    return listening


def server_of(page: Page) -> "Server":
    """What serves a page: `run(sockets=[...])` does until the process is told to stop."""
    from uvicorn import Config, Server

    return Server(Config(make_app(page), log_level="warning", timeout_graceful_shutdown=2))
