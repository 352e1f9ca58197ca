"""Converts the golden Magpie checkpoints; broken checkpoints fail with an error that names why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.convert.magpie_model import Quantizer
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth.torch_writer import SynthTensor, write_torch_archive

DATA = Path(__file__).parents[2] / "data" / "magpie"
Arrays = dict[str, npt.NDArray[Any]]


def load(name: str) -> Arrays:
    """Reads every tensor of a golden checkpoint except the masks, as writable copies."""
    with open_weights(DATA / name) as weights:
        return {k: np.array(t.read()) for k, t in weights.items() if "causal_mask" not in k}


def load_config(name: str) -> dict[str, Any]:
    if name.endswith(".nemo"):
        with open_weights(DATA / name) as weights:
            return dict(to_plain(weights.config))
    return dict(yaml.safe_load((DATA / name).read_text())["cfg"])


def to_plain(value: Any) -> Any:
    if hasattr(value, "items"):
        return {key: to_plain(item) for key, item in value.items()}
    return [to_plain(item) for item in value] if isinstance(value, list) else value


def write(folder: Path, arrays: Arrays, config: dict[str, Any]) -> Path:
    """Writes a `.ckpt` and its configuration into a folder."""
    tensors = {
        name: SynthTensor(values.dtype.name, values.shape, values.copy)
        for name, values in arrays.items()
    }
    path = folder / "made.ckpt"
    with path.open("w+b") as file:
        write_torch_archive(file, tensors, entries={"epoch": 3})
    (folder / "hparams.yaml").write_text(yaml.safe_dump(config))
    return path


def test_2503_checkpoint(tmp_path: Path) -> None:
    out = convert(DATA / "tiny2503.ckpt", tmp_path / "out", progress=False)
    checkpoint = open_checkpoint(out)
    model, defaults = checkpoint.model, checkpoint.defaults
    assert (model.dim, model.codebooks, model.codebook_vocab, model.frame_stacking) == (
        64,
        4,
        96,
        1,
    )
    assert (model.text_vocab, model.tokens.text_bos, model.tokens.text_eos) == (30, 28, 29)
    assert (model.tokens.audio_bos, model.tokens.audio_eos, model.tokens.mask) == (88, 89, 92)
    assert (model.context, model.tokens.forbidden, model.local_transformer) == ("codes", (), None)
    assert model.text_encoder.causal
    assert defaults.eos_method == "argmax_or_multinomial_zero_cb"
    assert defaults.min_frames == 0
    prior = defaults.prior
    assert prior is not None
    assert (prior.lookahead, prior.right, prior.suppress) == (10, 5, "single")
    assert (prior.count_end, prior.track_finish, prior.unfinished_grace) == (False, True, 10)
    assert json.loads((out / "config.json").read_text())["source"]["file"] == "tiny2503.ckpt"


def test_values_are_those_of_the_source(tmp_path: Path) -> None:
    weights = open_checkpoint(convert(DATA / "tinyhf.nemo", tmp_path / "o", progress=False)).weights
    source = load("tinyhf.nemo")
    for table in range(8):
        np.testing.assert_array_equal(
            weights["audio_embeddings"].read()[table], source[f"audio_embeddings.{table}.weight"]
        )
        np.testing.assert_array_equal(
            weights["local_transformer.heads_bias"].read()[table],
            source[f"local_transformer_out_projections.{table}.bias"],
        )
    np.testing.assert_array_equal(
        weights["decoder.layers.3.cross_kv"].read(),
        source["decoder.layers.3.cross_attention.kv_net.weight"],
    )
    np.testing.assert_array_equal(
        weights["voices"].read().reshape(3, -1), source["baked_context_embedding.weight"]
    )
    assert weights["voice_lengths"].dtype == "int32"
    kept = sum(t.nbytes for name, t in weights.items() if name != "voice_lengths")
    floats = sum(v.nbytes for v in source.values() if v.dtype == np.float32)
    assert kept == floats


def test_hugging_face_archive(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(convert(DATA / "tinyhf.nemo", tmp_path / "o", progress=False))
    model, defaults = checkpoint.model, checkpoint.defaults
    assert (model.codebooks, model.frame_stacking, model.tables) == (4, 2, 8)
    assert (model.context, model.num_voices, model.context_encoder) == ("voices", 3, None)
    assert model.local_transformer is not None
    assert not model.local_transformer.in_projection
    assert model.tokens.forbidden == (88, 90, 91, 92, 93, 94, 95)
    assert defaults.eos_method == "argmax_or_multinomial_any"
    assert (defaults.min_frames, defaults.use_local_transformer) == (4, True)


def test_encoder_causality_can_be_overridden(tmp_path: Path) -> None:
    fork = open_checkpoint(convert(DATA / "tinyfork.ckpt", tmp_path / "a", progress=False))
    assert not fork.model.text_encoder.causal
    made = convert(DATA / "tinyfork.ckpt", tmp_path / "b", encoder_causal=True, progress=False)
    assert open_checkpoint(made).model.text_encoder.causal


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_can_be_cast(tmp_path: Path, dtype: str) -> None:
    weights = open_checkpoint(
        convert(DATA / "tiny2503.ckpt", tmp_path / "o", dtype=dtype, progress=False)
    ).weights
    got = weights["final_proj"].read()
    want = load("tiny2503.ckpt")["final_proj.weight"]
    if dtype == "bfloat16":
        got = (got.astype(np.uint32) << 16).view(np.float32)
    assert weights["final_proj"].dtype == dtype
    np.testing.assert_allclose(got.astype(np.float32), want, rtol=2**-8, atol=1e-7)


def test_old_names_are_mapped_and_bundled_models_are_skipped(tmp_path: Path) -> None:
    arrays = {
        name.replace("encoder.", "t5_encoder.", 1) if name.startswith("encoder.") else name: values
        for name, values in load("tiny2503.ckpt").items()
    }
    for name in ("_codec_model.a", "whisper_model.b", "alignment_encoder.c", "eval_asr_model.d"):
        arrays[name] = np.full(3, np.nan, np.float32)
    arrays["decoder.layers.0.self_attention.causal_mask"] = np.ones((1, 1, 2, 2), np.float32)
    path = write(tmp_path, arrays, load_config("tiny2503.hparams.yaml"))
    open_checkpoint(convert(path, tmp_path / "o", progress=False))


@pytest.mark.parametrize("place", ["top", "cfg", "cfg.value"])
def test_the_model_block_is_found(tmp_path: Path, place: str) -> None:
    config: dict[str, Any] = load_config("tiny2503.hparams.yaml")
    for part in reversed(place.split(".")):
        config = config if part == "top" else {part: config}
    path = write(tmp_path, load("tiny2503.ckpt"), config)
    open_checkpoint(convert(path, tmp_path / "o", progress=False))


def test_special_ids_of_the_oldest_code(tmp_path: Path) -> None:
    config = load_config("tiny2503.hparams.yaml") | {"num_audio_tokens_per_codebook": 96}
    path = write(tmp_path, load("tiny2503.ckpt"), config)
    tokens = open_checkpoint(convert(path, tmp_path / "o", progress=False)).model.tokens
    ids = (tokens.audio_bos, tokens.audio_eos, tokens.context_bos, tokens.context_eos)
    assert ids == (94, 95, 92, 93)


def test_forced_ids_and_codebook_size(tmp_path: Path) -> None:
    forced = {
        "forced_num_all_tokens_per_codebook": 96,
        "forced_audio_bos_id": 94,
        "forced_audio_eos_id": 95,
        "forced_context_audio_bos_id": 92,
        "forced_context_audio_eos_id": 93,
    }
    path = write(tmp_path, load("tiny2503.ckpt"), load_config("tiny2503.hparams.yaml") | forced)
    made = convert(path, tmp_path / "o", codebook_size=80, generation="nemo3", progress=False)
    tokens = open_checkpoint(made).model.tokens
    assert (tokens.audio_bos, tokens.audio_eos, tokens.mask) == (94, 95, 84)
    assert tokens.forbidden == (80, 82, 83, 84, 85, 86, 87)


def test_first_hugging_face_parameter_names(tmp_path: Path) -> None:
    parameters = {
        "prior_epsilon": 0.25,
        "lookahead_window_size": 7,
        "attention_prior_epsilon": 0.5,
        "max_decoder_steps": 100,
    }
    config = load_config("tinyhf.nemo") | {"inference_parameters": parameters}
    path = write(tmp_path, load("tinyhf.nemo"), config)
    defaults = open_checkpoint(convert(path, tmp_path / "o", progress=False)).defaults
    assert defaults.prior is not None
    prior = defaults.prior
    assert (prior.epsilon, prior.lookahead, prior.right, prior.reach) == (0.25, 7, None, 7)
    assert defaults.max_frames == 100


def _set(path: str, value: Any) -> Callable[[Arrays, dict[str, Any]], None]:
    def change(arrays: Arrays, config: dict[str, Any]) -> None:
        *parts, last = path.split(".")
        for part in parts:
            config = config.setdefault(part, {})
        if value is None:
            config.pop(last, None)
        else:
            config[last] = value

    return change


def _drop(name: str) -> Callable[[Arrays, dict[str, Any]], None]:
    return lambda arrays, config: arrays.__delitem__(name)


def _put(name: str, values: npt.NDArray[Any]) -> Callable[[Arrays, dict[str, Any]], None]:
    return lambda arrays, config: arrays.__setitem__(name, values)


ONES = np.ones
BAD = [
    (_set("model_type", "single_encoder_sv_tts"), ConfigError, "single_encoder_sv_tts"),
    (_set("model_type", "decoder_pretrain_synthesizer"), ConfigError, "without text"),
    (_set("model_type", "other"), ConfigError, "decoder_context_tts, decoder_ce, multi_encoder"),
    (_set("model_type", None), ConfigError, "model_type"),
    (_set("use_moe", True), ConfigError, "routed experts"),
    (_set("decoder.use_moe", True), ConfigError, "decoder.use_moe"),
    (_set("use_bpe_char_tokenizer", True), ConfigError, "character-aware"),
    (_set("encoder.n_layers", 0), ConfigError, "encoder.n_layers: expected an integer in 1..64"),
    (_set("encoder.n_layers", -3), ConfigError, "encoder.n_layers"),
    (_set("encoder.n_layers", 10**30), ConfigError, "encoder.n_layers"),
    (_set("encoder.n_layers", 2.0), ConfigError, "encoder.n_layers"),
    (_set("encoder.n_layers", True), ConfigError, "encoder.n_layers"),
    (_set("encoder.n_layers", None), ConfigError, "encoder.n_layers.*got nothing"),
    (_set("encoder.n_layers", 3), FormatError, "encoder.layers.2"),
    (_set("encoder.n_layers", 1), FormatError, "unexpected tensors.*encoder.layers.1"),
    (_set("encoder.d_model", 32), ConfigError, "encoder.d_model: expected 64 as in the tensors"),
    (_set("encoder.sa_n_heads", 5), ConfigError, "divisor of the width 64"),
    (_set("encoder.has_xattn", True), ConfigError, "encoder.has_xattn"),
    (_set("encoder.use_learnable_pos_emb", False), ConfigError, "use_learnable_pos_emb"),
    (_set("decoder.is_causal", False), ConfigError, "decoder.is_causal"),
    (_set("decoder.xa_n_heads", 3), ConfigError, "xa_n_heads"),
    (_set("decoder.xa_d_head", 64), ConfigError, "xa_d_head"),
    (_set("decoder.apply_norm_to_cond", False), FormatError, "norm_xattn_memory"),
    (_set("decoder", []), ConfigError, "decoder: expected a mapping"),
    (_set("decoder", None), ConfigError, "decoder"),
    (_set("frame_stacking_factor", 3), ConfigError, "frame_stacking_factor"),
    (_set("frame_stacking_factor", 0), ConfigError, "frame_stacking_factor"),
    (_set("downsample_factor", 2), ConfigError, "frame_stacking_factor instead"),
    (_set("embedding_dim", 1), ConfigError, "embedding_dim: expected 64"),
    (_set("local_transformer_type", "rnn"), ConfigError, "none, autoregressive, maskgit"),
    (_set("local_transformer_type", "maskgit"), FormatError, "local_transformer.position"),
    (_set("forced_audio_bos_id", 96), ConfigError, "forced_audio_bos_id"),
    (_set("forced_num_all_tokens_per_codebook", 95), ConfigError, "forced_num_all_tokens"),
    (_set("inference_parameters.topk", 0), ConfigError, "inference_parameters.topk"),
    (_set("inference_parameters.cfg_scale", float("nan")), ConfigError, "cfg_scale"),
    (_set("inference_parameters.eos_detection_method", "x"), ConfigError, "eos_detection_method"),
    (_set("inference_parameters.apply_prior_to_layers", [4]), ConfigError, "apply_prior_to"),
    (_set("inference_parameters.max_decoder_steps", 2**40), ConfigError, "max_decoder_steps"),
    (_drop("final_proj.bias"), FormatError, "1 tensors are missing: final_proj.bias"),
    (_drop("text_embedding.weight"), FormatError, "text_embedding.weight"),
    (_drop("audio_embeddings.0.weight"), FormatError, "audio_embeddings.0.weight"),
    (_put("surprise.weight", ONES(2, np.float32)), FormatError, "1 unexpected tensors: surprise"),
    (
        _put("final_proj.bias", ONES(3, np.float32)),
        FormatError,
        r"final_proj.bias: .*\[384\].*\[3\]",
    ),
    (_put("final_proj.bias", ONES(384, np.int64)), FormatError, "floating-point"),
    (_put("final_proj.bias", np.full(384, np.inf, np.float32)), FormatError, "finite"),
    (_put("t5_decoder.norm_out.weight", ONES(64, np.float32)), FormatError, "expected it once"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_sources_are_refused_by_name(
    tmp_path: Path,
    change: Callable[[Arrays, dict[str, Any]], None],
    error: type[Exception],
    message: str,
) -> None:
    arrays, config = load("tiny2503.ckpt"), load_config("tiny2503.hparams.yaml")
    change(arrays, config)
    path = write(tmp_path, arrays, config)
    with pytest.raises(error, match=message):
        convert(path, tmp_path / "out", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hparams.yaml", "made.ckpt"]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("baked_context_embedding_len", np.array([11, 12, 1]), "1..11"),
        ("baked_context_embedding_len", np.array([11, 0, 1]), "1..11"),
        ("_baked_embedding_T", np.array(-1), "_baked_embedding_T"),
        ("_baked_embedding_T", np.array(2**60), "_baked_embedding_T"),
        ("_baked_embedding_T", np.array(12), "baked_context_embedding.weight"),
        ("_baked_embedding_D", np.array(63), "_baked_embedding_D: expected 64"),
        ("_baked_embedding_D", np.array([64, 64]), "one integer"),
    ],
)
def test_bad_stored_voices(
    tmp_path: Path, name: str, values: npt.NDArray[np.int64], message: str
) -> None:
    arrays = load("tinyhf.nemo") | {name: values}
    path = write(tmp_path, arrays, load_config("tinyhf.nemo"))
    with pytest.raises(FormatError, match=message):
        convert(path, tmp_path / "out", progress=False)


def test_existing_folders_are_not_overwritten_unasked(tmp_path: Path) -> None:
    source, out = DATA / "tiny2503.ckpt", tmp_path / "out"
    convert(source, out, progress=False)
    with pytest.raises(ConfigError, match="overwrite"):
        convert(source, out, progress=False)
    convert(source, out, overwrite=True, progress=False)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "notes.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not a checkpoint"):
        convert(source, precious, overwrite=True, progress=False)
    (out / "notes.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not a checkpoint"):
        convert(source, out, overwrite=True, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "precious"]


def test_sources_that_are_not_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file or folder"):
        convert(tmp_path / "absent.ckpt", tmp_path / "out")
    with pytest.raises(ConfigError, match="a known family"):
        convert(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="family"):
        convert(tmp_path, tmp_path / "out", family="other")
    lonely = tmp_path / "lonely.ckpt"
    lonely.write_bytes((DATA / "tiny2503.ckpt").read_bytes())
    with pytest.raises(ConfigError, match=r"hparams\.yaml"):
        convert(lonely, tmp_path / "out")


def test_the_models_own_quantizer_is_kept(tmp_path: Path) -> None:
    quantizer = {"num_groups": 4, "num_levels_per_group": [11, 8]}
    config = load_config("tiny2503.hparams.yaml")
    path = write(tmp_path, load("tiny2503.ckpt"), config | {"vector_quantizer": quantizer})
    made = convert(path, tmp_path / "o", progress=False)
    assert open_checkpoint(made).model.quantizer == Quantizer(4, (11, 8))
    written = json.loads((made / "config.json").read_text("utf-8"))["model"]
    assert written["quantizer"] == {"groups": 4, "levels": [11, 8]}
    (tmp_path / "plain").mkdir()
    plain = convert(
        write(tmp_path / "plain", load("tiny2503.ckpt"), config), tmp_path / "p", progress=False
    )
    assert "quantizer" not in json.loads((plain / "config.json").read_text("utf-8"))["model"]
    quantizer["num_groups"] = 8
    path = write(tmp_path, load("tiny2503.ckpt"), config | {"vector_quantizer": quantizer})
    with pytest.raises(ConfigError, match=r"vector_quantizer\.num_groups: expected 4 as in"):
        convert(path, tmp_path / "q", progress=False)
