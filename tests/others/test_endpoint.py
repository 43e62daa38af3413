"""A model behind a URL: a stand-in on localhost that speaks as OpenAI's chat completions do."""

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vista.data import InputError
from vista.others.endpoint import KEY, Endpoint
from vista.others.families.llava import Llava
from vista.others.families.qwen2_5_vl import Qwen25VL


class Server(ThreadingHTTPServer):
    """Replies as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.status, self.delay = 200, 0.0
        self.reply: bytes = reply_of("a cat")
        self.location = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        time.sleep(self.server.delay)
        reply = self.server.reply
        if reply == b"ECHO":
            reply = reply_of(str(body["messages"][-1]["content"][-1]["text"]))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: Any) -> None:
        """Silent."""


def reply_of(text: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv(KEY, raising=False)
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


IMAGE = np.random.default_rng(0).integers(0, 255, (30, 50, 3), dtype=np.uint8)
QUESTION = (("<image> What is it?", ""),)


def ask(server: Server, timeout: float = 5) -> str:
    model = Endpoint(server.url, "tiny", Qwen25VL(), timeout)
    return model.answer([QUESTION], [[IMAGE]], 12)[0]


def pixels(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_a_question_travels_with_its_image(server: Server) -> None:
    assert ask(server) == "a cat"
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert body["model"] == "tiny" and body["max_tokens"] == 12 and body["temperature"] == 0
    (message,) = body["messages"]
    image, text = message["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert (pixels(image["image_url"]["url"]) == IMAGE).all()
    assert "Authorization" not in headers


def test_turns_and_several_images_keep_their_places(server: Server) -> None:
    turns = (("<image> and <image>?", "Two."), ("Which?", ""))
    model = Endpoint(server.url + "/", "tiny", Qwen25VL(), 5)
    model.answer([turns], [[IMAGE, 255 - IMAGE]], 12)
    first, answer, last = server.requests[0][2]["messages"]
    kinds = [part["type"] for part in first["content"]]
    assert kinds == ["image_url", "text", "image_url", "text"]
    assert (pixels(first["content"][2]["image_url"]["url"]) == 255 - IMAGE).all()
    assert answer == {"role": "assistant", "content": "Two."}
    assert last["content"] == [{"type": "text", "text": "Which?"}]


def test_answers_stand_in_the_order_of_their_questions(server: Server) -> None:
    server.reply = b"ECHO"
    questions = [((f"<image> {k}", ""),) for k in range(9)]
    model = Endpoint(server.url, "tiny", Qwen25VL(), 5)
    assert model.answer(questions, [[IMAGE]] * 9, 12) == [str(k) for k in range(9)]


def test_a_family_prepares_its_images(server: Server) -> None:
    Endpoint(server.url, "tiny", Llava(), 5).answer([QUESTION], [[IMAGE]], 12)
    image = server.requests[0][2]["messages"][0]["content"][0]
    assert pixels(image["image_url"]["url"]).shape == (50, 50, 3)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"no json", "does not answer in JSON"),
        (b"[" * 100_000, "does not answer in JSON"),
        (b'{"choices": []}', "without choices"),
        (b"[]", "without choices"),
        (b'{"choices": [{"message": "x"}]}', "without choices"),
    ],
)
def test_a_reply_of_another_form_is_said(server: Server, reply: bytes, said: str) -> None:
    server.reply = reply
    with pytest.raises(InputError, match=said):
        ask(server)


def test_an_answer_of_nothing_is_empty(server: Server) -> None:
    server.reply = reply_of(None)
    assert ask(server) == ""


def test_an_error_of_the_server_is_said_without_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "secret-123")
    server.status, server.reply = 401, b"the key secret-123 is wrong"
    with pytest.raises(InputError) as caught:
        ask(server)
    assert server.requests[0][1]["Authorization"] == "Bearer secret-123"
    assert "answers 401: the key ... is wrong" in str(caught.value)
    assert "secret-123" not in str(caught.value) + repr(caught.value.__cause__)


def test_the_key_does_not_follow_a_redirection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "secret-123")
    server.status, server.location = 307, f"{server.url}/elsewhere"
    with pytest.raises(InputError, match="answers 307"):
        ask(server)
    assert len(server.requests) == 1


def test_a_server_that_is_late_or_not_there_is_said(server: Server) -> None:
    server.delay = 0.5
    with pytest.raises(InputError, match=r"0\.1 s \(--timeout\)"):
        ask(server, timeout=0.1)
    gone = Endpoint("http://127.0.0.1:1/v1", "tiny", Qwen25VL(), 5)
    with pytest.raises(InputError, match="cannot be reached"):
        gone.answer([QUESTION], [[IMAGE]], 12)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InputError, match="is no address"):
        Endpoint("file:///etc", "tiny", Qwen25VL(), 5)
