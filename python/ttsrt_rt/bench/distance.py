"""How far engines of lower precision are from float32: logits of whole utterances, text by text.

The float32 engine speaks each text greedily. The others are given its codes, step by step, so that
the logits of every step can be compared, however early their own choices would differ. Groups are
whatever the caller tells apart: languages, or models.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.bench.step_turns import Case
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["Distance", "measure_distances"]

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Distance:
    """One group's distance from float32, over all steps of all of its texts.

    Attributes:
        group: Of texts.
        case: The precision, as "bfloat16 w8a8".
        steps: Compared.
        relative: The largest difference of a logit, over the largest float32 logit.
        cosine: The smallest of a step's cosines.
        agreement: The share of steps whose largest logit is the same.
    """

    group: str
    case: str
    steps: int
    relative: float
    cosine: float
    agreement: float


def measure_distances(
    checkpoint: Path,
    cases: Sequence[Case],
    texts: Mapping[str, Sequence[Sequence[int]]],
    *,
    steps: int = 24,
    fields: Mapping[str, Any] | None = None,
    progress: Callable[[str], object] = lambda _: None,
) -> list[Distance]:
    """Builds an engine for each precision in a temporary folder and compares.

    Args:
        checkpoint: What `convert` wrote.
        cases: The precisions.
        texts: Text ids by group.
        steps: Decoder steps of each text at most.
        fields: Other fields of the requests, such as the context.
        progress: Called with what is done next.

    Raises:
        ConfigError: No texts, or a text that the model cannot serve.
    """
    if not texts or not all(texts.values()):
        raise ConfigError("texts: expected at least one text in every group")
    distances: list[Distance] = []
    with tempfile.TemporaryDirectory() as folder:
        progress("float32")
        wanted: dict[str, list[tuple[NDArray[np.int32], Logits]]] = {}
        with _executor(checkpoint, Path(folder, "reference"), Case("float32")) as executor:
            limit = steps * executor.engine.info.frame_stacking
            for group, some in texts.items():
                spoken = [
                    _speak(executor, ids, fields, max_frames=limit, min_frames=limit)
                    for ids in some
                ]
                wanted[group] = spoken
        for case in cases:
            progress(case.name)
            name = case.name.replace(" ", "-")
            with _executor(checkpoint, Path(folder, name), case) as executor:
                for group, some in texts.items():
                    got = [
                        _speak(executor, ids, fields, forced_codes=codes)[1]
                        for ids, (codes, _) in zip(some, wanted[group], strict=True)
                    ]
                    references = [logits for _, logits in wanted[group]]
                    distances.append(_compare(group, case.name, got, references))
    return distances


def _executor(checkpoint: Path, engine: Path, case: Case) -> Executor:
    from ttsrt_rt.build import build
    from ttsrt_rt.executor import Executor

    build(
        checkpoint,
        engine,
        dtype=case.dtype,
        quantization=case.quantization,
        max_batch_size=1,
        progress=None,
    )
    return Executor(engine, trace=True)


def _speak(
    executor: Executor, ids: Sequence[int], fields: Mapping[str, Any] | None, **more: Any
) -> tuple[NDArray[np.int32], Logits]:
    """The codes of a greedy utterance, and the logits of each step after guidance [steps, n]."""
    result = executor.generate(text_ids=ids, temperature=0.0, **{**(fields or {}), **more})
    logits = [entry.values[0] for entry in result.trace if entry.name == "logits_guided"]
    if not logits or len(result.codes) == 0:
        raise ConfigError(f"texts: expected texts that are spoken, got {list(ids)[:8]}, ...")
    stacks = len(result.codes) // executor.engine.info.frame_stacking
    return result.codes, np.stack(logits[:stacks])


def _compare(group: str, case: str, got: list[Logits], wanted: list[Logits]) -> Distance:
    ours, theirs = np.concatenate(got), np.concatenate(wanted)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return Distance(
        group=group,
        case=case,
        steps=len(theirs),
        relative=float(np.abs(ours - theirs).max() / np.abs(theirs).max()),
        cosine=float(((ours * theirs).sum(axis=1) / lengths).min()),
        agreement=float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
    )
