"""Runs the audio codec of `nemo_toolkit` 3.0.0 on random codecs, and writes
`tests/data/nanocodec/codec_cases.npz`, or compares a codec of the true size.

    python -m tests.parity.originals.codec --source FOLDER --out tests/data/magpie
    python -m tests.parity.originals.codec --source FOLDER --size nano

FOLDER holds the original's `nemo/` package: the unpacked wheel. Python 3.11 with `torch==2.13.0`
(CPU), `numpy`, `pyyaml` and `einops`. The model's file and those of its networks are executed
unchanged; base classes, losses and checks of types are stand-ins.

The weights are `write_random_codec(..., SIZE, SEED)`; none are stored. The second command prints
the largest differences of the converted codec, computed in NumPy, from the original: of two sounds
and two lists of codes of unequal length, which the original runs as a batch.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity.nanocodec_cases import CASES, SEED, codes_of, sound_of
from tests.parity.nanocodec_reference import Reference
from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.synth import write_random_codec
from ttsrt_rt.synth.nanocodec_layout import SynthCodec, codec_config, codec_size

from . import stub_imports

REAL = (
    "nemo.collections.common.parts.utils",
    "nemo.collections.tts.models.audio_codec",
    "nemo.collections.tts.modules.audio_codec_modules",
)
Array = np.ndarray[Any, Any]


class _Module(torch.nn.Module):
    """Replaces the base classes of modules and models."""


def _unchecked(*_arguments: object, **_options: object) -> Any:
    """Replaces the decorator that checks types."""
    return lambda function: function


class Codec:
    """The original codec of a size, with the weights of a file."""

    def __init__(self, source: Path, size: str | SynthCodec, path: Path) -> None:
        stub_imports.install(source, REAL)
        for module, name, value in (
            ("nemo.core", "ModelPT", _Module),
            ("nemo.core.classes.module", "NeuralModule", _Module),
            ("nemo.core.classes.common", "typecheck", _unchecked),
        ):
            importlib.import_module(module).__dict__[name] = value
        networks = importlib.import_module(REAL[2])
        kind = importlib.import_module(REAL[1]).AudioCodecModel
        config = codec_config(codec_size(size))
        model = kind.__new__(kind)  # the constructor makes losses, too
        torch.nn.Module.__init__(model)
        model.sample_rate, model.samples_per_frame = (
            config["sample_rate"],
            config["samples_per_frame"],
        )
        model.semantic_codec, model.use_scl_loss = None, False
        for part in ("audio_encoder", "vector_quantizer", "audio_decoder"):
            fields = dict(config[part])
            name = fields.pop("_target_").rsplit(".", 1)[-1]
            setattr(model, part, getattr(networks, name)(**fields))
        with open_weights(path) as weights:
            state = {name: torch.from_numpy(weights[name].read().copy()) for name in weights}
        missing = set(model.state_dict()) ^ set(state)
        if missing:
            raise ValueError(f"names that only one side has: {sorted(missing)[:5]}")
        model.load_state_dict(state)
        self.model = model.eval()

    def decode(self, items: list[Array]) -> list[Array]:
        """codes [frames, groups] of each item to its samples."""
        lengths = [len(item) for item in items]
        tokens = np.zeros((len(items), items[0].shape[1], max(lengths)), np.int64)
        for row, item in zip(tokens, items, strict=True):
            row[:, : len(item)] = item.T
        with torch.no_grad():
            audio, ends = self.model.decode(
                tokens=torch.from_numpy(tokens), tokens_len=torch.tensor(lengths)
            )
        return [each[:end].numpy() for each, end in zip(audio, ends, strict=True)]

    def encode(self, items: list[Array]) -> list[tuple[Array, Array]]:
        """samples of each item to its latents and codes."""
        lengths = [len(item) for item in items]
        audio = np.zeros((len(items), max(lengths)), np.float32)
        for row, item in zip(audio, items, strict=True):
            row[: len(item)] = item
        given = {"audio": torch.from_numpy(audio), "audio_len": torch.tensor(lengths)}
        with torch.no_grad():
            latents, _ = self.model.encode_audio(**given)
            tokens, ends = self.model.encode(**given)
        return [
            (one[:, :end].T.numpy(), two[:, :end].T.numpy())
            for one, two, end in zip(latents, tokens, ends, strict=True)
        ]


def write_cases(source: Path, out: Path) -> None:
    """Writes what the original computes of each case: latents, codes, and sound of the codes."""
    made: dict[str, Array] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            path = write_random_codec(Path(folder) / f"{name}.nemo", case.size, SEED)
            codec = Codec(source, case.size, path)
            ((latents, codes),) = codec.encode([sound_of(case)])
            made[f"{name}.latents"], made[f"{name}.codes"] = latents, codes.astype(np.int32)
            (made[f"{name}.audio"],) = codec.decode([codes])
            (made[f"{name}.decoded"],) = codec.decode([codes_of(case)])
    np.savez_compressed(out / "codec_cases.npz", **made)


def compare(source: Path, size: str, frames: tuple[int, int] = (6, 4)) -> dict[str, Any]:
    """Returns the largest differences of the converted codec from the original."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_random_codec(Path(folder) / "codec.nemo", size, SEED)
        codec = Codec(source, size, path)
        reference = Reference(convert(path, Path(folder) / "ckpt", progress=False))
    model, random = reference.model, np.random.default_rng(SEED)
    most, frame = int(np.prod(model["levels"])), model["samples_per_frame"]
    items = [random.integers(0, most, (count, model["groups"])) for count in frames]
    decoded = [
        float(np.abs(reference.decode(item) - audio).max())
        for item, audio in zip(items, codec.decode(items), strict=True)
    ]
    sounds = [
        random.normal(0, 0.15, count * frame - frame // 3).astype(np.float32) for count in frames
    ]
    latents, codes, margins = [], [], []
    # Beyond the end of the shorter item of a batch are zeros, of an item alone its last row.
    for sound in sounds:
        ((expected, tokens),) = codec.encode([sound])
        got = reference.latents(sound)
        latents.append(float(np.abs(got - expected).max()))
        codes.append(int((reference.quantize(got) != tokens).sum()))
        margins.append(reference.margin(got))
    (audio,) = codec.decode([codec.encode(sounds[:1])[0][1]])
    made = reference.decode(reference.encode(sounds[0]))
    return {
        "size": size,
        "decoded": decoded,
        "latents": latents,
        "different codes": codes,
        "least margin of an index": min(margins),
        "round trip": float(np.abs(made - audio).max()),
        "batched": _batched(codec, sounds),
    }


def _batched(codec: Codec, sounds: list[Array]) -> list[float]:
    """Returns by how much latents of the original's own batch differ from those of each alone."""
    together = codec.encode(sounds)
    alone = [codec.encode([sound])[0] for sound in sounds]
    return [float(np.abs(one[0] - two[0]).max()) for one, two in zip(together, alone, strict=True)]


def main() -> None:
    """Writes the data, or prints differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.out is not None:
        write_cases(given.source, given.out)
    if given.size is not None:
        print(json.dumps(compare(given.source, given.size)))


if __name__ == "__main__":
    main()
