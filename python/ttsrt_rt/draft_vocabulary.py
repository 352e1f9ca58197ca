"""Whether a draft engine has the tokenizer of the engine that it guesses for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.quoting import show
from ttsrt_rt.tokenizer_json import FALLBACK_FILES, MAX_PAIRS, MAX_VALUES

__all__ = ["check_draft_vocabulary"]


def check_draft_vocabulary(engine: _core.Engine, draft_engine: Any) -> None:
    """Checks that the ids of both engines stand for the same tokens.

    Engines that were converted without a tokenizer have none to compare; the library compares the
    number of their tokens. Engines of other families are refused there, too.

    Args:
        engine: The engine that runs.
        draft_engine: The folder of the other one; None for none.

    Raises:
        ConfigError: They differ.
        FormatError: The folder is not an engine, or a tokenizer is damaged.
        NotFoundError: There is no such folder.
    """
    if draft_engine is None:
        return
    draft = _core.Engine.open(draft_engine)
    if engine.info.family != "llm" or draft.info.family != "llm":
        return
    wanted, got = (_vocabulary(each) for each in (engine, draft))
    if wanted == got:
        return
    expected = f"the vocabulary of {engine.path}"
    if wanted is None:
        expected = f"no tokenizer, as {engine.path} has none"
    found = "no tokenizer" if got is None else f"another one{_difference(wanted, got)}"
    raise ConfigError(f"draft_engine: {draft.path}: expected {expected}, got {found}")


def _vocabulary(engine: _core.Engine) -> Any:
    """What the ids of an engine stand for; None if it has no tokenizer."""
    from ttsrt_rt.llm.front_end import read_llm_front_end

    files = read_llm_front_end(json.loads(engine.description), engine.path).files
    if not files:
        return None
    if "tokenizer.json" not in files:
        return {name: files[name] for name in FALLBACK_FILES if name in files}
    where = f"{engine.path}: tokenizer.json"
    read = parse_json(files["tokenizer.json"], where, max_values=MAX_VALUES, max_pairs=MAX_PAIRS)
    return _tokens(read, where)


def _tokens(read: Any, where: str) -> dict[int, str]:
    """The tokens of tokenizer.json by their ids, those that were added to the model among them."""
    try:
        vocab = read["model"]["vocab"]
        if isinstance(vocab, Mapping):
            made = {int(number): str(token) for token, number in vocab.items()}
        else:
            made = {number: str(piece[0]) for number, piece in enumerate(vocab)}
        for added in read.get("added_tokens") or []:
            made[int(added["id"])] = str(added["content"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where}: expected tokens and their ids, got: {error!r}") from error
    return made


def _difference(wanted: Any, got: Any) -> str:
    """Names the first id that stands for two tokens."""
    if not isinstance(wanted, dict) or not isinstance(got, dict):
        return ""
    for key in sorted(wanted.keys() | got.keys(), key=str):
        if wanted.get(key) != got.get(key) and isinstance(key, int):
            return f": id {key} is {show(got.get(key))}, not {show(wanted.get(key))}"
    return ""
