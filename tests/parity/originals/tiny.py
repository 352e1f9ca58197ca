"""Tiny configurations, seeded weights and the two checkpoint containers."""

from __future__ import annotations

import gzip
import io
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from .original import Sizes, State

DIM = 32
POSITIONS = 64
ABSENT = object()  # marks a field to be left out of a configuration


def stack(layers: int, **fields: Any) -> dict[str, Any]:
    """Returns the configuration of one transformer stack, in the form of model_config.yaml."""
    return {
        "n_layers": layers,
        "d_model": DIM,
        "d_ffn": DIM,
        "sa_n_heads": 2,
        "kernel_size": 1,
        "p_dropout": 0.1,
        "p_dropout_out": 0.0,
        "has_xattn": False,
        "is_causal": True,
        "apply_norm_out": True,
        "max_length_causal_mask": POSITIONS,
        "use_learnable_pos_emb": True,
        **fields,
    }


def decoder(layers: int, **fields: Any) -> dict[str, Any]:
    cross = {"has_xattn": True, "xa_d_memory": DIM, "xa_n_heads": 1, "xa_d_head": 16}
    cross |= {"apply_norm_to_cond": True, "make_prior_window_strict": True}
    return {k: v for k, v in stack(layers, **{**cross, **fields}).items() if v is not ABSENT}


def config(model_type: str, **fields: Any) -> dict[str, Any]:
    """Returns a model block with the fields that every checkpoint has; `fields` override them."""
    return {
        "model_type": model_type,
        "embedding_dim": DIM,
        "hidden_dim": DIM,
        "codecmodel_path": "codec-stub.nemo",
        "text_tokenizers": {"english_phoneme": {}},
        "encoder": stack(1, kernel_size=3),
        "decoder": decoder(3),
        "prior_end_step": 0,
        "prior_scaledown_start_step": 0,
        "prior_scaling_factor": None,
        "alignment_loss_scale": 0.0,
        "alignment_encoder_loss_scale": 0.0,
        "use_text_conditioning_encoder": False,
        "cfg_unconditional_prob": 0.1,
        "context_duration_min": 5.0,
        "context_duration_max": 5.0,
        **fields,
    }


CONTEXT_ENCODER = stack(1, kernel_size=3, is_causal=False)


def _scale(name: str, shape: torch.Size) -> float:
    """Returns the standard deviation for a kind of tensor, such that logits spread over tens."""
    scale = 1.0 / math.sqrt(float(np.prod(shape[1:])))  # of a plain linear map
    if "audio_embeddings" in name:
        return 1.5
    if "position_embeddings" in name:
        return 0.4
    if "text_embedding" in name:
        return 0.7
    if "final_proj" in name or "out_projections" in name:
        return 3.0 * scale
    if "cross_attention.q_net" in name or "cross_attention.kv_net" in name:
        return 1.6 * scale
    if "o_net" in name:
        return 0.6 * scale
    return scale


def random_state(model: Any, seed: int, sizes: Sizes, eos_bias: float = -20.0) -> State:
    """Returns seeded weights in the names and order of the original; a bias delays EOS."""
    generator = torch.Generator().manual_seed(seed)
    vocab = model.num_all_tokens_per_codebook
    state: State = {}
    for name, value in model.state_dict().items():
        if name.endswith("causal_mask") or not value.is_floating_point():
            state[name] = value.clone()
            continue
        noise = torch.randn(value.shape, generator=generator)
        if ".norm_" in name and value.ndim == 1:
            state[name] = 1.0 + 0.1 * noise
        elif name.endswith("bias"):
            bias = 0.3 * noise
            if "in_projection" not in name:
                bias.view(-1, vocab)[:, sizes.codebook_size + 1] += eos_bias
            state[name] = bias
        else:
            state[name] = _scale(name, value.shape) * noise
    return state


def with_voices(state: State, rows: int, lengths: list[int], seed: int) -> State:
    """Replaces the context encoder by stored voices, as the published files do."""
    generator = torch.Generator().manual_seed(seed)
    kept = {name: v for name, v in state.items() if not name.startswith("context_encoder")}
    kept["_baked_embedding_T"] = torch.tensor(rows)
    kept["_baked_embedding_D"] = torch.tensor(DIM)
    kept["baked_context_embedding_len"] = torch.tensor(lengths)
    table = torch.randn((len(lengths), rows * DIM), generator=generator)
    kept["baked_context_embedding.weight"] = 0.7 * table
    return kept


def _archive(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def save_nemo(path: Path, configuration: dict[str, Any], state: State) -> None:
    """Writes a gzipped tar with the two members of a .nemo; equal weights give equal bytes."""
    stamp = {
        "target": "nemo.collections.tts.models.magpietts.MagpieTTSModel",
        "nemo_version": "3.0.0",
    }
    text = yaml.safe_dump({**configuration, **stamp}, sort_keys=False)
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, data in (
            ("./model_config.yaml", text.encode()),
            ("./model_weights.ckpt", _archive(state)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def save_ckpt(path: Path, configuration: dict[str, Any], state: State) -> None:
    """Writes a training checkpoint, and its hparams.yaml in the same folder."""
    entries = {"epoch": 1, "global_step": 10, "pytorch-lightning_version": "2.5.0"}
    path.write_bytes(_archive({**entries, "state_dict": state}))
    hparams = yaml.safe_dump({"cfg": configuration}, sort_keys=False)
    path.with_suffix(".hparams.yaml").write_text(hparams)


def load_nemo(path: Path) -> tuple[dict[str, Any], State]:
    with tarfile.open(path) as tar:
        members = {Path(name).name: tar.extractfile(name) for name in tar.getnames()}
        text, weights = members["model_config.yaml"], members["model_weights.ckpt"]
        assert text is not None and weights is not None
        state = torch.load(io.BytesIO(weights.read()), weights_only=True)
        return yaml.safe_load(text.read()), state


def load_ckpt(path: Path) -> tuple[dict[str, Any], State]:
    text = path.with_suffix(".hparams.yaml").read_text()
    return yaml.safe_load(text)["cfg"], torch.load(path, weights_only=True)["state_dict"]


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(path, allow_pickle=False, **arrays)


def text_batch(lengths: list[int], n_text: int, seed: int) -> dict[str, np.ndarray]:
    """Returns random token ids, each text ending in the text EOS (the last row), padded with 0."""
    draw = np.random.default_rng(seed)
    text = np.zeros((len(lengths), max(lengths)), dtype=np.int64)
    for row, length in enumerate(lengths):
        text[row, : length - 1] = draw.integers(0, n_text - 2, length - 1)
        text[row, length - 1] = n_text - 1
    return {"text": text, "text_lens": np.asarray(lengths, dtype=np.int64)}


def context_codes(items: int, frames: int, sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Returns codec codes of a voice prompt, without special columns."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, sizes.codebook_size, (items, sizes.codebooks, frames))
    return {
        "context_audio_codes": codes.astype(np.int64),
        "context_audio_codes_lens": np.full(items, frames, dtype=np.int64),
    }
