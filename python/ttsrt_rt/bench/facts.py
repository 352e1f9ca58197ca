"""What a benchmark needs to know of an engine: numbers, and a prior that never ends speech."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.request import AttentionPrior

if TYPE_CHECKING:
    from typing import Literal

    from ttsrt_rt import _core

__all__ = ["EngineFacts"]

_FIXED_CONTEXTS = {"t3": "rows", "nanocodec": "codec"}


@dataclass(frozen=True)
class EngineFacts:
    """An engine's numbers.

    Attributes:
        codebooks: Codes of one frame.
        codebook_vocab: Rows of one codebook's table.
        frame_stacking: Frames of one decoder step.
        text_vocab: Text ids.
        dim: Width of rows.
        frame_rate: Codec frames per second.
        sample_rate: Of the sound that its requests make; None if they end in codes.
        samples_per_frame: Of that sound; 0 if it is not made of codec frames.
        context: The kind of its context: "codes", "voices", "encoder", "memory"; "rows" of a model
            whose voices are rows in front of the text (Chatterbox T3); or "codec" of one that turns
            codes into sound and takes neither text nor context.
        pads_context: Whether context rows are counted in frames, not in stacks.
        num_voices: Stored voices.
        eos_id: The code that ends speech.
        max_batch_size: Requests in flight.
        max_seq_len: Decoder positions.
        max_input_len: Context rows.
        max_text_len: Text tokens.
        endless_prior: The checkpoint's prior, changed so that it never ends a request; "default" if
            nothing has to be changed.
    """

    codebooks: int
    codebook_vocab: int
    frame_stacking: int
    text_vocab: int
    dim: int
    frame_rate: float
    sample_rate: int | None
    samples_per_frame: int
    context: str
    pads_context: bool
    num_voices: int
    eos_id: int
    max_batch_size: int
    max_seq_len: int
    max_input_len: int
    max_text_len: int
    endless_prior: AttentionPrior | Literal["default"]

    @classmethod
    def of(cls, engine: _core.Engine) -> EngineFacts:
        """Reads them from an opened engine."""
        info = engine.info
        model: dict[str, Any] = json.loads(engine.description)["model"]
        context = _FIXED_CONTEXTS.get(info.family, model.get("context"))
        if context is None:
            raise ConfigError(
                f"{engine.path}: expected an engine of magpie, t3 or nanocodec, got one of "
                f"{info.family}"
            )
        prior: AttentionPrior | Literal["default"] = "default"
        if info.default_prior is not None and (info.default_prior.end_after or 0) > 0:
            prior = AttentionPrior(end_after=0)
        return cls(
            codebooks=info.codebooks,
            codebook_vocab=info.codebook_vocab,
            frame_stacking=info.frame_stacking,
            text_vocab=info.text_vocab,
            dim=info.dim,
            frame_rate=info.frame_rate,
            sample_rate=info.sample_rate if info.has_vocoder else None,
            samples_per_frame=info.samples_per_frame,
            context=context,
            pads_context=model.get("context_text", "") != "none",
            num_voices=info.num_voices,
            eos_id=info.eos_id,
            max_batch_size=info.max_batch_size,
            max_seq_len=info.max_seq_len,
            max_input_len=info.max_input_len,
            max_text_len=info.max_encoder_input_len,
            endless_prior=prior,
        )

    @property
    def takes_codes(self) -> bool:
        """Whether codec codes can be a context."""
        return self.context not in ("voices", "rows", "codec")

    def context_rows(self, frames: int) -> int:
        """Decoder positions, or rows of memory, that a context of codec frames takes."""
        return frames if self.pads_context else -(-frames // self.frame_stacking)

    def whole_frames(self, frames: int) -> int:
        """The largest number of frames up to this one that whole steps make."""
        return frames // self.frame_stacking * self.frame_stacking
