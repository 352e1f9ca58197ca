"""Runs `f5-tts` 1.1.22 and `vocos` 0.1.0 on tiny random models and on made-up texts and sounds, and
writes `tests/data/f5/cases.npz` and `front_end.json`.

    python -m tests.parity.originals.f5 --out tests/data/f5

Python 3.11 with `torch==2.13.0` (CPU), `numpy`, and without their dependencies `f5-tts==1.1.22`,
`vocos==0.1.0`, `x-transformers==2.31.0`, `torchdiffeq==0.2.5`, `torchaudio==2.11.0`; with `pydub`,
`rjieba`, `pypinyin`, `librosa`, `einops` and what these import. Libraries that only training uses
are stand-ins. No line of the original is changed.

The weights are `write_random_f5(..., SIZE, SEED)` and `write_random_vocos`; none are stored. Of an
array of the network every fourth row and column is kept, and of sound every 16th sample.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import types
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.f5_peers.stand_ins import install_stand_ins
from tests.parity.f5_cases import (
    BATCH,
    BATCH_FLOW,
    FRAMES,
    MEL_KINDS,
    NETWORKS,
    RATES,
    SAMPLES,
    SEED,
    SOUNDS,
    TEXTS,
    batch_of,
    inputs_of,
    kept,
    sound_of,
    wave_of,
)
from ttsrt_rt.audio import wav_bytes
from ttsrt_rt.convert import open_weights
from ttsrt_rt.synth import write_random_f5, write_random_vocos
from ttsrt_rt.synth.f5_layout import f5_size


def load() -> types.SimpleNamespace:
    """Imports the originals.

    Raises:
        ImportError: one is not installed.
    """
    install_stand_ins()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        import torchaudio
        from f5_tts.infer import utils_infer
        from f5_tts.model import CFM, DiT
        from f5_tts.model.modules import MelSpec
        from f5_tts.model.utils import convert_char_to_pinyin
        from vocos import Vocos
    torch.set_num_threads(1)
    return types.SimpleNamespace(
        torch=torch,
        torchaudio=torchaudio,
        front_end=utils_infer,
        CFM=CFM,
        DiT=DiT,
        MelSpec=MelSpec,
        Vocos=Vocos,
        convert_char_to_pinyin=convert_char_to_pinyin,
    )


def network(originals: Any, case: dict[str, Any], folder: Path) -> Any:
    """Returns the original's CFM with the weights of a case."""
    torch, size = originals.torch, f5_size(case["size"])
    path = write_random_f5(folder / "model_1.safetensors", size, SEED, layout="trained")
    with open_weights(path) as weights:
        state = {name: torch.from_numpy(weights[name].read().copy()) for name in weights}
    state = {name: value for name, value in state.items() if name.startswith("transformer.")}
    transformer = originals.DiT(
        dim=size.dim,
        depth=size.layers,
        heads=size.heads,
        ff_mult=size.ffn_dim / size.dim,
        mel_dim=size.mel_bins,
        text_num_embeds=size.vocab,
        text_dim=size.text_dim,
        conv_layers=size.text_layers,
        qk_norm="rms_norm" if size.qk_norm else None,
        long_skip_connection=size.long_skip,
        **case["flags"],
    )
    method = case.get("method", "euler")
    model = originals.CFM(transformer=transformer, odeint_kwargs={"method": method})
    model.load_state_dict(state, strict=False)
    return model.eval()


def evaluate(originals: Any, case: dict[str, Any], folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Returns the two branches of one evaluation."""
    torch = originals.torch
    model = network(originals, case, folder).transformer
    given = inputs_of(case["size"])
    made = {}
    for name, drops in (("cond", False), ("uncond", True)):
        with torch.no_grad():
            made[name] = model(
                x=torch.from_numpy(given["x"])[None],
                cond=torch.from_numpy(given["cond"])[None],
                text=torch.tensor([given["ids"]]),
                time=torch.tensor(given["time"]),
                drop_audio_cond=drops,
                drop_text=drops,
            )[0].numpy()
    return made


def sample(originals: Any, run: dict[str, Any], folder: Path) -> np.ndarray[Any, Any]:
    """Returns the spectrogram of a whole run, with the noise of the inputs."""
    torch = originals.torch
    case = NETWORKS[run["network"]] | {"method": run.get("method", "euler")}
    model = network(originals, case, folder)
    given = inputs_of(case["size"])
    mask = run.get("edit_mask")
    with given_noise(torch, [given["x"]]):
        made, _ = model.sample(
            cond=torch.from_numpy(given["prompt"])[None],
            text=torch.tensor([given["ids"]]),
            duration=FRAMES,
            lens=torch.tensor([run["lens"]]) if "lens" in run else None,
            steps=run["steps"],
            cfg_strength=run.get("cfg", 2.0),
            sway_sampling_coef=run.get("sway"),
            use_epss=run.get("use_epss", True),
            no_ref_audio=run.get("no_ref_audio", False),
            edit_mask=None if mask is None else torch.tensor([mask]),
        )
    return made[0].numpy()


@contextlib.contextmanager
def given_noise(torch: Any, rows: Sequence[np.ndarray[Any, Any]]) -> Iterator[None]:
    """Lets `torch.randn` give these arrays, one after the other."""
    drawn, draw = iter(rows), torch.randn
    torch.randn = lambda *_shape, **_options: torch.from_numpy(next(drawn).copy())
    try:
        yield
    finally:
        torch.randn = draw


def sample_batch(originals: Any, name: str, folder: Path) -> list[np.ndarray[Any, Any]]:
    """Returns the spectrograms of a batch: of a run of all, or of each alone if they have unequal
    lengths.
    """
    torch, given = originals.torch, batch_of(name)
    model = network(originals, NETWORKS["v1"], folder)
    size, frames = len(given["text"]), given["frames"]
    runs = [slice(0, size)] if len(set(frames)) == 1 else [slice(i, i + 1) for i in range(size)]
    made: list[np.ndarray[Any, Any]] = []
    for run in runs:
        noise = [row[:length] for row, length in zip(given["noise"], frames, strict=True)]
        with given_noise(torch, noise[run]):
            mels, _ = model.sample(
                cond=torch.from_numpy(given["prompts"][run]),
                text=torch.from_numpy(given["text"][run]),
                duration=torch.tensor(given["duration"][run]),
                lens=torch.tensor(given["lens"][run]),
                steps=BATCH_FLOW["steps"],
                cfg_strength=2.0,
                sway_sampling_coef=BATCH_FLOW["sway"],
            )
        made += list(mels.numpy())
    return made


def vocoder(originals: Any, folder: Path) -> Any:
    """Returns the original's Vocos with random weights."""
    torch = originals.torch
    path = write_random_vocos(folder / "vocos", seed=SEED)
    made = originals.Vocos.from_hparams(str(path / "config.yaml"))
    with open_weights(path / "pytorch_model.bin") as weights:
        state = {name: torch.from_numpy(weights[name].read().copy()) for name in weights}
    buffers = made.state_dict()
    state = {
        name: buffers[name] if "window" in name or name.endswith(".fb") else value
        for name, value in state.items()
    }
    made.load_state_dict(state)
    return made.eval()


def arrays(originals: Any, folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Returns what is stored of networks, spectrograms, rates and the vocoder."""
    torch = originals.torch
    made = {}
    for name, case in NETWORKS.items():
        for branch, values in evaluate(originals, case, folder).items():
            made[f"network.{name}.{branch}"] = kept(values)
    for name, run in SAMPLES.items():
        made[f"sample.{name}"] = kept(sample(originals, run, folder))
    for name in BATCH:
        for index, mel in enumerate(sample_batch(originals, name, folder)):
            made[f"batch.{name}.{index}"] = kept(mel)
    for kind in MEL_KINDS:
        spec = originals.MelSpec(mel_spec_type=kind)
        mel = spec(torch.from_numpy(wave_of(24000))[None])[0].numpy().T
        made[f"mel.{kind}"] = kept(mel)
    for rate in RATES:
        change = originals.torchaudio.transforms.Resample(rate, 24000)
        made[f"rate.{rate}"] = change(torch.from_numpy(wave_of(rate))[None])[0].numpy()[::16]
    mel = inputs_of("tiny")["x"]
    with torch.no_grad():
        made["vocos"] = vocoder(originals, folder).decode(torch.from_numpy(mel.T)[None])[0].numpy()
    made["vocos"] = made["vocos"][::16]
    return made


def reference_sound(originals: Any, sound: Any, folder: Path) -> np.ndarray[Any, Any]:
    """Returns the int16 samples [frames, channels] that the original makes of a reference."""
    import soundfile

    path = folder / "reference.wav"
    path.write_bytes(wav_bytes(sound.samples, sound.sample_rate))
    originals.front_end._ref_audio_cache.clear()
    with contextlib.redirect_stdout(io.StringIO()):
        made, _ = originals.front_end.preprocess_ref_audio_text(
            str(path), "text", show_info=lambda *_: None
        )
    samples, _ = soundfile.read(made, dtype="int16", always_2d=True)
    return samples


def front_end(originals: Any, folder: Path) -> dict[str, Any]:
    """Returns what is stored of texts and references."""
    return {
        "tokens": {text: originals.convert_char_to_pinyin([text])[0] for text in TEXTS},
        "chunks": {text: originals.front_end.chunk_text(text, max_chars=24) for text in TEXTS},
        "references": {
            name: len(reference_sound(originals, sound_of(name), folder)) for name in SOUNDS
        },
    }


def main() -> None:
    """Writes the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    originals = load()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        np.savez_compressed(out / "cases.npz", **arrays(originals, Path(folder)))
        told = front_end(originals, Path(folder))
    text = json.dumps(told, ensure_ascii=False, indent=0) + "\n"
    (out / "front_end.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
