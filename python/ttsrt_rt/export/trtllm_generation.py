"""Checks what an export generates: its NumPy reference against the executor, step by step.

The executor decodes greedily from an engine that is built of the checkpoint in float32. The
reference reads only the exported files and goes on from the executor's tokens, so that every step
can be compared. A float32 export must have the same logits and choose the same tokens; one of
reduced precision must have nearly the same direction of logits in every step.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ttsrt_rt.errors import FormatError, InternalError
from ttsrt_rt.export.t3_checkpoint import Floats, T3Fields
from ttsrt_rt.export.trtllm_checks import Exported
from ttsrt_rt.export.trtllm_reference import Decoder, ExportedModel

__all__ = ["check_generation"]

STEPS = 30
_TEXT = 20
_GUIDED = 1.5
_RELATIVE = 1e-4
_CLOSE = 1e-3  # a smaller gap between the two best may be decided either way
_COSINE = {"float16": 0.9995, "bfloat16": 0.998}


@dataclass(frozen=True, eq=False)
class _Run:
    """What the executor made: one token a step, and each step's logits [branches, speech_vocab]."""

    tokens: list[int]
    logits: list[Floats]


@dataclass(frozen=True, eq=False)
class _Case:
    """The export, and what both sides read: text ids, and the rows of a voice [rows, dim]."""

    model: ExportedModel
    fields: T3Fields
    dtype: str
    text: list[int]
    prefix: Floats


def check_generation(export: Exported) -> str:
    """Both guidance rows, every BOS row and 30 greedy steps agree with the executor."""
    fields = export.checkpoint.fields
    table = export.table()
    rows = int(table.lengths[0])
    prefix = table.table[:rows].astype(np.float32)
    if rows < 1 or prefix.shape != (rows, fields.dim) or not np.isfinite(prefix).all():
        raise FormatError("expected finite rows of the first voice, got none")
    model = ExportedModel(export.folder)
    case = _Case(model, fields, export.dtype, _text_ids(fields), prefix)
    scales = (1.0, _GUIDED) if fields.conditioning.queries else (1.0,)
    runs = _run_executor(export.checkpoint.folder, case, scales)
    with np.errstate(all="ignore"):  # damaged weights may overflow; the comparison tells
        told = [_compare(case, scale, run) for scale, run in zip(scales, runs, strict=True)]
    return "; ".join(told)


def _text_ids(fields: T3Fields) -> list[int]:
    """A text of random ids, framed as the model's texts are."""
    random = np.random.default_rng(11)
    ids = [int(each) for each in random.integers(0, fields.text_vocab, _TEXT)]
    if fields.text_start is not None:
        ids[0] = fields.text_start
    if fields.text_stop is not None:
        ids[-1] = fields.text_stop
    return ids


def _run_executor(checkpoint: Path, case: _Case, scales: tuple[float, ...]) -> list[_Run]:
    """Runs the checkpoint with our executor in float32: one greedy request for each scale."""
    from ttsrt_rt.build import build
    from ttsrt_rt.executor import Executor

    runs = []
    with tempfile.TemporaryDirectory(prefix="ttsrt-validate-") as folder:
        build(
            checkpoint,
            Path(folder) / "engine",
            dtype="float32",
            max_batch_size=1,
            max_seq_len=len(case.prefix) + _TEXT + 2 + STEPS + 1,
            max_input_len=len(case.prefix),
            max_encoder_input_len=_TEXT,
        )
        with Executor(Path(folder) / "engine", device="cpu", trace=True) as executor:
            for scale in scales:
                result = executor.generate(
                    text_ids=case.text,
                    context_embeddings=case.prefix,
                    cfg_scale=scale,
                    temperature=0.0,
                    top_k=0,
                    top_p=1.0,
                    min_p=0.0,
                    repetition_penalty=1.0,
                    max_frames=STEPS,
                    min_frames=0,
                    prior=None,
                )
                logits = [np.array(each.values) for each in result.trace if each.name == "logits"]
                runs.append(_Run([int(code) for code in result.codes[:, 0]], logits))
    if not all(run.logits for run in runs):
        raise InternalError("expected logits in the trace of a request, got none")
    return runs


def _compare(case: _Case, scale: float, run: _Run) -> str:
    """Follows the executor's tokens; compares the logits and the choice of every step."""
    model = case.model
    branches = [False] if scale == 1.0 else [False, True]
    start = model.start_embeddings()
    rows = [
        np.concatenate([case.prefix, model.text_rows(case.text, unconditional=each), start])
        for each in branches
    ]
    decoder = Decoder(model, len(branches))
    logits = decoder.step(np.stack(rows))
    tally = _Tally(case, scale)
    for step, expected in enumerate(run.logits):
        chosen = run.tokens[step] if step < len(run.tokens) else None
        tally.add(step, expected, logits + model.bias, chosen)
        if chosen is None or step + 1 == len(run.logits):
            break
        row = model.generated_row(case.fields.text_vocab + chosen, step)
        logits = decoder.step(np.repeat(row[None], len(branches), 0))
    return tally.told()


def _guided(logits: Floats, scale: float) -> Floats:
    """Combines the rows of a guided pair: `uncond + scale * (cond - uncond)`."""
    if len(logits) == 1:
        return np.asarray(logits[0], np.float32)
    return np.asarray(logits[1] + np.float32(scale) * (logits[0] - logits[1]), np.float32)


class _Tally:
    """Compares the steps of one request, and fails at the first that is out of tolerance."""

    def __init__(self, case: _Case, scale: float) -> None:
        self._dtype, self._scale = case.dtype, scale
        self._begin = case.fields.text_vocab
        self._end = self._begin + case.fields.speech_vocab
        self._worst, self._cosine = 0.0, 1.0
        self._agreed, self._steps = 0, 0

    def add(self, step: int, expected: Floats, unified: Floats, chosen: int | None) -> None:
        """Compares one step.

        Args:
            step: Its number.
            expected: The executor's logits: [branches, speech_vocab].
            unified: The export's, with the bias: [branches, vocab_size].
            chosen: The executor's token; None if the request ended with this step.
        """
        where = f"cfg_scale {self._scale:g}, step {step}"
        found = unified[:, self._begin : self._end]
        if expected.shape != found.shape:
            raise FormatError(
                f"{where}: logits: expected {list(expected.shape)}, got {list(found.shape)}"
            )
        self._steps += 1
        for row, name in enumerate(("conditional", "unconditional")[: len(expected)]):
            self._judge(f"{where}, {name} row", expected[row], found[row])
        wanted = _guided(expected, self._scale)
        best = int(wanted.argmax()) if chosen is None else chosen
        got = int(_guided(unified, self._scale).argmax()) - self._begin
        self._agreed += got == best
        gap = float(wanted[best] - wanted[got]) if 0 <= got < len(wanted) else np.inf
        if got != best and (gap == np.inf or (self._dtype == "float32" and gap > _CLOSE)):
            raise FormatError(
                f"{where}: expected the id {best + self._begin}, got {got + self._begin}"
            )

    def _judge(self, where: str, expected: Floats, found: Floats) -> None:
        relative = float(np.abs(expected - found).max()) / float(np.abs(expected).max())
        lengths = float(np.linalg.norm(expected)) * float(np.linalg.norm(found))
        cosine = float(np.dot(expected, found)) / max(lengths, 1e-30)
        self._worst, self._cosine = max(self._worst, relative), min(self._cosine, cosine)
        if self._dtype == "float32" and not relative <= _RELATIVE:
            raise FormatError(
                f"{where}: expected logits within {_RELATIVE:g} of the executor's, got a relative "
                f"difference of {relative:.3g}"
            )
        if self._dtype != "float32" and not cosine >= _COSINE[self._dtype]:
            raise FormatError(
                f"{where}: expected logits with a cosine of {_COSINE[self._dtype]:g} or more to "
                f"the executor's, got {cosine:.6f}"
            )

    def told(self) -> str:
        """Returns what was compared."""
        if self._dtype == "float32":
            how = f"relative difference {self._worst:.2g}"
        else:
            how = f"cosine {self._cosine:.6f}"
        return f"cfg_scale {self._scale:g}: {self._agreed} of {self._steps} tokens equal, {how}"
