"""The routes, in one table: what each answers, in whose dialect, and what it is counted as."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from emberd import __version__
from emberd.errors import EmberdError
from emberd.server.http import ollama, openai, pages, tei
from emberd.server.http.calls import Call
from emberd.server.http.replies import Reply, json_reply, text_reply
from emberd.server.http.statuses import Refusal, retry_headers, status_of

__all__ = ["ROUTES", "Route", "error_reply", "find_route"]

ErrorShape: TypeAlias = Callable[[EmberdError, int], Any]

_JSON = frozenset({"application/json"})
# `curl -d` says that JSON is a form, and Ollama's own examples are such commands. A page of
# another site that posts a form is refused by its Origin.
_JSON_OR_FORM = _JSON | {"", "application/x-www-form-urlencoded"}
_PARAMETER = "{id}"
_TEI_PATHS = frozenset({"/", "/embed", "/info", "/tokenize"})


@dataclass(frozen=True, slots=True)
class Route:
    """One verb of one path. `counted_as` is the service's method that it calls, if it calls one
    for its answer; such requests are in the statistics."""

    verb: str
    path: str
    answer: Callable[[Call], Awaitable[Reply]]
    summary: str
    counted_as: str | None = None
    content_types: frozenset[str] = _JSON


async def index(call: Call) -> Reply:
    """GET /: what there is."""
    return text_reply(_INDEX)


ROUTES = (
    Route("GET", "/", index, "this page"),
    Route("GET", "/health", pages.health, "200 when all is well, else 503 and the problems"),
    Route("GET", "/metrics", pages.metrics, "the daemon's figures for Prometheus"),
    Route("POST", "/v1/embeddings", openai.embeddings, "OpenAI: texts to vectors", "embed"),
    Route("GET", "/v1/models", openai.models, "OpenAI: the models", "models.list"),
    Route("GET", "/v1/models/{id}", openai.model, "OpenAI: one model", "models.list"),
    Route("POST", "/embed", tei.embed_inputs, "text-embeddings-inference: vectors", "embed"),
    Route("POST", "/", tei.embed_inputs, "the same, for Hugging Face's clients", "embed"),
    Route("GET", "/info", tei.info, "text-embeddings-inference: the model", "models.list"),
    Route("POST", "/api/embed", ollama.embed_input, "Ollama: vectors", "embed", _JSON_OR_FORM),
    Route(
        "POST", "/api/embeddings", ollama.embed_prompt, "Ollama: one text", "embed", _JSON_OR_FORM
    ),
    Route("GET", "/api/tags", ollama.tags, "Ollama: the models", "models.list"),
    Route("GET", "/api/version", ollama.version, "Ollama: the version"),
)

_BY_PATH = {
    path: {route.verb: route for route in ROUTES if route.path == path}
    for path in dict.fromkeys(route.path for route in ROUTES)
}
_INDEX = "\n".join(
    [
        f"emberd {__version__}: embeddings, kept warm.",
        "",
        *(f"{route.verb:<5} {route.path:<18} {route.summary}" for route in ROUTES),
        "",
        "Headers for any of them: X-Emberd-Namespace, X-Emberd-Deadline-Ms.",
        "",
    ]
)


def find_route(verb: str, path: str) -> tuple[Route, str]:
    """The route of a request and its parameter. Raises Refusal: 404 for an unknown path, 405 for
    another verb than the path takes. HEAD is answered wherever GET is."""
    verbs, tail = _verbs_of(path)
    if not verbs:
        raise Refusal(404, f"There is nothing at {path!r}. GET / lists what there is.")
    route = verbs.get("GET" if verb == "HEAD" else verb)
    if route is None:
        allowed = ", ".join(verbs)
        raise Refusal(405, f"{path} takes {allowed}, not {verb}.", {"Allow": allowed})
    return route, tail


def error_reply(error: EmberdError | Refusal, path: str) -> Reply:
    """An error in the shape that the clients of `path` understand."""
    if isinstance(error, Refusal):
        status, headers, error = error.status, error.headers, error.error
    else:
        status, headers = status_of(error), {}
    headers = retry_headers(error, status) | headers
    reply = json_reply(_shape_of(path)(error, status), status, headers)
    return replace(reply, error=error.code)


def _verbs_of(path: str) -> tuple[dict[str, Route], str]:
    if path in _BY_PATH and not path.endswith(_PARAMETER):
        return _BY_PATH[path], ""
    for pattern, verbs in _BY_PATH.items():
        stem = pattern.removesuffix(_PARAMETER)
        if stem != pattern and path.startswith(stem) and path != stem:
            return verbs, path[len(stem) :]
    return {}, ""


def _shape_of(path: str) -> ErrorShape:
    if path.startswith("/api/"):
        return ollama.error_value
    return tei.error_value if path in _TEI_PATHS else openai.error_value
