"""The forms in which callers may name one request or many, turned into `Request`s.

A form that could mean two things is refused: a flat list of ids, requests and ids in one list, a
text that is given twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Real
from typing import Any, cast

from ttsrt_rt.arrays import NEEDS_FRONT_END, text_of
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import check_names
from ttsrt_rt.request import Request, RequestFields

__all__ = ["one_request", "requests_of"]

MAX_REQUESTS = 1 << 18  # of one call
_TEXTS = ("text", "text_ids", "text_features", "encoder_output")
_TEXT = f"expected a Request or fields such as text=, got text. {NEEDS_FRONT_END}"
_FORMS = "expected a Request, several of them, lists of text ids, or fields (text_ids=...)"


def one_request(request: Request | None, fields: Mapping[str, Any], call: str) -> Request:
    """The request, with the fields in place of its own; or a request of the fields alone.

    Raises:
        ConfigError: It is not a request, or a field is unknown.
    """
    if isinstance(request, str):
        raise ConfigError(f"{call}: {_TEXT}")
    if request is not None and not isinstance(request, Request):
        raise ConfigError(f"{call}: expected a Request or fields, got {type(request).__name__}")
    check_names(call, fields, RequestFields.__annotations__)
    if request is None:
        return Request(**fields)
    return replace(request, **fields) if fields else request


def requests_of(given: object, fields: Mapping[str, Any], call: str) -> Request | list[Request]:
    """One request, or a list of them where `given` is several requests or several texts.

    Args:
        given: A `Request`, an iterable of them, an iterable of arrays of text ids, or None.
        fields: Fields of `Request`, for every request; they replace those that a request has.
        call: The caller's method, for messages.

    Raises:
        ConfigError: It is none of these, or a field is unknown.
    """
    if given is None or isinstance(given, Request):
        return one_request(given, fields, call)
    if isinstance(given, str):
        raise ConfigError(f"{call}: {_TEXT}")
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise ConfigError(f"{call}: {_FORMS}, got {type(given).__name__}")
    items = _read(given, call)
    kinds = ", ".join(sorted({type(each).__name__ for each in items}))
    if items and all(isinstance(each, str) for each in items):
        raise ConfigError(f"{call}: {_TEXT}")
    if all(isinstance(each, Request) for each in items):
        return [one_request(each, fields, call) for each in items]
    if any(isinstance(each, Request) for each in items):
        others = [each for each in items if not isinstance(each, Request)]
        if any(isinstance(each, (Real, str)) or _may_be_ids(each) for each in others):
            raise ConfigError(
                f"{call}: expected requests or lists of text ids, got both in one "
                f"{type(given).__name__}: {kinds}"
            )
        # Whatever else is among them fails alone, as any bad request does.
        made = [
            one_request(each, fields, call) if isinstance(each, Request) else each for each in items
        ]
        return cast("list[Request]", made)
    if any(isinstance(each, Real) or getattr(each, "ndim", 1) == 0 for each in items):
        raise ConfigError(
            f"{call}: expected lists of text ids, got {type(given).__name__} of {kinds}; for one "
            "request write text_ids=ids, and for a list of one write [ids]"
        )
    if not all(_may_be_ids(each) for each in items):
        raise ConfigError(f"{call}: {_FORMS}, got {type(given).__name__} of {kinds}")
    twice = [name for name in _TEXTS if fields.get(name) is not None]
    if twice:
        raise ConfigError(f"{call}: expected one text per request, got lists of ids and {twice[0]}")
    return [one_request(None, {**fields, "text_ids": each}, call) for each in items]


def _read(given: Iterable[Any], call: str) -> list[Any]:
    """The items. Without requests among them, only up to the first that is no array, which the
    caller then refuses.
    """
    items: list[Any] = []
    has_requests = False
    try:
        for each in given:
            items.append(each)
            has_requests = has_requests or isinstance(each, Request)
            if not has_requests and (isinstance(each, Real) or not _may_be_ids(each)):
                break
            if len(items) > MAX_REQUESTS:
                raise ConfigError(f"{call}: expected at most {MAX_REQUESTS} requests, got more")
    except ConfigError:
        raise
    except Exception as error:  # whatever an iterator of the caller's raises
        raise ConfigError(
            f"{call}: {_FORMS}, got {type(given).__name__}, whose iterator raised "
            f"{type(error).__name__}: {text_of(error)}"
        ) from error
    return items


def _may_be_ids(value: object) -> bool:
    """Whether it may be an array, which the conversion to the library's request then checks."""
    if isinstance(value, (str, bytes, Mapping)):
        return False
    return (
        isinstance(value, Iterable) or hasattr(value, "__dlpack__") or hasattr(value, "__array__")
    )
