"""`quantize_awq`: makes weights of 4 bits of a float model, without torch.

Layer after layer, the texts of the calibration run through the original block; from the inputs of
its linear layers follow scales and bounds (`awq_search`), and the block is written as AutoAWQ's
"gemm" layout has it (`awq_pack`). What is done is kept beside the output folder until all of it is
(`awq_work`), so that a run that was stopped goes on at the layer where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt import _core
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.llm_config import LlmConfig, read_llm_config
from ttsrt_rt.convert.llm_front_end import MAX_FILE_BYTES, TOKENIZER_FILES
from ttsrt_rt.convert.llm_generation import GENERATION
from ttsrt_rt.convert.llm_names import CONFIG, TENSORS
from ttsrt_rt.convert.llm_older import with_todays_names
from ttsrt_rt.convert.llm_quantization import read_quantization
from ttsrt_rt.convert.llm_source import open_llm_weights
from ttsrt_rt.convert.llm_tensors import EMBEDDING, linears_of, plan_llm, unused_in
from ttsrt_rt.convert.llm_unpack import LANES
from ttsrt_rt.convert.mapped_tensor import read_as
from ttsrt_rt.convert.safetensors_write import write_safetensors
from ttsrt_rt.convert.tensor_plan import check_sources
from ttsrt_rt.convert.tensor_shapes import axes_of, shapes_of
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.awq_calibration import MAX_LENGTH, Ids, calibration_ids
from ttsrt_rt.llm.awq_layer import Floats, Layer, LayerRunner, Taps, sites_of
from ttsrt_rt.llm.awq_pack import pack_layer, packed_config
from ttsrt_rt.llm.awq_search import clip, fold, search
from ttsrt_rt.llm.awq_work import SiteLoss, Work
from ttsrt_rt.options import Device, path_of
from ttsrt_rt.progress import Progress, ProgressCallback, reporting
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.writing import replacing, write_text

__all__ = ["AwqOptions", "SiteLoss", "quantize_awq"]

GROUPS = (32, 64, 128)
REPORT = "awq_report.json"
FORMAT = "ttsrt.awq"
MAX_SAMPLES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class AwqOptions:
    """How a model is quantized.

    Attributes:
        group_size: inputs that share a scale: 32, 64 or 128.
        samples, length: at most so many blocks of so many ids are calibrated on; at most 4096 ids,
            and no more than the model has positions.
        loss_samples: on so many of these blocks losses are measured.
        apply_clip: whether weights are clipped where that makes the error smaller.
    """

    group_size: int = 128
    samples: int = 128
    length: int = 512
    loss_samples: int = 8
    apply_clip: bool = True


def quantize_awq(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    calibration: str | os.PathLike[str] | Sequence[Sequence[int]],
    *,
    options: AwqOptions | None = None,
    device: Device = "cpu",
    num_threads: int = 0,
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
        device: what computes the layers: "cpu" or "reference".
        num_threads: as of `Executor`; the result does not depend on it.
        overwrite: whether an earlier result is replaced; nothing else ever is.
        progress: as of `ttsrt_rt.convert`.

    Returns:
        What was found, which is also in awq_report.json of the folder.

    Raises:
        ConfigError: an option is wrong, a layer can't be packed with this group size, the source is
            quantized or another model, the output folder is in use, is there without `overwrite`,
            is something else than an earlier result, or is not apart from the source; or
            OUTPUT_DIR.work is something else than work of this function.
        FormatError: the source is damaged.
        CapacityError: the disk is full.
        NotFoundError: a file is not there.
    """
    chosen = AwqOptions() if options is None else options
    _check(chosen)
    folder, target = path_of(source, "source"), path_of(output_dir, "output_dir")
    _check_apart(folder, target)
    with ExitStack() as files:
        model = _Model.open(files, folder)
        _check_sizes(model, chosen.group_size)
        writer = _core.FolderWriter(
            os.fsencode(target),
            noun="quantized model",
            format=FORMAT,
            description=REPORT,
            others=[CONFIG, TENSORS, *TOKENIZER_FILES, GENERATION],
            overwrite=overwrite,
        )
        files.callback(writer.close)
        report = files.enter_context(reporting(progress, "quantize"))
        ids = calibration_ids(
            calibration,
            model.folder,
            samples=chosen.samples,
            length=chosen.length,
            vocab=model.vocab,
            positions=model.config.decoder.max_positions,
        )
        stack = model.config.decoder
        runner = LayerRunner(stack, ids.shape[1], device=device, num_threads=num_threads)
        done = Path(writer.target)
        work = Work(
            done.with_name(done.name + ".work"),
            _signature(model, ids, chosen),
            stack.layers,
            (*ids.shape, stack.dim),
        )
        work.start(lambda block: model.embedded(ids[block]))
        losses = _run(model, ids, chosen, work, runner, report)
        _write(model, chosen, work, losses, Path(writer.folder))
        writer.publish()
        work.remove()
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
        """Opens a folder and checks names and shapes of its tensors.

        Raises:
            ConfigError: it is quantized, or of another model.
            FormatError: it is damaged.
        """
        config = read_llm_config(folder)
        if read_quantization(folder, config.fields) is not None:
            raise ConfigError(f"{folder}: expected float weights, got a quantized model")
        tensors = with_todays_names(open_llm_weights(files, folder), config, str(folder))
        vocab, _ = axes_of(shapes_of(tensors), EMBEDDING, 2)
        check_sources(plan_llm(config, vocab), tensors, unused_in(config))
        return _Model(folder, config, tensors, vocab)

    def embedded(self, ids: Ids) -> Floats:
        """The rows of ids [ids], float32 [ids, dim]."""
        rows: Floats = read_as(self.tensors[EMBEDDING], "float32")[ids]
        return rows

    def layer(self, number: int, runner: LayerRunner) -> Layer:
        """Reads a block, whose weights are then float32."""
        begin = f"model.layers.{number}."
        weights = {
            name[len(begin) :]: read_as(tensor, "float32")
            for name, tensor in self.tensors.items()
            if name.startswith(begin) and not unused_in(self.config)(name)
        }
        return Layer(runner, weights)

    def linears(self) -> list[str]:
        """Names of a block's linear layers."""
        begin = "model.layers.0."
        return [name[len(begin) :] for name in linears_of(self.config) if name.startswith(begin)]


def _run(
    model: _Model,
    ids: Ids,
    options: AwqOptions,
    work: Work,
    runner: LayerRunner,
    report: ProgressCallback,
) -> list[SiteLoss]:
    stack = model.config.decoder
    sites, linears = sites_of(stack), model.linears()
    watched = _spread(len(ids), options.loss_samples)
    total = stack.layers * (len(sites) + 1)
    for number in range(work.num_layers, stack.layers):
        layer = model.layer(number, runner)
        sums: dict[str, Any] = {}
        taps = Taps()
        with work.next_rows() as after:
            for block, before in enumerate(work.rows()):
                of_block = taps if block in watched else Taps()
                after.add(layer.run(before, of_block))
                for name, rows in of_block.values.items():
                    sums[name] = sums.get(name, 0.0) + _sum_of(rows[-1])
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
        work.finish_layer(pack_layer(layer.weights, linears, options.group_size))
        report((number + 1) * (len(sites) + 1), total, f"layer {number}")
    return work.losses


def _write(
    model: _Model, options: AwqOptions, work: Work, losses: list[SiteLoss], folder: Path
) -> None:
    """Writes all files into a folder."""
    tensors: dict[str, LazyTensor] = {}
    for name, tensor in model.tensors.items():
        if not name.startswith("model.layers.") and not unused_in(model.config)(name):
            tensors[name] = tensor
    for number in range(model.config.decoder.layers):
        for inner, tensor in work.layer(number).items():
            name = f"model.layers.{number}.{inner}"
            tensors[name] = tensor
    write_safetensors(folder / TENSORS, tensors)
    config = packed_config(model.config.fields.values, options.group_size)
    write_text(folder / CONFIG, json.dumps(config, indent=1))
    found = {
        "format": FORMAT,
        "options": asdict(options),
        "losses": [asdict(each) for each in losses],
    }
    write_text(folder / REPORT, json.dumps(found, indent=1))
    for name in (*TOKENIZER_FILES, GENERATION):
        if (model.folder / name).is_file():
            data = read_regular(model.folder / name, MAX_FILE_BYTES)
            with replacing(folder / name) as file:
                file.write(data)


def _check(options: AwqOptions) -> None:
    if options.group_size not in GROUPS:
        raise ConfigError(f"group_size: expected 32, 64 or 128, got {options.group_size}")
    for name in ("samples", "length", "loss_samples"):
        value = getattr(options, name)
        most = MAX_LENGTH if name == "length" else MAX_SAMPLES
        if type(value) is not int or not 1 <= value <= most:
            raise ConfigError(f"{name}: expected an integer from 1 to {most}, got {value!r}")


def _check_apart(source: Path, target: Path) -> None:
    """Refuses an output folder that is the source, or that one of the two lies in the other."""
    original, made = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    for one, other in ((original, made), (made, original)):
        if one == other or one in other.parents:
            raise ConfigError(
                f"output_dir: expected a folder apart from the source {original}, got {made}"
            )


def _check_sizes(model: _Model, group: int) -> None:
    """Checks that all linear layers can be packed, which the first of them shows."""
    for name, (outputs, inputs) in linears_of(model.config).items():
        if inputs % group:
            fitting = [str(each) for each in GROUPS if inputs % each == 0]
            hint = f"; a group_size of {' or '.join(fitting)} fits it" if fitting else ""
            raise ConfigError(
                f"{name}.weight: expected a multiple of the group_size {group} as number of "
                f"inputs, got {inputs}{hint}"
            )
        if outputs % LANES:
            raise ConfigError(
                f"{name}.weight: expected a multiple of {LANES} as number of outputs, got {outputs}"
            )


def _sum_of(rows: Floats) -> Any:
    """Sums of magnitudes of each column, float64."""
    return np.abs(rows).sum(axis=0, dtype=np.float64)


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
