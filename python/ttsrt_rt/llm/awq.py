"""`quantize_awq`: makes weights of 4 bits of a float model, without torch.

Layer after layer, the texts of the calibration run through the original block; from the inputs of
its linear layers follow scales and bounds (`awq_search`), and the block is written as AutoAWQ's
"gemm" layout has it (`awq_pack`). What is done is kept beside the output folder until all of it is,
so that a run that was stopped goes on at the layer where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.llm_config import LlmConfig, read_llm_config
from ttsrt_rt.convert.llm_front_end import TOKENIZER_FILES
from ttsrt_rt.convert.llm_generation import GENERATION
from ttsrt_rt.convert.llm_names import CONFIG, TENSORS
from ttsrt_rt.convert.llm_older import with_todays_names
from ttsrt_rt.convert.llm_quantization import read_quantization
from ttsrt_rt.convert.llm_source import open_llm_weights
from ttsrt_rt.convert.llm_tensors import EMBEDDING, linears_of, plan_llm, unused_in
from ttsrt_rt.convert.mapped_tensor import read_as
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.convert.tensor_plan import check_sources
from ttsrt_rt.convert.tensor_shapes import axes_of, shapes_of
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.awq_calibration import Ids, calibration_ids
from ttsrt_rt.llm.awq_layer import Floats, Layer, Rope, Taps, sites_of
from ttsrt_rt.llm.awq_pack import pack_layer, packed_config
from ttsrt_rt.llm.awq_search import clip, fold, search
from ttsrt_rt.progress import Progress, ProgressCallback, reporting

__all__ = ["AwqOptions", "SiteLoss", "quantize_awq"]

LOGGER = logging.getLogger(__name__)

GROUPS = (32, 64, 128)
REPORT = "awq_report.json"
STATE, HIDDEN = "state.json", "hidden.npy"


@dataclass(frozen=True, kw_only=True)
class AwqOptions:
    """How a model is quantized.

    Attributes:
        group_size: inputs that share a scale: 32, 64 or 128.
        samples, length: at most so many blocks of so many ids are calibrated on.
        loss_samples: on so many of these blocks losses are measured.
        apply_clip: whether weights are clipped where that makes the error smaller.
    """

    group_size: int = 128
    samples: int = 128
    length: int = 512
    loss_samples: int = 8
    apply_clip: bool = True


@dataclass(frozen=True)
class SiteLoss:
    """What a search found for layers that share their inputs.

    Attributes:
        layer: of the model.
        site: "attn_in", "attn_out", "mlp_in", "mlp_out" or "block_in".
        ratio: of the scales, in twentieths; -1 for rounding without scales.
        loss: mean squared error of what the layers are for.
        plain_loss: the same of rounding without scales.
    """

    layer: int
    site: str
    ratio: int
    loss: float
    plain_loss: float


def quantize_awq(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    calibration: str | os.PathLike[str] | Sequence[Sequence[int]],
    *,
    options: AwqOptions | None = None,
    overwrite: bool = False,
    progress: Progress = True,
) -> list[SiteLoss]:
    """Writes a folder of a language model with weights of 4 bits, which `convert` reads.

    A run that was stopped goes on where it was, if nothing of its arguments has changed; until the
    end, its work is in the folder OUTPUT_DIR.work.

    Args:
        source: the folder of a Llama or a Phi with float weights.
        output_dir: the folder to write.
        calibration: what the model is calibrated on: a text file, JSON lines with `text`, the word
            "builtin", or lists of ids.
        options: how.
        overwrite: whether a folder that is there is replaced.
        progress: as of `ttsrt_rt.convert`.

    Returns:
        What was found, which is also in awq_report.json of the folder.

    Raises:
        ConfigError: an option is wrong, the source is quantized or another model, or the output
            folder is there.
        FormatError: the source is damaged.
        NotFoundError: a file is not there.
    """
    chosen = AwqOptions() if options is None else options
    _check(chosen)
    target = Path(output_dir)
    if target.exists() and not overwrite:
        raise ConfigError(f"{target}: expected no such folder, got one; overwrite=True replaces it")
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "quantize"))
        model = _Model.open(files, Path(source))
        ids = calibration_ids(
            calibration,
            model.folder,
            samples=chosen.samples,
            length=chosen.length,
            vocab=model.vocab,
        )
        work = _Work(target.with_name(target.name + ".work"), _signature(model, ids, chosen))
        work.start(lambda: model.embedded(ids))
        losses = _run(model, ids, chosen, work, report)
        _publish(model, chosen, work, losses, target)
    return losses


@dataclass(frozen=True)
class _Model:
    """A float model in a folder."""

    folder: Path
    config: LlmConfig
    tensors: Mapping[str, LazyTensor]
    vocab: int

    @staticmethod
    def open(files: ExitStack, folder: Path) -> _Model:
        config = read_llm_config(folder)
        if read_quantization(folder, config.fields) is not None:
            raise ConfigError(f"{folder}: expected float weights, got a quantized model")
        tensors = with_todays_names(open_llm_weights(files, folder), config, str(folder))
        vocab, _ = axes_of(shapes_of(tensors), EMBEDDING, 2)
        check_sources(plan_llm(config, vocab), tensors, unused_in(config))
        return _Model(folder, config, tensors, vocab)

    def embedded(self, ids: Ids) -> Floats:
        """The rows of ids, [blocks, ids, dim]."""
        rows: Floats = read_as(self.tensors[EMBEDDING], "float32")[ids]
        return rows

    def layer(self, number: int, rope: Rope) -> Layer:
        begin = f"model.layers.{number}."
        weights = {
            name[len(begin) :]: read_as(tensor, "float32")
            for name, tensor in self.tensors.items()
            if name.startswith(begin) and not unused_in(self.config)(name)
        }
        return Layer(self.config.decoder, weights, rope)

    def linears(self) -> list[str]:
        """Names of a block's linear layers."""
        begin = "model.layers.0."
        return [name[len(begin) :] for name in linears_of(self.config) if name.startswith(begin)]


class _Work:
    """What is done so far, in a folder of its own."""

    def __init__(self, folder: Path, signature: str) -> None:
        self.folder = folder
        self._signature = signature
        self.losses: list[SiteLoss] = []
        self.num_layers = 0

    def start(self, first: Any) -> None:
        """Goes on with what is there, or begins with the rows that `first` returns."""
        state = self._state()
        if state is not None and state.get("signature") == self._signature:
            self.num_layers = int(state["layers"])
            self.losses = [SiteLoss(**each) for each in state["losses"]]
            LOGGER.info("%s: %d layers are done already", self.folder, self.num_layers)
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._save(first())

    def hidden(self) -> Floats:
        """The inputs of the next layer, [blocks, ids, dim]."""
        rows: Floats = np.load(self.folder / f"{self.num_layers}.{HIDDEN}", allow_pickle=False)
        return rows

    def layer(self, number: int) -> dict[str, Any]:
        """The tensors of a layer that is done."""
        with np.load(self._path(number), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def finish_layer(self, tensors: Mapping[str, Any], hidden: Floats) -> None:
        """Keeps a layer and what the next one begins with."""
        with self._path(self.num_layers).open("wb") as file:
            np.savez(file, **tensors)
        before = self.folder / f"{self.num_layers}.{HIDDEN}"
        self.num_layers += 1
        self._save(hidden)
        before.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"layer_{number:04}.npz"

    def _save(self, hidden: Floats) -> None:
        np.save(self.folder / f"{self.num_layers}.{HIDDEN}", hidden)
        state = {
            "signature": self._signature,
            "layers": self.num_layers,
            "losses": [asdict(each) for each in self.losses],
        }
        new = self.folder / f"{STATE}.new"
        new.write_text(json.dumps(state), "utf-8")
        new.replace(self.folder / STATE)

    def _state(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / STATE).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _run(
    model: _Model, ids: Ids, options: AwqOptions, work: _Work, report: ProgressCallback
) -> list[SiteLoss]:
    stack = model.config.decoder
    rope, sites, linears = Rope.of(stack, ids.shape[1]), sites_of(stack), model.linears()
    watched = _spread(len(ids), options.loss_samples)
    hidden = work.hidden()
    total = stack.layers * (len(sites) + 1)
    for number in range(work.num_layers, stack.layers):
        layer = model.layer(number, rope)
        sums: dict[str, Any] = {}
        taps = Taps()
        for block in range(len(hidden)):
            of_block = taps if block in watched else Taps()
            hidden[block] = layer.run(hidden[block], of_block)
            for name, rows in of_block.values.items():
                sums[name] = sums.get(name, 0.0) + np.abs(rows[-1]).sum(axis=0, dtype=np.float64)
        scales: dict[str, Floats] = {}
        found = []
        for place, site in enumerate(sites):
            means = (sums[site.tap] / ids.size).astype(np.float32)
            each = search(layer, site, means, taps.values[site.tap], options.group_size)
            found.append((site, each.scales))
            scales[site.tap] = each.scales
            loss = each.plain_loss if each.best < 0 else each.losses[each.best]
            work.losses.append(SiteLoss(number, site.name, each.best, loss, each.plain_loss))
            done = number * (len(sites) + 1) + place + 1
            report(done, total, f"layer {number}, {site.name}")
        for site, of_site in found:
            fold(layer, site, of_site)
        if options.apply_clip:
            clip(layer, sites, taps, scales, options.group_size)
        work.finish_layer(pack_layer(layer.weights, linears, options.group_size), hidden)
        report((number + 1) * (len(sites) + 1), total, f"layer {number}")
    return work.losses


def _publish(
    model: _Model, options: AwqOptions, work: _Work, losses: list[SiteLoss], target: Path
) -> None:
    """Writes the folder beside the target, and renames it."""
    new = work.folder / "folder"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    tensors: dict[str, LazyTensor] = {}
    for name, tensor in model.tensors.items():
        if not name.startswith("model.layers.") and not unused_in(model.config)(name):
            tensors[name] = tensor
    for number in range(model.config.decoder.layers):
        for inner, values in work.layer(number).items():
            name = f"model.layers.{number}.{inner}"
            tensors[name] = tensor_of_array(name, values)
    write_safetensors(new / TENSORS, tensors)
    config = packed_config(model.config.fields.values, options.group_size)
    (new / CONFIG).write_text(json.dumps(config, indent=1), "utf-8")
    found = {"options": asdict(options), "losses": [asdict(each) for each in losses]}
    (new / REPORT).write_text(json.dumps(found, indent=1), "utf-8")
    for name in (*TOKENIZER_FILES, GENERATION):
        if (model.folder / name).is_file():
            shutil.copyfile(model.folder / name, new / name)
    if target.exists():
        shutil.rmtree(target)
    new.rename(target)
    shutil.rmtree(work.folder)


def _check(options: AwqOptions) -> None:
    if options.group_size not in GROUPS:
        raise ConfigError(f"group_size: expected 32, 64 or 128, got {options.group_size}")
    for name in ("samples", "length", "loss_samples"):
        value = getattr(options, name)
        if type(value) is not int or not 1 <= value <= 1 << 16:
            raise ConfigError(f"{name}: expected an integer from 1 to {1 << 16}, got {value!r}")


def _spread(count: int, wanted: int) -> frozenset[int]:
    """So many of the first `count` numbers, evenly spread."""
    wanted = min(count, wanted)
    return frozenset(each * count // wanted for each in range(wanted))


def _signature(model: _Model, ids: Ids, options: AwqOptions) -> str:
    """What a run must have in common with one that goes on with its work."""
    parts = [json.dumps(asdict(options)), json.dumps(model.config.fields.values, sort_keys=True)]
    for path in sorted(model.folder.iterdir()):
        if path.is_file():
            about = path.stat()
            parts.append(f"{path.name} {about.st_size} {about.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(parts).encode("utf-8"))
    digest.update(ids.tobytes())
    return digest.hexdigest()
