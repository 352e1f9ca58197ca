"""Distances between a reference and an engine on the same ids, and in free text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError

__all__ = ["Forced", "Forcing", "nll_of", "prefix_share", "windows_of"]

Logits = npt.NDArray[np.float32]

ROWS = 256  # positions that are compared at a time


@dataclass(frozen=True)
class Forced:
    """Teacher-forced distances over all positions of all texts.

    Attributes:
        positions: how many there are.
        top1: the part of them where both find the same id most likely.
        kl_mean, kl_p99: KL(reference, engine) in nats: the mean, and the 99th percentile.
        logits: the largest difference of logits over the largest magnitude of the reference's.
    """

    positions: int
    top1: float
    kl_mean: float
    kl_p99: float
    logits: float


class Forcing:
    """Collects distances, some positions at a time."""

    def __init__(self) -> None:
        """Begins with none."""
        self._kl: list[npt.NDArray[np.float64]] = []
        self._equal = 0
        self._difference = self._magnitude = 0.0

    def add(self, reference: Logits, engine: Logits) -> None:
        """Takes logits of the same positions.

        Args:
            reference: float32 [positions, ids].
            engine: the same; it may have more or fewer ids that no tokenizer has.

        Raises:
            ConfigError: the numbers of positions differ.
        """
        ids = min(reference.shape[1], engine.shape[1])
        if len(reference) != len(engine):
            raise ConfigError(
                f"quality: expected {len(reference)} positions, as the reference has, got "
                f"{len(engine)}"
            )
        for at in range(0, len(reference), ROWS):
            rows = slice(at, at + ROWS)
            self._add(
                np.asarray(reference[rows, :ids], np.float64),
                np.asarray(engine[rows, :ids], np.float64),
            )

    def _add(self, of: npt.NDArray[np.float64], ours: npt.NDArray[np.float64]) -> None:
        self._equal += int((of.argmax(axis=1) == ours.argmax(axis=1)).sum())
        self._difference = max(self._difference, float(np.abs(of - ours).max()))
        self._magnitude = max(self._magnitude, float(np.abs(of).max()))
        left, right = _log_softmax(of), _log_softmax(ours)
        self._kl.append((np.exp(left) * (left - right)).sum(axis=1))

    def result(self) -> Forced:
        """Returns the distances of all that was added.

        Raises:
            ConfigError: nothing was.
        """
        if not self._kl:
            raise ConfigError("quality: expected at least one text of two ids, got none")
        kl = np.maximum(np.concatenate(self._kl), 0.0)
        return Forced(
            positions=len(kl),
            top1=self._equal / len(kl),
            kl_mean=float(kl.mean()),
            kl_p99=float(np.percentile(kl, 99)),
            logits=self._difference / max(self._magnitude, 1e-30),
        )


def nll_of(logits: Logits, ids: Sequence[int]) -> npt.NDArray[np.float64]:
    """Returns the negative logarithms of the probabilities of ids[1:].

    Args:
        logits: float32 [ids - 1 or more, vocab]: row t scores ids[t + 1].
        ids: at least two.
    """
    wanted = np.asarray(ids[1:])
    rows = _log_softmax(np.asarray(logits[: len(wanted)], np.float64))
    found: npt.NDArray[np.float64] = -rows[np.arange(len(wanted)), wanted]
    return found


def prefix_share(ids: Sequence[int], reference: Sequence[int]) -> float:
    """Returns the part of a reference's ids that comes before the first difference."""
    if not reference:
        return 1.0 if not ids else 0.0
    pairs = zip(ids, reference, strict=False)
    equal = next((at for at, (own, other) in enumerate(pairs) if own != other), None)
    return (min(len(ids), len(reference)) if equal is None else equal) / len(reference)


def windows_of(
    ids: Sequence[int], max_len: int, stride: int, bos: int | None
) -> list[tuple[list[int], int]]:
    """Returns the windows of a long text, each with the number of its last ids that are scored.

    An id is scored once, if its window has one before it. Windows overlap by `max_len - stride`
    ids, which are context. With a bos, each window begins with it, and it is context too.

    Raises:
        ConfigError: the numbers make no sense.
    """
    lead = [] if bos is None else [bos]
    room = max_len - len(lead)
    if room < 2 or not 1 <= stride <= room:
        raise ConfigError(
            f"stride: expected 1..{max(room, 1)} with windows of {max_len} ids, got {stride}"
        )
    found: list[tuple[list[int], int]] = []
    done = 0  # ids before it are scored, or context of the first window
    for begin in range(0, len(ids), stride):
        end = min(begin + room, len(ids))
        window = [*lead, *ids[begin:end]]
        count = min(end - done, len(window) - 1)  # the first id of a window has no context
        if count > 0:
            found.append((window, count))
        done = end
        if end == len(ids):
            break
    return found


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    largest = logits.max(axis=1, keepdims=True)
    rest = logits - largest
    found: npt.NDArray[np.float64] = rest - np.log(np.exp(rest).sum(axis=1, keepdims=True))
    return found
