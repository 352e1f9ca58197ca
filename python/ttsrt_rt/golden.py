"""Golden arrays: what an original MagpieTTS computed, as requests to repeat and stages to compare.

A case is `CASE.json` beside `CASE.RUN.npz`; of a run that is also in `CASE.more.json`, the latter
counts. The rows of an array are the conditional branches of the requests, then the unconditional
ones. Texts and contexts are padded; this module removes the padding. The requests of a run ran
together until the last one had ended; the caller ignores the rows of a request after its own end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.array_file import NpzFile
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names, quote, show
from ttsrt_rt.request import AttentionPrior, MaskGit, Request
from ttsrt_rt.result import FinishReason

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["Golden", "Stage"]

Array = NDArray[Any]


# Names of options of the prior and of MaskGit in a run, and ours.
_PRIOR_NAMES = {
    "prior_epsilon": "epsilon",
    "attention_prior_epsilon": "epsilon",
    "lookahead_window_size": "lookahead",
    "attention_prior_lookahead_window": "lookahead",
    "estimate_alignment_from_layers": "estimate_layers",
    "apply_prior_to_layers": "apply_layers",
}
_MASKGIT_NAMES = {
    "maskgit_n_steps": "steps",
    "maskgit_noise_scale": "noise_scale",
    "maskgit_fixed_schedule": "schedule",
    "maskgit_dynamic_cfg_scale": "dynamic_cfg_scale",
    "maskgit_sampling_type": "sampling",
}


@dataclass(frozen=True)
class _Knobs:
    """The options of a run, from either format of its file. `prior` {} is the checkpoint's own."""

    steps: int
    cfg_scale: float
    is_cached: bool
    use_local_transformer: bool
    prior: dict[str, Any] | None
    parameters: dict[str, Any]
    maskgit: dict[str, Any]
    top_k: int
    text_offset: int

    @classmethod
    def from_json(cls, case: dict[str, Any], run: dict[str, Any]) -> _Knobs:
        knobs = run.get("knobs")
        if knobs is None:  # the older format
            spec = case["spec"]
            knobs = {"steps": run["steps"], "cfg_scale": run["cfg"], "kv_cache": run["kv"]}
            knobs |= {"local_transformer": run.get("lt", False), "topk": spec["topk"]}
            knobs["prior"] = run["prior"]
            knobs["maskgit"] = {name: run[name] for name in _MASKGIT_NAMES if name in run}
        parameters = dict(knobs.get("parameters", {}))
        for place in (case.get("spec", {}), run, knobs, knobs["prior"] or {}):
            if "track" in place:  # whether progress through the text forbids and forces the end
                parameters["ignore_finished_sentence_tracking"] = not place["track"]
        given = {
            ours: knobs["maskgit"][name]
            for name, ours in _MASKGIT_NAMES.items()
            if knobs.get("maskgit", {}).get(name) is not None
        }
        return cls(
            steps=int(knobs["steps"]),
            cfg_scale=1.0 if knobs["cfg_scale"] is None else float(knobs["cfg_scale"]),
            is_cached=bool(knobs["kv_cache"]),
            use_local_transformer=bool(knobs["local_transformer"]),
            prior=knobs["prior"],
            parameters=parameters,
            maskgit=given,
            top_k=int(knobs["topk"]),
            text_offset=int(case.get("sizes", {}).get("context_text_offset", 0)),
        )

    @property
    def start_step(self) -> int:
        both = {**self.parameters, **(self.prior or {})}
        return int(both.get("start_prior_after_n_audio_steps", 0))

    def attention_prior(self) -> AttentionPrior | None:
        """The checkpoint's prior, changed by the options of the run."""
        if self.prior is None:
            return None
        given = {**self.parameters, **self.prior}
        fields: dict[str, Any] = {"start_step": self.start_step, "recompute": not self.is_cached}
        fields |= {ours: given[name] for name, ours in _PRIOR_NAMES.items() if name in given}
        if "ignore_finished_sentence_tracking" in given:
            fields["track_finish"] = not given["ignore_finished_sentence_tracking"]
        if self.prior.get("fork"):
            fields |= {name: self.prior[name] for name in ("lookahead", "left", "right")}
            fields |= {"mode": "window", "epsilon": self.prior["floor"], "track_finish": False}
            fields["end_after"] = 0  # the original's runs continue at the end of the text
        return AttentionPrior(**fields)


@dataclass(frozen=True)
class Stage:
    """The original's values of one stage of one step of a request, as in a trace.

    Attributes:
        name: The name of the stage in a trace.
        step: Decoder step; 0 for encoders and contexts.
        values: [rows, columns]; None if the original had no values at this step.
        is_first_branch: Whether only the conditional branch was recorded, of one or two.
    """

    name: str
    step: int
    values: Array | None
    is_first_branch: bool = False


class Golden:
    """One run of a golden case.

    Args:
        path: `CASE.RUN.npz`.
        case: `CASE.json`; None looks beside `path`.
        run_name: The run in it; None takes it from the name of `path`.

    Raises:
        ConfigError: A file or the run is missing.
        FormatError: A file is not of the kind that its name says, or an array is missing.
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
        name = run_name if run_name is not None else last
        if case is None and not stem:
            raise ConfigError(
                f"{self.path}: expected a name CASE.RUN.npz, beside CASE.json with the options of "
                "the run; or pass case= and run_name="
            )
        if case is not None:
            files = [Path(case)]
        else:
            files = [self.path.with_name(f"{stem}{ending}") for ending in (".more.json", ".json")]
        self._knobs = _read_knobs(files, name)

    @property
    def num_requests(self) -> int:
        """The number of requests that ran together."""
        return len(self._array("text_lens"))

    def requests(self, executor: Executor) -> list[Request]:
        """Requests that repeat the run greedily; its options override the engine's prior."""
        stacking = executor.engine.info.frame_stacking
        local = json.loads(executor.engine.description)["model"].get("local_transformer") or {}
        maskgit = self._maskgit() if local.get("kind") == "maskgit" else None
        return [self._request(index, maskgit, stacking) for index in range(self.num_requests)]

    def _maskgit(self) -> MaskGit | None:
        if not self._knobs.use_local_transformer:
            return None
        fields = dict(self._knobs.maskgit)
        if "schedule" not in fields:
            fields.setdefault("steps", self._passes())
        # The runs are greedy but rank codes by their probabilities at this temperature.
        temperature = self._knobs.parameters.get("temperature")
        if temperature is not None and temperature > 0:
            fields["confidence_temperature"] = temperature
        return MaskGit(**fields)

    def _passes(self) -> int:
        """How many MaskGit passes a step has: as the run says, else as the arrays have."""
        known = self._knobs.maskgit
        if "schedule" in known:
            return len(known["schedule"])
        if "steps" in known:
            return int(known["steps"])
        if "lt_logits" not in self._arrays:
            return MaskGit().steps
        picks = self._arrays["lt_logits"]
        width = max(
            (
                self._arrays[name].shape[-1]
                for name in ("logits", "logits_cond")
                if name in self._arrays
            ),
            default=picks.shape[1] * picks.shape[-1],
        )
        in_all = picks.shape[0] * picks.shape[1] * picks.shape[-1]
        return int(max(in_all // (len(self._array("dec_hidden")) * width), 1))

    def _request(self, index: int, maskgit: MaskGit | None, frame_stacking: int) -> Request:
        knobs = self._knobs
        return Request(
            text_ids=self._array("text")[index, : self._text_len(index)],
            **self._context(index),
            cfg_scale=knobs.cfg_scale,
            temperature=0.0,
            top_k=knobs.top_k,
            max_frames=knobs.steps * frame_stacking,
            min_frames=knobs.parameters.get("min_generated_frames"),
            prior=knobs.attention_prior(),
            eos_method=knobs.parameters.get("eos_detection_method"),
            use_local_transformer=knobs.use_local_transformer,
            maskgit=maskgit,
        )

    def codes(self, index: int) -> NDArray[np.int64]:
        """int64 [frames, codebooks]."""
        length = int(self._array("codes_lens")[index])
        codes: NDArray[np.int64] = self._array("codes")[index, :, :length].T
        return codes

    def forced_codes(self, index: int, frame_stacking: int) -> NDArray[np.int64]:
        """int64 [frames, codebooks] to force, in whole steps up to the one that ended the request.

        Frames behind the end, which nothing is computed from, are zeros.
        """
        codes = self.codes(index)
        limit = self._knobs.steps * frame_stacking
        frames = min((len(codes) // frame_stacking + 1) * frame_stacking, limit)
        frames = min(frames, len(self._array("dec_hidden")) * frame_stacking)
        return np.pad(codes, ((0, max(frames - len(codes), 0)), (0, 0)))[:frames]

    def finish_reason(self, index: int, frame_stacking: int) -> FinishReason:
        """Whether the request ended by itself or at the last step of the run."""
        is_whole = int(self._array("codes_lens")[index]) >= self._knobs.steps * frame_stacking
        return "length" if is_whole else "stop"

    def focus(self, index: int) -> tuple[int, NDArray[np.int64]] | None:
        """The first step that moves the focus, and int64 [steps] from there; None without a prior.

        The array has no steps if every request ended before the prior began.
        """
        if self._knobs.prior is None:
            return None
        attended = self._arrays.get("attended", np.zeros((0, self.num_requests), np.int64))
        return self._knobs.start_step, attended[:, index]

    def stages(self, index: int, num_steps: int) -> Iterator[Stage]:
        """The recorded values of request `index`: encoders, then `num_steps` steps."""
        arrays, text_len, rows = self._arrays, self._text_len(index), self._branches(index)
        if "encoder_out" in arrays:
            yield Stage("encoder_out", 0, arrays["encoder_out"][index, :text_len])
        for layer, values in enumerate(arrays.get("enc_layer_out", ())):
            yield Stage(f"text_encoder.layers.{layer}", 0, values[index, :text_len])
        length = int(arrays["context_mask"][index].sum()) if "context_mask" in arrays else None
        for layer, values in enumerate(arrays.get("context_enc_layer_out", ())):
            yield Stage(f"context_encoder.layers.{layer}", 0, values[index, :length])
        if "context_embedding" in arrays:
            yield Stage("context_embedding", 0, arrays["context_embedding"][index, :length])
        for layer, values in enumerate(arrays.get("dec_layer_out", ())):
            yield Stage(f"decoder.layers.{layer}", 0, values[rows])
        for step in range(min(num_steps, len(self._array("dec_hidden")))):
            yield from self._step_stages(index, step, rows, text_len)

    def _step_stages(
        self, index: int, step: int, rows: list[int], text_len: int
    ) -> Iterator[Stage]:
        arrays, one = self._arrays, slice(index, index + 1)
        if "prior" in arrays:
            weights = arrays["prior"][step, one, :text_len]
            yield Stage("prior", step, None if np.isnan(weights).all() else weights)
        yield Stage("dec_hidden", step, arrays["dec_hidden"][step, rows])
        names = ("logits_cond", "logits_uncond")[: len(rows)]
        branches = [arrays[name][step, index] for name in names if name in arrays]
        if branches:
            is_partial = len(branches) < len(rows)
            yield Stage("logits", step, np.stack(branches), is_first_branch=is_partial)
        if "logits" in arrays:
            yield Stage("logits_guided", step, arrays["logits"][step, one])
        if "align_scores" in arrays:
            yield Stage("align_scores", step, arrays["align_scores"][step, one, :text_len])
        if "lt_logits" in arrays:
            # [C*S, branches, V]
            picked = self._last_picks(step)[:, rows]
            yield Stage("lt_logits", step, picked.swapaxes(0, 1).reshape(len(rows), -1))

    def _last_picks(self, step: int) -> Array:
        """[C*S, R, V] of a step: of MaskGit, the last pass, which is what a trace has.

        The array is [N, C*S, R, V], [N, passes * C*S, R, V] or [N * passes, C*S, R, V].
        """
        picks: Array = self._arrays["lt_logits"]
        steps = len(self._array("dec_hidden"))
        if len(picks) > steps:
            last: Array = picks[(step + 1) * (len(picks) // steps) - 1]
            return last
        passes = self._passes() if self._knobs.maskgit or picks.shape[1] > 1 else 1
        kept: Array = picks[step, -(picks.shape[1] // passes) :]
        return kept

    def _branches(self, index: int) -> list[int]:
        count = self.num_requests
        return (
            [index, count + index] if self._array("dec_hidden").shape[1] == 2 * count else [index]
        )

    def _text_len(self, index: int) -> int:
        return int(self._array("text_lens")[index])

    def _context(self, index: int) -> dict[str, Any]:
        arrays = self._arrays
        if "speaker_indices" in arrays:
            return {"voice": int(arrays["speaker_indices"][index])}
        if "has_text_context" in arrays and arrays["has_text_context"][index]:
            length = int(self._array("context_text_tokens_lens")[index])
            ids = self._array("context_text_tokens")[index, :length]
            return {"context_text_ids": ids - self._knobs.text_offset}
        codes = self._array("context_audio_codes")[index]
        if "context_audio_codes_lens" in arrays:
            codes = codes[:, : int(arrays["context_audio_codes_lens"][index])]
        return {"context_codes": codes.T}

    def _array(self, name: str) -> Array:
        if name not in self._arrays:
            raise FormatError(
                f"{self.path}: expected an array {name!r}, got {list_names(self._arrays)}"
            )
        return self._arrays[name]


def _read_arrays(path: Path) -> dict[str, Array]:
    if not path.exists():
        raise NotFoundError(f"{path}: no such file; expected golden arrays, CASE.RUN.npz")
    return dict(NpzFile(path))


def _read_knobs(files: list[Path], name: str) -> _Knobs:
    known: list[str] = []
    for path in files:
        if not path.exists():
            continue
        case = read_json(path)
        try:
            runs = case["runs"] if "runs" in case else case["spec"]["runs"]
            known += runs
            if name in runs:
                return _Knobs.from_json(case, runs[name])
        except (ConfigError, FormatError):
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"{path}: expected the JSON of a golden case, with `runs` or `spec.runs`; "
                f"got {f'one without {error}' if isinstance(error, KeyError) else show(case)}"
            ) from error
    if not known:
        raise ConfigError(
            f"{files[-1].absolute()}: expected the options of the runs, got no file of this name; "
            "arrays are named CASE.RUN.npz and stand beside CASE.json; pass its name as case="
        )
    raise ConfigError(
        f"run_name: expected one of {list_names(dict.fromkeys(known))} of {files[-1]}, "
        f"got {quote(name)}"
    )
