"""Runs the original greedily and records the arrays that a parity test compares.

Every array is taken from the arguments and results of the original's own methods. Two functions
of torch are replaced during a run: `multinomial` takes the largest probability, and `topk` also
records the difference of the two largest logits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import torch

Arrays = dict[str, np.ndarray]


@dataclass
class Margins:
    """The smallest gaps of a run, which a rounding error must exceed to change a result."""

    logits: float = float("inf")  # two largest logits of a pick
    eos: float = float("inf")  # EOS against the best other, in the argmax stream
    focus: float = float("inf")
    confidence: float = float("inf")


def _gap(values: torch.Tensor) -> float:
    """Returns the smallest difference of the two largest finite entries along the last axis."""
    best = _topk(values, min(2, values.shape[-1]), dim=-1)[0]
    if best.shape[-1] < 2:
        return float("inf")
    gaps = best[..., 0] - best[..., 1]
    gaps = gaps[torch.isfinite(gaps)]
    return float(gaps.min()) if gaps.numel() else float("inf")


_topk = torch.topk


@contextlib.contextmanager
def greedy(margins: Margins, vocab: int, eos: int, batch: int) -> Iterator[None]:
    """Replaces sampling by the largest entry; rows from `batch` on (unconditional) are ignored."""

    def topk(values: torch.Tensor, k: int, dim: int = -1) -> Any:
        k = int(k)
        if values.shape[-1] == vocab and (k == 1 or k > vocab - 8):
            others = values[:batch].clone()
            others[..., eos] = float("-inf")
            gaps = (values[:batch][..., eos] - others.max(dim=-1)[0]).abs()
            margins.eos = min(margins.eos, float(gaps.min()))
        elif values.shape[-1] == vocab:
            margins.logits = min(margins.logits, _gap(values[:batch]))
        elif 0 < k < values.shape[-1]:  # MaskGit keeps positions by confidence
            order = values[:batch].sort(dim=-1, descending=True)[0]
            margins.confidence = min(
                margins.confidence, float((order[:, k - 1] - order[:, k]).min())
            )
        return _topk(values, k, dim=dim)

    def largest(probs: torch.Tensor, num_samples: int) -> torch.Tensor:
        return probs.argmax(dim=-1, keepdim=True)

    with mock.patch.multiple(torch, topk=topk, multinomial=largest):
        yield


def _first_tensor(prior: Any) -> torch.Tensor | None:
    if isinstance(prior, list):
        return next((t for t in map(_first_tensor, prior) if t is not None), None)
    return prior if isinstance(prior, torch.Tensor) else None


@dataclass
class Recorder:
    """Wraps the methods of one model; `arrays()` after the run gives the golden arrays."""

    model: Any
    batch: int
    guided: bool
    margins: Margins
    steps: dict[str, list[Any]] = field(default_factory=dict)
    once: Arrays = field(default_factory=dict)
    hooks: list[Any] = field(default_factory=list)

    def _add(self, name: str, value: Any) -> None:
        self.steps.setdefault(name, []).append(value)

    def _wrap(self, owner: Any, name: str, after: Callable[..., None]) -> None:
        inner = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = inner(*args, **kwargs)
            after(result, *args, **kwargs)
            return result

        object.__setattr__(owner, name, call)

    def attach(self) -> None:
        model = self.model
        self._wrap(model, "forward", self._after_forward)
        self._wrap(model, "get_cross_attention_scores", self._after_scores)
        self._wrap(model, "get_most_attended_text_timestep", self._after_focus)
        self._wrap(model, "prepare_context_tensors", self._after_context)
        self._tap_layers("encoder", lambda x: x)
        if hasattr(model, "context_encoder") and self.model._modules.get("context_encoder"):
            self._tap_layers("context_encoder", lambda x: x)
        self._tap_layers("decoder", lambda x: x[:, -1])
        heads = getattr(model, "local_transformer_out_projections", [])
        for head in heads:
            self.hooks.append(head.register_forward_hook(self._after_head))
        self._wrap(model, "sample_codes_from_logits", self._after_independent)
        if hasattr(model, "sample_codes_from_local_transformer"):  # 2503: the only stream
            self._wrap(model, "sample_codes_from_local_transformer", self._after_local)

    def _tap_layers(self, stack: str, take: Callable[[torch.Tensor], torch.Tensor]) -> None:
        short = {"encoder": "enc", "decoder": "dec", "context_encoder": "context_enc"}[stack]
        layers = getattr(self.model, stack).layers
        seen: list[torch.Tensor] = []

        def tap(_module: Any, _args: Any, result: Any) -> None:
            if len(seen) < len(layers):
                seen.append(take(result["output"]).clone())
            if len(seen) == len(layers):
                self.once[f"{short}_layer_out"] = torch.stack(seen).numpy()

        for layer in layers:
            self.hooks.append(layer.register_forward_hook(tap))

    def _after_forward(self, result: Any, **kwargs: Any) -> None:
        logits, hidden = result[0][:, -1].clone(), result[2][:, -1].clone()
        self._add("dec_hidden", hidden)
        self._add("dec_len", torch.tensor(float(kwargs["dec_input_embedded"].shape[1])))
        self._add("logits_cond", logits[: self.batch])
        if self.guided:
            self._add("logits_uncond", logits[self.batch :])
        prior = _first_tensor(kwargs["attn_prior"])
        cond = kwargs["cond"][0] if isinstance(kwargs["cond"], list) else kwargs["cond"]
        none = torch.full((cond.shape[0], cond.shape[1]), float("nan"))
        self._add("prior", none if prior is None else prior[:, 0].clone())
        self._add("align_scores", None)

    def _after_scores(self, result: Any, *args: Any, **kwargs: Any) -> None:
        self.steps["align_scores"][-1] = result[0][: self.batch].clone()

    def _after_focus(self, result: Any, **kwargs: Any) -> None:
        self._add("attended", torch.tensor([int(value) for value in result[0]]))
        scores = kwargs["alignment_attention_scores"]
        counts = kwargs["attended_timestep_counter"]
        for item in range(self.batch):
            last = int(kwargs["last_attended_timesteps"][-1][item])
            # The counter already includes this step: undo that to get the window that was searched.
            before = counts[item].get(last, 0) - (int(result[0][item]) == last)
            start = last + (before >= 8)
            end = min(start + kwargs["lookahead_window_size"], int(kwargs["text_lens"][item]) - 3)
            window = scores[item, start:end]
            if window.numel() > 1:
                self.margins.focus = min(self.margins.focus, _gap(window))

    def _after_context(self, result: Any, *args: Any) -> None:
        value = result if isinstance(result, dict) else vars(result)
        for name in ("context_audio_codes", "context_audio_codes_lens"):
            if value[name] is not None:  # with the special columns, which the code of 3.0.0 adds
                self.once[name] = value[name].numpy().copy()
        cond = value["cond"]
        if isinstance(cond, list):
            self.once["encoder_out"] = cond[0].numpy().copy()
            self.once["context_embedding"] = cond[1].numpy().copy()
            self.once["context_mask"] = value["cond_mask"][1].numpy().copy()
        else:
            self.once["encoder_out"] = cond.numpy().copy()
            self.once["context_embedding"] = value["additional_decoder_input"].numpy().copy()
            self.once["context_mask"] = value["additional_decoder_mask"].numpy().copy()

    def _after_head(self, _module: Any, _args: Any, result: torch.Tensor) -> None:
        self._add("lt_logits", result.clone())

    def _after_independent(self, result: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        argmax = kwargs.get("temperature") == 0.01
        self._add("argmax_codes" if argmax else "independent_codes", result.clone())
        if argmax:
            self._mark(kwargs)

    def _after_local(self, result: torch.Tensor, **kwargs: Any) -> None:
        self._mark(kwargs)

    def _mark(self, kwargs: dict[str, Any]) -> None:
        for name, key in (("unfinished", "unfinished_items"), ("finished", "finished_items")):
            marks = torch.zeros(self.batch, dtype=torch.bool)
            marks[[int(item) for item in kwargs.get(key, {})]] = True
            self._add(name, marks)

    def arrays(self, cfg_scale: float | None) -> Arrays:
        """Returns everything recorded, stacked over steps."""
        out: Arrays = dict(self.once)
        steps = len(self.steps["dec_hidden"])
        for name, values in self.steps.items():
            if name == "independent_codes" or any(value is None for value in values):
                continue
            stacked = torch.stack(values).numpy()
            if name == "lt_logits":
                stacked = stacked.reshape(steps, -1, *stacked.shape[1:])
            out[name] = stacked
        if cfg_scale is not None:
            cond, uncond = (torch.stack(self.steps[n]) for n in ("logits_cond", "logits_uncond"))
            out["logits"] = ((1 - cfg_scale) * uncond + cfg_scale * cond).numpy()
        for hook in self.hooks:
            hook.remove()
        return out
