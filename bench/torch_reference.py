"""A plain, cached PyTorch implementation of Magpie that runs from our checkpoint folder.

It is what our speed is compared with (the same work, written the way a careful PyTorch user would
write it: static caches, keys and values computed once, no padding), and a second opinion for parity
tests: a `trace` callback sees every step. One request per call, its two branches as two rows. Needs
torch, from the extra `torch`.

Decided: random draws come from a torch generator per call, so sampled codes do not equal those of
the executor; greedy codes do. `recompute` of a prior redoes every position under the newest
weights, as NeMo does without its cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from bench.prior_rule import PriorState
from bench.torch_model import CrossAttention, StackCache, TorchMagpie
from bench.torch_request import (
    Codes,
    Plan,
    ReferenceRequest,
    StepTrace,
    Timings,
    make_plan,
)
from bench.torch_sampling import (
    EndMarks,
    draw,
    find_end,
    mask_logits,
    mix,
    pick_autoregressive,
    pick_masked,
)
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.errors import ConfigError

Tensor: TypeAlias = torch.Tensor
Trace = Callable[[StepTrace], None]

__all__ = ["ReferenceRequest", "StepTrace", "Timings", "TorchReference"]


@dataclass
class _Run:
    """The state of one running request."""

    cross: CrossAttention
    cache: StackCache
    local_cache: StackCache | None
    state: PriorState | None
    inputs: list[
        Tensor
    ]  # every decoder input so far, [rows, n, dim] each; only `recompute` reads old ones


@dataclass(frozen=True)
class _Step:
    """The result of a step: picked and argmax codes [S, C], and the frame of the end, if any."""

    codes: Codes
    best: Codes
    ended: int | None


class TorchReference:
    """Magpie in PyTorch.

    Attributes:
        model, defaults: the two blocks of config.json.
        last_timings: of the last `generate`.
    """

    def __init__(
        self, checkpoint_dir: str | Path, dtype: str = "float32", device: str = "cpu"
    ) -> None:
        """Loads the checkpoint whole; dtype "float32", "bfloat16" or "float16".

        Raises:
            FormatError: the folder is not a Magpie checkpoint of ours.
            ConfigError: unknown dtype.
        """
        if dtype not in ("float32", "bfloat16", "float16"):
            raise ConfigError(f"dtype: expected float32, bfloat16 or float16, got {dtype!r}")
        self.device = torch.device(device)
        checkpoint = open_checkpoint(checkpoint_dir)
        self.model = checkpoint.model
        self.defaults = checkpoint.defaults
        kind: torch.dtype = getattr(torch, dtype)
        weights = {}
        for name, tensor in checkpoint.weights.items():
            value = _to_torch(tensor.read(), tensor.dtype)
            weights[name] = value.to(self.device, kind if value.is_floating_point() else None)
        self.net = TorchMagpie(self.model, weights)
        self.last_timings = Timings()

    @torch.inference_mode()
    def encode_text(self, text_ids: npt.ArrayLike) -> Tensor:
        """Text ids to the encoder's output [text_len, dim]."""
        return self.net.encode_text(self._ids(text_ids))

    @torch.inference_mode()
    def context_rows(self, **context: Any) -> Tensor:
        """The context of a request as rows [n, dim], after the context encoder where there is one.

        Args:
            **context: the context fields of ReferenceRequest.

        Raises:
            ConfigError: none or several are given, or the model does not know that kind.
        """
        return self._context(ReferenceRequest(**context))

    @torch.inference_mode()
    def generate(self, *, trace: Trace | None = None, **request: Any) -> Codes:
        """Codes of one request, int32 [frames, codebooks].

        Args:
            trace: called after each step.
            **request: the fields of ReferenceRequest.

        Raises:
            ConfigError: the request does not fit the model.
        """
        started = time.perf_counter()
        asked = ReferenceRequest(**request)
        plan = make_plan(asked, self.defaults, self.model.frame_stacking, self.device)
        if asked.encoder_output is not None:
            text = self._rows(asked.encoder_output)
        elif asked.text_ids is not None:
            text = self.net.encode_text(self._ids(asked.text_ids))
        else:
            raise ConfigError("text: expected text_ids or encoder_output")
        run = self._begin(plan, text, self._context(asked))
        frames: list[Codes] = []
        self.last_timings = Timings()
        for step in range(plan.steps):
            made = self._step(plan, run, step, trace)
            now = time.perf_counter()
            if step == 0:
                self.last_timings.first_step = now - started
            else:
                self.last_timings.steps.append(now - started)
            started = now
            frames.append(made.codes[: made.ended])
            if made.ended is not None or (run.state is not None and run.state.is_over):
                break
        return np.concatenate(frames) if frames else np.zeros((0, self.model.codebooks), np.int32)

    def _context(self, request: ReferenceRequest) -> Tensor:
        codes, voice = request.context_codes, request.voice
        given = (codes, voice, request.context_embeddings, request.context_text_ids)
        if sum(value is not None for value in given) != 1:
            raise ConfigError(
                "context: expected one of context_codes, voice, context_embeddings, "
                "context_text_ids"
            )
        if request.context_embeddings is not None:
            return self._rows(request.context_embeddings)
        if voice is not None:
            if self.model.context != "voices":
                raise ConfigError("voice: this model has no stored voices")
            index = self.model.speakers[voice] if isinstance(voice, str) else voice
            length = int(self.net.weights["voice_lengths"][index])
            return self.net.weights["voices"][index, :length]
        if request.context_text_ids is not None:
            if self.model.context_text == "none":
                raise ConfigError("context_text_ids: this model takes no text as context")
            ids = self._ids(request.context_text_ids)
            return self.net.encode_context(self.net.embed_context_text(ids))
        frames = torch.as_tensor(np.asarray(codes, np.int64), device=self.device)
        return self.net.encode_context(self.net.embed_context_codes(frames))

    def _begin(self, plan: Plan, text: Tensor, context: Tensor) -> _Run:
        """Memories, caches and the first input: context rows (zeros in the other branch), then the
        BOS stack.
        """
        net, model = self.net, self.model
        rows = 1 if plan.scale == 1.0 else 2
        shape = (model.frame_stacking, model.codebooks)
        start = net.embed_codes(torch.full(shape, model.tokens.audio_bos, device=self.device))
        in_memory = model.context == "memory"
        prefix = context[:0] if in_memory else context
        branches = [torch.cat([prefix, start])]
        if rows == 2:
            branches.append(torch.cat([torch.zeros_like(prefix), start]))
        capacity = prefix.shape[0] + max(1, plan.steps)
        if capacity > model.decoder.max_positions:
            raise ConfigError(
                f"max_frames: expected at most {model.decoder.max_positions} positions, "
                f"got {capacity}"
            )
        layers = frozenset(plan.prior.apply_layers if plan.prior else ())
        memories = net.project_memory(text, context if in_memory else None)
        return _Run(
            cross=CrossAttention(memories, layers),
            cache=net.decoder.cache(rows, capacity),
            local_cache=net.local.cache(rows, model.tables + 1) if net.local else None,
            state=PriorState(plan.prior, text.shape[0]) if plan.prior else None,
            inputs=[torch.stack(branches)],
        )

    def _step(self, plan: Plan, run: _Run, step: int, trace: Trace | None) -> _Step:
        """One decoder step, in the original's order: forward, guidance, prior, masks, picks, end of
        speech.
        """
        net, model, state = self.net, self.model, run.state
        layer_outputs: list[Tensor] | None = None if trace is None else []
        raw: list[Tensor] | None = None if trace is None else []
        prior_row = None if state is None else state.weights
        hidden = self._forward(plan, run, layer_outputs)
        branch_logits = net.head_logits(hidden)
        logits = mix(branch_logits, plan.scale)
        if state is not None:
            state.update(step, self._scores(plan, run.cross).cpu().numpy())
        marks = EndMarks(
            forbid=state is not None and state.forbid_end,
            force=state is not None and state.force_end,
            below_minimum=step * model.frame_stacking < plan.min_frames,
        )
        masked = mask_logits(logits, model.tokens, marks)
        stacked = (model.frame_stacking, model.codebooks)
        codes = self._pick(plan, run, hidden, masked, marks, raw).view(stacked)
        best = masked.argmax(dim=-1).view(stacked)
        run.inputs.append(net.embed_codes(codes)[None].expand(hidden.shape[0], -1, -1))
        ended = None
        if plan.eos_method != "never":
            ended = find_end(codes, best, model.tokens.audio_eos, plan.eos_method)
        made = _Step(_to_codes(codes), _to_codes(best), ended)
        if trace is not None:
            trace(
                StepTrace(
                    step=step,
                    hidden=hidden,
                    branch_logits=branch_logits,
                    logits=logits,
                    scores=self._scores(plan, run.cross),
                    prior_row=prior_row,
                    focus=None if state is None else state.focus,
                    marks=marks,
                    end_count=0 if state is None else state.end_count,
                    local_logits=raw or [],
                    codes=made.codes,
                    best=made.best,
                    layer_outputs=layer_outputs or [],
                )
            )
        return made

    def _forward(self, plan: Plan, run: _Run, layer_outputs: list[Tensor] | None) -> Tensor:
        """The decoder's output at the newest position, [rows, dim]."""
        weights = None if run.state is None else run.state.weights
        run.cross.weights = None if weights is None else torch.from_numpy(weights).to(self.device)
        x = run.inputs[-1]
        if plan.prior is not None and plan.prior.recompute:
            run.cache.reset()
            x = torch.cat(run.inputs, dim=1)
        return self.net.decoder(x, run.cache, run.cross, layer_outputs)[:, -1]

    def _scores(self, plan: Plan, cross: CrossAttention) -> Tensor:
        """Mean over the estimate layers, float32 [text_len]; over every text layer where there is
        no prior.
        """
        layers = plan.prior.estimate_layers if plan.prior else self.model.decoder.text_layers
        return torch.stack([cross.probabilities[layer] for layer in layers]).mean(dim=0)

    def _pick(
        self,
        plan: Plan,
        run: _Run,
        hidden: Tensor,
        masked: Tensor,
        marks: EndMarks,
        raw: list[Tensor] | None,
    ) -> Tensor:
        """int64 [C*S]: drawn from the decoder's own heads, or by the local transformer."""
        if not plan.use_local:
            return draw(masked, plan.sampling)
        local = self.model.local_transformer
        if local is None or run.local_cache is None:
            raise ConfigError("use_local_transformer: this model has none")
        if local.kind == "maskgit":
            return pick_masked(self.net, hidden, plan.scale, marks, plan.sampling, plan.passes, raw)
        return pick_autoregressive(
            self.net, hidden, plan.scale, marks, plan.sampling, run.local_cache, raw
        )

    def _ids(self, ids: npt.ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(ids, np.int64), device=self.device)

    def _rows(self, values: npt.ArrayLike) -> Tensor:
        rows = torch.as_tensor(np.asarray(values, np.float32))
        return rows.to(self.device, self.net.audio.dtype)


def _to_codes(codes: Tensor) -> Codes:
    """int64 on the device to int32 on the host."""
    return np.asarray(codes.to(torch.int32).cpu().numpy())


def _to_torch(values: npt.NDArray[Any], dtype: str) -> Tensor:
    """A NumPy array of the reader as a tensor; bfloat16 arrives as its bits in uint16."""
    tensor = torch.from_numpy(np.array(values))
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
