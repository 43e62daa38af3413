"""The server over HTTP: for this machine alone, within its limits, and asking no other machine."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.page.asking import COLORS, picture, png_header, question
from tests.page.conftest import served
from tests.tiny import run
from vista.data import InputError
from vista.page.limits import Limits


def fetch(url, path, data=None, **headers):
    """Status, and what was answered."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(url + path, data, names), timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except HTTPError as error:
        return error.code, error.read(), error.headers


def send(url, content, name="a.png"):
    status, answer, _ = fetch(url, f"pictures?name={name}", content)
    return status, json.loads(answer)


def answer_of(url, asked):
    """All that a browser is told of a question."""
    call = "gradio/gradio_api/call/ask"
    data = json.dumps({"data": [asked]}).encode()
    _, answer, _ = fetch(url, call, data, content_type="application/json")
    _, events, _ = fetch(url, f"{call}/{json.loads(answer)['event_id']}")
    lines = [line for line in events.decode().splitlines() if line.startswith("data: [")]
    return [json.loads(line.removeprefix("data: "))[0] for line in lines]


def test_the_page_and_its_files_are_there(url):
    for path in ("", "page.js", "page.css", "talk.js", "turn.js", "stage.js", "shapes.js"):
        status, _, headers = fetch(url, path)
        assert status == 200, path
        assert "default-src 'self'" in headers["content-security-policy"]


def test_ten_people_ask_over_http(url):
    asked = []
    for person in range(10):
        name = f"large {COLORS[person % 6]} square"
        _, told = send(url, picture(name, seed=person))
        asked.append(question(told["key"], task="rec", words=f"the square number {person}"))
    alone = [answer_of(url, each)[-1] for each in asked]
    with ThreadPoolExecutor(10) as people:
        together = list(people.map(lambda each: answer_of(url, each), asked))
    for person, (one, told) in enumerate(zip(alone, together, strict=True)):
        assert told[-1]["text"] == one["text"]
        # Nothing of another person's words is in anything that this one is told.
        others = [f"number {other}" for other in range(10) if other != person]
        assert not any(other in json.dumps(told) for other in others)


def test_a_file_that_is_no_picture_is_a_sentence(url):
    status, told = send(url, png_header(60_000, 60_000), "huge.png")
    assert status == 400
    assert told["error"].startswith("The image huge.png is too large: more than 50000000 pixels")
    assert "notes.png is empty, damaged or no" in send(url, b"words", "notes.png")[1]["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),  # a name of somebody else's that leads here
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:1"}, 200),
    ],
)
def test_other_pages_are_turned_away(url, headers, status):
    assert fetch(url, "about", **headers)[0] == status


def refusal(url, path, head):
    """The first line that a request without its body is answered with."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode())
        return connection.recv(100).split(b"\r\n")[0]


def test_a_body_that_is_too_long_is_refused_before_it_is_read(url):
    most = Limits()
    assert b"413" in refusal(url, "/pictures?name=a", f"Content-Length: {most.upload + 1}")
    assert b"413" in refusal(url, "/coco", f"Content-Length: {most.body + 1}")
    assert b"413" in refusal(url, "/gradio/gradio_api/upload", f"Content-Length: {most.body + 1}")
    assert b"411" in refusal(url, "/pictures?name=a", "Transfer-Encoding: chunked")


def test_no_other_machine_is_asked(page, monkeypatch):
    pytest.importorskip("gradio")
    asked = []
    for owner, name in (
        (socket.socket, "connect"),
        (socket.socket, "connect_ex"),
        (socket, "getaddrinfo"),
    ):
        monkeypatch.setattr(owner, name, noting(getattr(owner, name), asked))
    with served(page) as url:  # it may ask when it starts, too
        _, told = send(url, picture("large red circle"))
        assert answer_of(url, question(told["key"], task="caption"))[-1]["done"]
    assert set(asked) == {"127.0.0.1"}


def noting(call, asked):
    """A function of sockets that notes the host it is asked for."""

    def noted(*arguments, **more):
        found = [each for each in arguments if isinstance(each, tuple | str)]
        asked.extend(each[0] if isinstance(each, tuple) else each for each in found[:1])
        return call(*arguments, **more)

    return noted


def test_a_port_that_is_taken_is_a_sentence(url):
    port = url.rstrip("/").rpartition(":")[2]
    outcome = run("demo", "--port", port, "--ckpt_path", "weights")
    assert outcome.code == 2
    assert f"port {port} cannot be had" in outcome.err
    from vista.page.server import listen

    with pytest.raises(InputError, match="name another one by --port"):
        listen(70_000)


def test_without_gradio_the_verb_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "gradio", None)
    outcome = run("demo", "--ckpt_path", "weights")
    assert outcome.code == 2
    assert "pip install 'vistallm[demo]'" in outcome.err
