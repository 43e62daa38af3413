"""Questions to a model behind a URL that speaks as OpenAI's chat completions do; images travel as data URIs.

    model = Endpoint("http://localhost:8000/v1", "qwen2.5-vl-7b", family, timeout=60)
    model.answer([turns], [[image]], max_new_tokens=512)

A key is read from the environment, and stands in no message and no file.
"""

import base64
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

import numpy as np
from PIL import Image

from vista.data import InputError, Turns
from vista.others.family import Family
from vista.others.huggingface import Part, parts_of

KEY = "OPENAI_API_KEY"
LONGEST = 1 << 24  # bytes of a reply that are read


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key must not follow a redirection to another machine."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """None: the reply is an error."""
        return


class Endpoint:
    """Answers batches of questions, each by a request of its own.

    Attributes:
        family: how it is asked and how it writes places.
        controls: tokens in its answers that are no words; a server leaves them out.
    """

    controls: tuple[str, ...] = ()
    cuts_images = False  # what a server does is not known

    def __init__(self, url: str, model: str, family: Family, timeout: float) -> None:
        """Keep the settings.

        Args:
            url: up to `/v1`; `/chat/completions` follows.
            model: its name on the server.
            family: the adapter.
            timeout: seconds for which a reply is waited for.
        """
        if not url.startswith(("http://", "https://")):
            raise InputError(f"--url {url} is no address; it begins with http:// or https://")
        self.url = f"{url.rstrip('/')}/chat/completions"
        self.model, self.family, self.timeout = model, family, timeout
        self.opener = urllib.request.build_opener(NoRedirect)

    def answer(
        self,
        questions: Sequence[Turns],
        images: Sequence[Sequence[np.ndarray]],
        max_new_tokens: int,
    ) -> list[str]:
        """What the model writes, see `HuggingFaceModel.answer`.

        Raises:
            InputError: the server cannot be reached, says no, or does not reply in time or in the form.
        """
        bodies = [
            self._body(turns, some, max_new_tokens)
            for turns, some in zip(questions, images, strict=True)
        ]
        with ThreadPoolExecutor(max(1, len(bodies))) as pool:
            return list(pool.map(self._request, bodies))

    def _body(self, turns: Turns, images: Sequence[np.ndarray], most: int) -> bytes:
        shown = iter(images)
        messages: list[Part] = []
        for prompt, answer in turns:
            content = parts_of(prompt)
            for part in content:
                if part["type"] == "image":
                    part |= {"type": "image_url", "image_url": {"url": self._data_uri(next(shown))}}
            messages.append({"role": "user", "content": content})
            if answer:
                messages.append({"role": "assistant", "content": answer})
        body = {
            "model": self.model,
            "messages": messages,
            "max_tokens": most,
            "temperature": 0,
            # vLLM and SGLang: places are special tokens in some families, and must not be left out.
            "skip_special_tokens": False,
        }
        return json.dumps(body).encode()

    def _data_uri(self, image: np.ndarray) -> str:
        file = io.BytesIO()
        self.family.prepare(Image.fromarray(image)).save(file, "PNG")
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

    def _request(self, body: bytes) -> str:
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        if key := os.environ.get(KEY):
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with self.opener.open(request, timeout=self.timeout) as reply:
                content = json.loads(reply.read(LONGEST))
        except urllib.error.HTTPError as error:
            said = error.read(300).decode(errors="replace")
            raise InputError(f"{self.url} answers {error.code}: {hidden(said)}") from error
        except TimeoutError as error:
            raise InputError(
                f"{self.url} did not answer in {self.timeout:g} s (--timeout)"
            ) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                reason = f"no answer in {self.timeout:g} s (--timeout)"
            raise InputError(f"{self.url} cannot be reached: {reason}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.url} does not answer in JSON") from error
        return _text_of(content, self.url)


def hidden(text: str) -> str:
    """What a server said, without the key that it may repeat."""
    key = os.environ.get(KEY)
    return text.replace(key, "...") if key else text


def _text_of(content: Any, url: str) -> str:
    try:
        text = content["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{url} answers without choices[0].message.content") from error
    return text if isinstance(text, str) else ""
