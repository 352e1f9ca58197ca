"""Voices of T3 from arrays and files: added, stored with an engine, thousands at a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.cli import main
from ttsrt_rt.memory import CACHE_DTYPES, plan_memory
from ttsrt_rt.options import CacheDType
from ttsrt_rt.synth import write_random_conds, write_random_t3
from ttsrt_rt.voice_file import VoiceFile, write_voice

IDS = [255, 5, 6, 7, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted model with its built-in voice, and its engine."""
    folder = tmp_path_factory.mktemp("t3")
    write_random_t3(folder / "t3_cfg.safetensors", "tiny", seed=2)
    write_random_conds(folder / "conds.pt", seed=3)
    rt.convert(folder / "t3_cfg.safetensors", folder / "checkpoint", progress=False)
    rt.build(folder / "checkpoint", folder / "engine", max_batch_size=64, max_seq_len=96)
    return folder


def voice_of(seed: int, variant: str = "english") -> VoiceFile:
    content = np.random.default_rng(seed)
    return VoiceFile(
        variants=(variant,),
        speaker_emb=content.standard_normal(256).astype(np.float32),
        cond_prompt_speech_tokens=content.integers(0, 6561, 40),
        emotion=0.7,
    )


def test_the_built_in_voice_goes_with_its_engines(folder: Path) -> None:
    with rt.Executor(folder / "engine") as executor:
        assert executor.voices() == ["default"]
        stored = executor.voice_embeddings("default")
        executor.add_voice("again", file=folder / "checkpoint" / "voices" / "default.safetensors")
        assert stored.shape == (34, 64)
        assert stored.tobytes() == executor.voice_embeddings("again").tobytes()
        assert len(executor.generate(text_ids=IDS, voice="default", max_frames=3).codes) == 3


def test_a_voice_of_a_file_is_that_of_its_arrays(folder: Path, tmp_path: Path) -> None:
    voice = voice_of(1)
    write_voice(tmp_path / "me.safetensors", voice)
    with rt.Executor(folder / "engine") as executor:
        executor.add_voice("file", file=tmp_path / "me.safetensors")
        executor.add_voice(
            "arrays",
            speaker_emb=voice.speaker_emb[None],
            cond_prompt_speech_tokens=voice.cond_prompt_speech_tokens[None],
            emotion=0.7,
        )
        executor.add_voice("calm", file=tmp_path / "me.safetensors", emotion=0.0)
        rows = {name: executor.voice_embeddings(name) for name in ("file", "arrays", "calm")}
        executor.add_voice("rows", rows["file"])
        assert executor.voice_embeddings("rows").tobytes() == rows["file"].tobytes()
    assert rows["file"].tobytes() == rows["arrays"].tobytes()
    assert (rows["calm"][-1] == 0.0).all() and (rows["calm"][:-1] == rows["file"][:-1]).all()


def test_voices_that_do_not_fit_are_refused(
    folder: Path, tmp_path: Path, engine_of: object
) -> None:
    write_voice(tmp_path / "turbo.safetensors", voice_of(1, "turbo"))
    (tmp_path / "text.safetensors").write_text("no voice")
    with rt.Executor(folder / "engine") as executor:
        with pytest.raises(rt.ConfigError, match="expected a voice for english, got one for turbo"):
            executor.add_voice("x", file=tmp_path / "turbo.safetensors")
        with pytest.raises(rt.FormatError, match=r"text\.safetensors"):
            executor.add_voice("x", file=tmp_path / "text.safetensors")
        with pytest.raises(FileNotFoundError):
            executor.add_voice("x", file=tmp_path / "none.safetensors")
        with pytest.raises(rt.ConfigError, match="exactly one"):
            executor.add_voice("x", np.zeros((2, 64), np.float32), file=tmp_path / "x")
        with pytest.raises(rt.ConfigError, match="emotion only with"):
            executor.add_voice("x", np.zeros((2, 64), np.float32), emotion=0.5)
        with pytest.raises(rt.ConfigError, match="embedding: expected an engine of s3gen, got t3"):
            executor.add_voice("x", embedding=np.ones(256, np.float32))
        with pytest.raises(rt.ConfigError, match="expected prompt_token only with embedding"):
            executor.add_voice("x", speaker_emb=np.ones(256, np.float32), prompt_token=[1])
        assert executor.voices() == ["default"]


@pytest.mark.parametrize("bad", [6561, 6562, 8193, -1])
def test_prompt_tokens_are_sound_in_every_form(folder: Path, bad: int) -> None:
    speaker = np.ones(256, np.float32)
    told = rf"cond_prompt_speech_tokens: expected ids in 0\.\.6560, got {bad}"
    with rt.Executor(folder / "engine") as executor:
        with pytest.raises(rt.ConfigError, match=told):
            executor.add_voice("x", speaker_emb=speaker, cond_prompt_speech_tokens=[1, bad])
        executor.add_voice("x", speaker_emb=speaker, cond_prompt_speech_tokens=[0, 6560])
    with pytest.raises(rt.ConfigError, match=told):
        VoiceFile(("english",), speaker, np.array([1, bad]))


def test_a_voice_may_have_no_prompt_tokens(folder: Path, tmp_path: Path) -> None:
    speaker = np.ones(256, np.float32)
    write_voice(tmp_path / "file.safetensors", VoiceFile(("english",), speaker))
    with rt.Executor(folder / "engine") as executor:
        executor.add_voice("file", file=tmp_path / "file.safetensors")
        for name, tokens in (("none", None), ("list", []), ("row", np.zeros((1, 0), np.int32))):
            executor.add_voice(name, speaker_emb=speaker, cond_prompt_speech_tokens=tokens)
        rows = [executor.voice_embeddings(name) for name in ("file", "none", "list", "row")]
        assert rows[0].shape == (2, 64)  # the speaker and the emotion
        assert all(each.tobytes() == rows[0].tobytes() for each in rows)
        with pytest.raises(
            rt.ConfigError, match=r"tokens: expected \[n\], not empty, got \[2, 0\]"
        ):
            executor.add_voice(
                "x", speaker_emb=speaker, cond_prompt_speech_tokens=np.zeros((2, 0), np.int32)
            )


def test_an_emotion_replaces_the_last_row_of_context_embeddings(folder: Path) -> None:
    asked = {"text_ids": IDS, "max_frames": 4, "seed": 1}
    with rt.Executor(folder / "engine") as executor:
        executor.add_voice(
            "angry", file=folder / "checkpoint/voices/default.safetensors", emotion=9
        )
        rows = executor.voice_embeddings("default")
        angry = executor.voice_embeddings("angry")
        assert (rows[:-1] == angry[:-1]).all() and (rows[-1] != angry[-1]).any()
        lost = np.concatenate([rows[:-1], np.full_like(rows[-1:], 3.0)])
        expected = executor.generate(context_embeddings=angry, **asked)
        changed = executor.generate(context_embeddings=lost, emotion=9.0, **asked)
        assert changed.codes.tolist() == expected.codes.tolist()
        kept = executor.generate(context_embeddings=lost, **asked)
        assert kept.codes.tolist() != expected.codes.tolist()


def test_a_thousand_voices(folder: Path) -> None:
    """64 of them speak at once, each as it does alone."""
    with rt.Executor(folder / "engine", max_queue_size=64) as executor:
        for seed in range(1000):
            voice = voice_of(seed)
            executor.add_voice(
                f"voice{seed}",
                speaker_emb=voice.speaker_emb,
                cond_prompt_speech_tokens=voice.cond_prompt_speech_tokens[:2],
            )
        stats = executor.stats()
        assert stats.num_voices == 1001
        assert 34 * 64 * 4 <= stats.voice_bytes / 1001 <= 34 * 64 * 4 + 1024
        asked = [rt.Request(text_ids=IDS, voice=f"voice{seed}", max_frames=4) for seed in range(64)]
        together = [result.codes.tolist() for result in executor.generate(asked)]
        alone = [executor.generate(request).codes.tolist() for request in asked[::9]]
        assert together[::9] == alone
        assert len({str(codes) for codes in together}) > 32
        for seed in range(1000):
            executor.remove_voice(f"voice{seed}")
        assert executor.voices() == ["default"]


@pytest.mark.parametrize("kv_cache_dtype", CACHE_DTYPES)
def test_memory_of_a_voice(
    folder: Path, capsys: pytest.CaptureFixture[str], kv_cache_dtype: CacheDType
) -> None:
    """The plan says what an added voice and its first request take."""
    (plan,) = plan_memory(folder / "engine", batch_sizes=[4], kv_cache_dtypes=[kv_cache_dtype])
    voice = voice_of(1)
    with rt.Executor(
        folder / "engine", max_batch_size=4, kv_cache_dtype=kv_cache_dtype
    ) as executor:
        before = executor.stats().voice_bytes
        executor.add_voice(
            "me",
            speaker_emb=voice.speaker_emb,
            cond_prompt_speech_tokens=voice.cond_prompt_speech_tokens,
        )
        assert plan.voice <= executor.stats().voice_bytes - before <= plan.voice + 512
        assert executor.voice_embeddings("me").shape == (plan.voice_rows, 64)
        executor.generate(text_ids=IDS, voice="me", cfg_scale=1.0, max_frames=2)
        blocks = executor.stats().kv_cache_stats
    assert plan.voice_kv_cache * blocks.max_num_blocks == plan.kv_cache * blocks.used_num_blocks
    command = ["inspect", str(folder / "engine"), "--memory", "--kv_cache_dtype", kv_cache_dtype]
    assert main(command) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith("A voice of 34 rows takes 8.5 KiB besides. ") and kv_cache_dtype in told


def test_heads_stay_wide_unless_asked(folder: Path, tmp_path: Path) -> None:
    for options, layout in (({}, "panel16"), ({"wide_heads": False}, "panel16_w8a8")):
        engine = tmp_path / f"engine-{layout}"
        rt.build(folder / "checkpoint", engine, dtype="bfloat16", quantization="w8a8", **options)
        described = json.loads((engine / "engine.json").read_text())
        assert described["components"]["decoder"]["tensors"]["head"]["layout"] == layout
        assert described.get("wide_heads", False) is (layout == "panel16")


def test_run_speaks_with_voice_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_voice(tmp_path / "me.safetensors", voice_of(4))
    np.save(tmp_path / "ids.npy", np.array(IDS, np.int32))
    command = ["run", str(folder / "engine"), "--text_ids", str(tmp_path / "ids.npy")]
    command += ["--max_frames", "4", "--seed", "1"]
    me = ["--voice_file", str(tmp_path / "me.safetensors")]
    outputs = []
    for index, flags in enumerate(([], ["--voice", "me"], ["--voice", "default"])):
        outputs.append(tmp_path / f"codes{index}.npy")
        assert main([*command, *me, *flags, "--output", str(outputs[-1])]) == 0
    codes = [np.load(output).tolist() for output in outputs]
    assert codes[0] == codes[1] != codes[2]
    write_voice(tmp_path / "you.safetensors", voice_of(5))
    you = ["--voice_file", str(tmp_path / "you.safetensors")]
    assert main([*command, *me, *you, "--output", str(tmp_path / "two.npy")]) == 2
    told = "--voice_file: expected --voice NAME with several of them (me, you), got no --voice"
    assert told in capsys.readouterr().err
    flags = ["--voice", "you", "--output", str(tmp_path / "two.npy")]
    assert main([*command, *me, *you, *flags]) == 0
    assert main([*command, *me, *me, "--voice", "me", "--output", str(tmp_path / "x.npy")]) == 2
    told = "me.safetensors: expected a file of another name, as there is a voice 'me' already"
    assert told in capsys.readouterr().err
    assert main([*command, *me, "--output", str(tmp_path / "me.safetensors")]) == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize("weight", [1.0, 1.5])
def test_run_takes_a_whole_prompt(folder: Path, tmp_path: Path, weight: float) -> None:
    """The command needs no text beside it, as the Python call needs none."""
    content = np.random.default_rng(4)
    rows = {
        name: content.standard_normal((9, 64)).astype(np.float32)
        for name in ("prompt_embeddings", "unconditional_embeddings")[: 1 if weight == 1 else 2]
    }
    flags = ["--cfg_scale", str(weight), "--max_frames", "4", "--seed", "3"]
    for name, array in rows.items():
        np.save(tmp_path / f"{name}.npy", array)
        flags += [f"--{name}", str(tmp_path / f"{name}.npy")]
    output = tmp_path / "codes.npy"
    assert main(["run", str(folder / "engine"), *flags, "--output", str(output)]) == 0
    with rt.Executor(folder / "engine") as executor:
        expected = executor.generate(cfg_scale=weight, max_frames=4, seed=3, **rows).codes
    assert len(expected) > 0
    np.testing.assert_array_equal(np.load(output), expected)


def test_run_names_the_prompt_where_a_text_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(folder / "engine"), "--output", "-"]) == 2
    assert "or part of --prompt_embeddings" in capsys.readouterr().err
