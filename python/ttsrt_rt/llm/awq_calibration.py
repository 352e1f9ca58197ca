"""The ids that AWQ is calibrated on: a text or lines of JSON, cut into blocks of one length."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.llm_front_end import read_text_files
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.quoting import show
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer

__all__ = ["BUILTIN", "MAX_LENGTH", "Ids", "calibration_ids"]

LOGGER = logging.getLogger(__name__)

Ids = npt.NDArray[np.int64]

BUILTIN = "builtin"
MAX_BYTES = 64 << 20
PIECE_BYTES = 1 << 20  # of a text that is encoded at once
LEAST_IDS = 8
MAX_LENGTH = 4096  # of a block: attention of a head takes the square of it
BUILTIN_TEXT = (
    "The river rises in the hills and runs past three villages before it reaches the sea. In "
    "spring the water is high, and the mill at the second village grinds corn from morning to "
    "night.\n\n"
    "Question: How long does a train need for 180 kilometres at 120 kilometres an hour?\n"
    "Answer: Time is distance divided by speed, 180 / 120 = 1.5, so it needs an hour and a half."
    "\n\n"
    "def largest(numbers):\n    best = None\n    for number in numbers:\n"
    "        if best is None or number > best:\n            best = number\n    return best\n\n"
    "Dear Maria, thank you for your letter of 12 March. We will send the two chairs on Monday; the "
    "table is still with the carpenter, who says that oak takes longer to dry than he thought.\n\n"
    "- Wash the rice until the water stays clear.\n- Add one and a half cups of water and a pinch "
    "of salt.\n- Boil, cover, and let it stand for fifteen minutes.\n\n"
    "Light takes about eight minutes and twenty seconds from the sun to the earth, and more than "
    "four hours to Neptune. A telescope shows the past.\n"
)


def calibration_ids(
    calibration: str | os.PathLike[str] | Sequence[Sequence[int]],
    folder: Path,
    *,
    samples: int,
    length: int,
    vocab: int,
    positions: int,
) -> Ids:
    """Returns blocks of ids.

    Args:
        calibration: a text file; a file of JSON lines, each a text or an object with `text`; the
            word "builtin"; or lists of ids, all of one length, which are taken as they are.
        folder: of the model, with its tokenizer.
        samples, length: at most so many blocks of so many ids.
        vocab: ids of the model.
        positions: of the model, which no block exceeds.

    Returns:
        int64 [blocks, ids].

    Raises:
        ConfigError: there are fewer than 8 ids, an id is not the model's, or given blocks are
            longer than its positions or 4096.
        FormatError: a file is damaged.
    """
    most = min(positions, MAX_LENGTH)
    if not isinstance(calibration, (str, os.PathLike)):
        ids = _given(calibration)
        if ids.shape[1] > most:
            raise ConfigError(
                f"calibration: expected blocks of at most {most} ids, got {ids.shape[1]}"
            )
    else:
        if length > most:
            LOGGER.warning(
                "calibration: blocks of %d ids, as the model has no more positions", most
            )
            length = most
        tokenizer = LlmTokenizer(read_text_files(folder), str(folder))
        stream: list[int] = []
        for text in _texts(calibration):
            stream += tokenizer.encode(text, special="never", add_special_tokens=False)
            if len(stream) >= samples * length:
                break
        ids = _blocks(stream, samples, length, str(calibration))
    if ids.min() < 0 or ids.max() >= vocab:
        raise ConfigError(
            f"calibration: expected ids below {vocab}, got {ids.min()} to {ids.max()}"
        )
    return ids


def _given(blocks: Sequence[Sequence[int]]) -> Ids:
    try:
        ids = np.asarray(blocks)
    except ValueError as error:
        raise ConfigError(
            f"calibration: expected lists of ids of one length, got {show(blocks)}"
        ) from error
    if ids.ndim != 2 or not ids.size or ids.dtype.kind not in "iu":
        raise ConfigError(f"calibration: expected lists of ids of one length, got {show(blocks)}")
    return ids.astype(np.int64)


def _blocks(stream: list[int], samples: int, length: int, where: str) -> Ids:
    if len(stream) < LEAST_IDS:
        raise ConfigError(
            f"{where}: expected a text of at least {LEAST_IDS} ids, got {len(stream)}"
        )
    length = min(length, len(stream))
    count = min(samples, len(stream) // length)
    if count < samples:
        LOGGER.warning(
            "%s: %d ids are %d blocks of %d, fewer than the %d asked for",
            *(where, len(stream), count, length, samples),
        )
    return np.asarray(stream[: count * length], np.int64).reshape(count, length)


def _texts(calibration: str | os.PathLike[str]) -> Sequence[str]:
    if calibration == BUILTIN:
        LOGGER.warning("calibration: the builtin text is short; a file of your own is better")
        return (BUILTIN_TEXT,)
    path = Path(calibration)
    data = read_regular(path, MAX_BYTES)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected text in UTF-8, got other bytes") from error
    if path.suffix not in (".jsonl", ".json"):
        return [text[at : at + PIECE_BYTES] for at in range(0, len(text), PIECE_BYTES)]
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        value = parse_json(line.encode("utf-8"), f"{path}: line {number}")
        content = value.get("text") if isinstance(value, dict) else value
        if not isinstance(content, str):
            raise FormatError(f"{path}: line {number}: expected a text, got {show(value)}")
        found.append(content)
    return found
