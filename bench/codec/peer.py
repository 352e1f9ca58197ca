"""Whole utterances beside magpie-tts.cpp, from the ids of a text to the last sample, in turns."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.gpu_steps.ours import Maker, open_executor
from bench.walls.peer import Peer
from bench.walls.tables import Case, Table, Target, spread
from ttsrt_rt.bench.company import usable_cores
from ttsrt_rt.errors import InternalError
from ttsrt_rt.executor import Executor
from ttsrt_rt.request import Request

__all__ = ["compare"]

_TARGETS = {"codec": Target(5.0, False), "whole": Target(8.0, False)}


def _seconds(executor: Executor, request: Request) -> tuple[float, float, float]:
    """Seconds of a request, of its sound, and until its first sample."""
    begin = time.perf_counter()
    result = executor.generate(request)
    spent = time.perf_counter() - begin
    if result.audio is None:
        raise InternalError("peer: the request has no sound")
    rate = executor.engine.info.sample_rate or 1
    return spent, len(result.audio) / rate, result.metrics.first_audio_seconds


def compare(options: argparse.Namespace, codec: Path, speech: Path) -> Table:
    """Measures one guided utterance of `options.frames` frames, with a thread per core.

    Args:
        options: Of the command line.
        codec: Engine of the codec alone, whose frames are given at once.
        speech: Engine of the model with the codec, which makes sound while it decodes.

    Raises:
        InternalError: A request has no sound, or the other program failed.
        ConfigError: The other program or its file is absent.
    """
    peer = Peer(options.peer, options.gguf, text_len=options.text_len, num_threads=usable_cores())
    ours: dict[str, list[float]] = {"codec": [], "whole": [], "first": []}
    theirs: dict[str, list[float]] = {"codec": [], "whole": [], "first": []}
    with open_executor(codec, "cpu", 1) as alone, open_executor(speech, "cpu", 1) as executor:
        maker = Maker("v2607", options.size, executor)
        info = executor.engine.info
        steps = options.frames // info.frame_stacking
        shape = (steps * info.frame_stacking, info.codebooks)
        codes = np.random.default_rng(1).integers(0, alone.engine.info.codebook_vocab, shape)
        for turn in range(options.turns + 1):
            given = Request(codes=codes, chunk_frames=options.chunk_frames)
            codec_spent, codec_sound, _ = _seconds(alone, given)
            text = maker.request(0, steps, is_guided=True, text_len=options.text_len, voice=0)
            spent, sound, first = _seconds(executor, text)
            other = peer.run(options.frames)
            if turn == 0:
                continue
            ours["codec"].append(codec_spent / codec_sound)
            ours["whole"].append(spent / sound)
            ours["first"].append(1e3 * first)
            theirs["codec"].append(other.codec_seconds / other.audio_seconds)
            theirs["whole"].append(other.total_seconds / other.audio_seconds)
            theirs["first"].append(1e3 * other.total_seconds)  # all sound comes at the end
    kinds = {options.dtype, options.quantization} - {"none"}
    cases = [
        _case(f"ttsrt_rt, {' and '.join(sorted(kinds))}", ours, theirs),
        _case("magpie-tts.cpp", theirs, None),
    ]
    title = (
        f"One guided utterance of {options.frames} frames, text of {options.text_len} ids, "
        f"{usable_cores()} threads; {options.turns} turns. Seconds for a second of sound"
    )
    columns = ("", "codec", "whole utterance", "first sample, ms", "codec, of theirs", "whole")
    return Table(key="codec-peer", title=title, columns=columns, cases=cases)


def _case(
    name: str, figures: dict[str, list[float]], theirs: dict[str, list[float]] | None
) -> Case:
    cells = [spread(figures["codec"], 3), spread(figures["whole"], 3), spread(figures["first"], 0)]
    if theirs is None:
        return Case(name, (*cells, "", ""), dict(figures))
    ratios = {each: _ratios(theirs[each], figures[each]) for each in _TARGETS}
    for each, target in _TARGETS.items():
        verdict = target.verdict(statistics.median(ratios[each]), unit="x")
        cells.append(f"{spread(ratios[each], 1)}x {verdict}")
    told = {f"{each}_ratio": found for each, found in ratios.items()}
    return Case(name, tuple(cells), {**figures, **told})


def _ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [their / our for their, our in zip(theirs, ours, strict=True)]
