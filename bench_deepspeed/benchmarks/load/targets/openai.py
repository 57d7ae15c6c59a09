"""Any server of OpenAI's API: vLLM, SGLang, llama.cpp, TGI, MII's own, `transformers serve`.

It is somebody else's: it is neither started nor ended here, and what it lacks is found out by asking. A few short
requests try, before anything is measured, which of the optional fields it takes; the result says so.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any
from urllib.parse import urlsplit

from bench_deepspeed.benchmarks.load.prompts import tokenizer_of
from bench_deepspeed.benchmarks.load.records import Request, TokenCount
from bench_deepspeed.benchmarks.load.token_counts import AS_THEY_COME
from bench_deepspeed.core.errors import BenchError, MachineError, UsageError
from bench_deepspeed.core.paths import without_home
from bench_deepspeed.core.progress import Progress
from bench_deepspeed.engines.base import Streamed

from .base import LoopTarget, RequestError, Setup
from .event_stream import Answer, answer_of

GREEDY: tuple[dict[str, Any], ...] = ({"temperature": 0.0}, {"top_k": 1}, {})
"""Fields that ask for greedy decoding: the first that the server takes. MII's server wants a temperature above 0."""
PROBE = Request("one two three four five six seven eight", 8, 4)
CONNECT_S = 2.0
REFUSALS = ("HTTP 400", "HTTP 422", "HTTP 500", "HTTP 501", "200 with an error", "an error")
"""How the reason begins where a field may be what the server cannot do."""
REMEDIES = {
    r"HTTP 40[13]": "name the environment variable with its key with --api_key_env",
    r"TLS": "use the URL that its certificate is for, and SSL_CERT_FILE for an authority of your own",
    r".*(/models|lists no model)": "check the path of --url, or name the model with --served_model",
    r"HTTP 404|not JSON|not a list": "check the path of --url, --api (completions or chat) and --served_model",
    r"not a stream": "it must stream its answers as server-sent events",
    r"HTTP \d": "see the server's own log",
    r"": "check that the server is up, and --url",
}
"""How a reason begins why a server cannot be measured → what to do; the first that matches."""


class OpenAiTarget(LoopTarget):
    name = "openai"
    summary = "a server of OpenAI's API, at --url"
    service = "a server of OpenAI's API, over HTTP, streamed"
    engine = None
    exact_lengths = False
    sound_after_failure = True

    knows_ignore_eos = True
    """False: a server that takes the field, as any, and makes nothing of it."""

    def open(self, setup: Setup, progress: Progress) -> None:
        from .http_client import HttpClient

        assert setup.server is not None
        self._server, self._fields, self._exact, self._lost = setup.server, {}, (), False
        self._tokenizer = tokenizer_of(setup.folder) if setup.folder else None
        self.start_loop()
        self._client = HttpClient(self._server, setup.timeout_s)
        try:
            self._model = self._server.model or self._first_model()
            self._negotiate()
        except RequestError as error:
            raise MachineError(f"{self._server.url}: {error}; {_remedy(str(error))}") from error

    def _first_model(self) -> str:
        models = self.run(self._client.models())
        if not models:
            raise RequestError("the server lists no model")
        return models[0]

    def _negotiate(self) -> None:
        """Find the fields that the server takes. Raises RequestError where it takes no request at all."""
        self._fields = self._greedy()
        answer = self._try(stream_options={"include_usage": True}) or self._probe()
        if answer.usage_tokens is None:
            answer = self._try(return_token_ids=True) or answer
        if answer.usage_tokens is None and answer.token_ids is None and self._tokenizer is None:
            raise UsageError(
                f"{self._server.url}: streams carry neither usage nor token ids, so nothing counts tokens: name the "
                "model's tokenizer with --tokenizer"
            )
        if self.knows_ignore_eos:
            answer = self._try(ignore_eos=True) or answer
        least = self._with(min_tokens=PROBE.max_tokens)
        accepted = {"ignore_eos": "ignore_eos" in self._fields, "min_tokens": least is not None}
        self._exact = tuple(name for name, taken in accepted.items() if taken)
        self._counts_by = self.counted(PROBE, answer).by
        greedy = any(name in self._fields for fields in GREEDY for name in fields)
        self.repeats = greedy and len({self._probe().text for _ in range(2)}) == 1

    def _greedy(self) -> dict[str, Any]:
        """The first fields that ask for greedy decoding with which the server answers."""
        refusal: RequestError | None = None
        for fields in GREEDY:
            try:
                self._probe(**fields)
                return fields
            except RequestError as error:
                refusal = refusal or error
                if not str(error).startswith(REFUSALS):
                    break  # it refuses the request, whatever its fields
        raise refusal or RequestError("no answer")

    def _try(self, **field: Any) -> Answer | None:
        """The answer with one more field, which is then kept; None where the server refuses it."""
        answer = self._with(**field)
        if answer is not None:
            self._fields = {**self._fields, **field}
        return answer

    def _with(self, **field: Any) -> Answer | None:
        try:
            return self._probe(**self._fields, **field)
        except RequestError as error:
            if not str(error).startswith(REFUSALS):
                raise  # it may well take the field, and is busy or gone
            return None

    def _probe(self, **fields: Any) -> Answer:
        return self.run(self._ask(PROBE, fields or self._fields))

    async def _ask(self, request: Request, fields: dict[str, Any]) -> Answer:
        chat = self._server.api == "chat"
        prompt = {"messages": [{"role": "user", "content": request.prompt}]} if chat else {"prompt": request.prompt}
        body = {"model": self._model, **prompt, "max_tokens": request.max_tokens, "stream": True, **fields}
        return answer_of(await self._client.stream(json.dumps(body).encode()))

    async def stream(self, request: Request) -> Streamed:
        least = {"min_tokens": self.least_tokens(request)} if "min_tokens" in self._exact else {}
        try:
            answer = await self._ask(request, {**self._fields, **least})
        except RequestError as error:
            self._lost = self._lost or str(error).startswith("no connection")
            raise
        if self._tokenizer is None and answer.usage_tokens is None and answer.token_ids is None:
            raise RequestError("no count of its tokens: the answer has neither usage nor token ids")
        return answer

    def least_tokens(self, request: Request) -> int:
        """What `min_tokens` must be for an answer as long as it may be."""
        return request.max_tokens

    def counted(self, request: Request, streamed: Streamed | None) -> TokenCount:
        """By usage, else token ids, else the tokenizer; the prompt by usage, else the tokenizer."""
        known = request.prompt_tokens if self._tokenizer else None
        if not isinstance(streamed, Answer):
            return TokenCount(0, known)
        own = len(self._tokenizer(streamed.text, add_special_tokens=False).input_ids) if self._tokenizer else None
        prompt = known if streamed.prompt_tokens is None else streamed.prompt_tokens
        counts = {"usage": streamed.usage_tokens, "token ids": streamed.token_ids, "tokenizer": own}
        by, new = next((by, new) for by, new in counts.items() if new is not None)
        return TokenCount(new, prompt, by, own)

    def check(self) -> None:
        """Raises BenchError where nothing listens any more. Looks only after a request got no connection."""
        if not self._lost:
            return
        self._lost, parts = False, urlsplit(self._server.url)
        try:
            default = 443 if parts.scheme == "https" else 80
            socket.create_connection((parts.hostname, parts.port or default), CONNECT_S).close()
        except TimeoutError:
            return  # a busy server: its requests have time-outs of their own
        except OSError as error:
            raise BenchError(f"{self._server.url} takes no connection any more: {error.strerror or error}") from error

    def describe(self) -> dict:
        return {
            "url": self._server.url,
            "api": self._server.api,
            "model": without_home(self._model),
            "fields": self._fields,
            "lengths": " and ".join(self._exact) or AS_THEY_COME,
            "tokens_counted_by": self._counts_by,
            "prompts_of": "tokens" if self._tokenizer else "words",
            "answers_repeat": self.repeats,
        }

    def close(self) -> None:
        self.run(self._client.close())


def _remedy(reason: str) -> str:
    return next(remedy for beginning, remedy in REMEDIES.items() if re.match(beginning, reason))
