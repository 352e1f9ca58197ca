"""Golden arrays: what an original MagpieTTS computed, as requests to repeat and stages to compare with.

A case is `CASE.json` (its knobs, by run) beside `CASE.RUN.npz`. Rows of an array are the requests' conditional branches,
then their unconditional ones; texts are padded, and cut back here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.request import AttentionPrior, Request

__all__ = ["Golden", "Stage"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Stage:
    """What the original had at one stage of one step of a request: `values` is [rows, columns], as in a trace."""

    name: str
    step: int
    values: Array


class Golden:
    """One run of a golden case.

    Args:
        path: `CASE.RUN.npz`.
        case: `CASE.json`; None looks beside `path`.
        run_name: The run in it; None takes it from the name of `path`.

    Raises:
        ConfigError: A file or the run is missing.
        FormatError: A file isn't what its name says, or an array is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        case: str | os.PathLike[str] | None = None,
        run_name: str | None = None,
    ) -> None:
        self.path = Path(path)
        stem, _, last = self.path.stem.rpartition(".")
        self._arrays = _read_arrays(self.path)
        spec = _read_spec(Path(case) if case is not None else self.path.with_name(f"{stem}.json"))
        runs = spec.get("runs", {})
        name = run_name if run_name is not None else last
        if name not in runs:
            raise ConfigError(f"{self.path}: run: expected one of {', '.join(runs)}, got {name!r}")
        self._run: dict[str, Any] = runs[name]
        self._is_2503 = str(spec.get("gen")) == "2503"
        self._top_k = spec.get("topk")

    @property
    def num_requests(self) -> int:
        """How many requests ran together."""
        return len(self._array("text_lens"))

    def request(self, index: int, default_prior: dict[str, Any] | None, frame_stacking: int) -> Request:
        """The request that repeats row `index`, greedily.

        Args:
            index: Which of the requests.
            default_prior: The checkpoint's prior: the run's knobs override it.
            frame_stacking: Codec frames per decoder step.
        """
        return Request(
            text_ids=self._array("text")[index, : self._text_len(index)],
            **self._context(index),
            cfg_scale=1.0 if self._run.get("cfg") is None else float(self._run["cfg"]),
            temperature=0.0,
            top_k=self._top_k,
            max_frames=int(self._run["steps"]) * frame_stacking,
            prior=self._prior(default_prior),
            use_local_transformer=bool(self._run.get("lt")),
        )

    def codes(self, index: int) -> NDArray[np.int64]:
        """int64 [frames, codebooks]."""
        length = int(self._array("codes_lens")[index])
        codes: NDArray[np.int64] = self._array("codes")[index, :, :length].T
        return codes

    def focus(self, index: int) -> NDArray[np.int64] | None:
        """int64 [steps], the text position in focus after each step; None without a prior."""
        return self._arrays["attended"][:, index] if "attended" in self._arrays else None

    def stages(self, index: int) -> Iterator[Stage]:
        """Every stage of request `index` that the original recorded, encoders first, then step by step."""
        text_len = self._text_len(index)
        rows = self._branches(index)
        yield Stage("encoder_out", 0, self._array("encoder_out")[index, :text_len])
        for layer, values in enumerate(self._arrays.get("enc_layer_out", ())):
            yield Stage(f"text_encoder.layers.{layer}", 0, values[index, :text_len])
        if "context_embedding" in self._arrays:
            yield Stage("context_embedding", 0, self._arrays["context_embedding"][index])
        for layer, values in enumerate(self._arrays.get("dec_layer_out", ())):
            yield Stage(f"decoder.layers.{layer}", 0, values[rows])
        for step in range(len(self._array("dec_hidden"))):
            yield from self._step_stages(index, step, rows, text_len)

    def _step_stages(self, index: int, step: int, rows: list[int], text_len: int) -> Iterator[Stage]:
        arrays = self._arrays
        if "prior" in arrays and not np.isnan(arrays["prior"][step, index, 0]):
            yield Stage("prior", step, arrays["prior"][step, index : index + 1, :text_len])
        yield Stage("dec_hidden", step, arrays["dec_hidden"][step, rows])
        branches = [arrays[name][step, index] for name in ("logits_cond", "logits_uncond") if name in arrays]
        yield Stage("logits", step, np.stack(branches[: len(rows)]))
        yield Stage("logits_guided", step, arrays["logits"][step, index : index + 1])
        if "align_scores" in arrays:
            yield Stage("align_scores", step, arrays["align_scores"][step, index : index + 1, :text_len])
        if "lt_logits" in arrays:
            picked = arrays["lt_logits"][step][:, rows]  # [C*S, branches, V]
            yield Stage("lt_logits", step, picked.swapaxes(0, 1).reshape(len(rows), -1))

    def _branches(self, index: int) -> list[int]:
        count = self.num_requests
        return [index, count + index] if self._array("dec_hidden").shape[1] == 2 * count else [index]

    def _text_len(self, index: int) -> int:
        return int(self._array("text_lens")[index])

    def _context(self, index: int) -> dict[str, Any]:
        if "speaker_indices" in self._arrays:
            return {"voice": int(self._arrays["speaker_indices"][index])}
        codes = self._array("context_audio_codes")[index]
        if "context_audio_codes_lens" in self._arrays:
            codes = codes[:, : int(self._arrays["context_audio_codes_lens"][index])]
        return {"context_codes": codes.T}

    def _prior(self, default: dict[str, Any] | None) -> AttentionPrior | None:
        knobs: dict[str, Any] | None = self._run.get("prior")
        if not knobs or not knobs.get("apply_attention_prior", True):
            return None
        names = {
            "prior_epsilon": "epsilon",
            "lookahead_window_size": "lookahead",
            "estimate_alignment_from_layers": "estimate_layers",
            "apply_prior_to_layers": "apply_layers",
            "start_prior_after_n_audio_steps": "start_step",
        }
        fields = {ours: knobs[theirs] for theirs, ours in names.items() if theirs in knobs}
        if knobs.get("fork"):
            fields |= {"lookahead": knobs["lookahead"], "left": knobs["left"], "right": knobs["right"]}
            return AttentionPrior(**{**_WINDOW, **fields, "epsilon": knobs["floor"]})
        if "lookahead" in fields and not self._is_2503:
            fields["right"] = fields["lookahead"]
        return AttentionPrior(**{**(default or {}), **fields, "recompute": not self._run.get("kv", True)})

    def _array(self, name: str) -> Array:
        if name not in self._arrays:
            raise FormatError(f"{self.path}: expected an array {name!r}, got {', '.join(self._arrays)}")
        return self._arrays[name]


# The fork's rule, as far as a case doesn't say it.
_WINDOW: dict[str, Any] = {
    "mode": "window",
    "start_step": 0,
    "skip_after": 8,
    "suppress_after": 0,
    "short_text": 0,
    "end_margin": 0,
    "end_after": 20,
}


def _read_arrays(path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zip, header and length errors are of many kinds
        raise FormatError(f"{path}: expected .npz arrays: {error}") from error


def _read_spec(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; it has the knobs of the runs")
    try:
        spec = json.loads(path.read_text("utf-8"))["spec"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: expected JSON with a \"spec\": {error!r}") from error
    if not isinstance(spec, dict):
        raise FormatError(f"{path}: spec: expected an object, got {type(spec).__name__}")
    return spec


