"""The alignment stream analyzer as the original has it (chatterbox-tts 0.1.3 to 0.1.7), written
plainly: it keeps the whole matrix of scores. And the made-up scores of its recorded decisions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

KINDS = ("random", "monotone", "linger", "wander")


class Analyzer:
    """One request's analyzer. `step` says what happens to the end of speech: "." nothing, "n" it is
    forbidden, "F" it is forced.
    """

    def __init__(self, text_len: int) -> None:
        self.text_len = text_len
        self.scores = np.zeros((0, text_len), np.float32)
        self.position = 0
        self.completed_at: int | None = None

    def step(self, row: Floats, tokens: list[int]) -> str:
        """Takes the scores [text_len] of the next step and the tokens drawn before it."""
        seen = np.where(np.arange(self.text_len) <= len(self.scores), row, np.float32(0))
        self.scores = np.vstack([self.scores, seen])
        current = int(seen.argmax())
        if -4 < current - self.position < 7:
            self.position = current
        if self.completed_at is None and self.position >= self.text_len - 3:
            self.completed_at = len(self.scores)
        twice = len(tokens) >= 2 and tokens[-1] == tokens[-2]
        if twice or self._is_overdue():
            return "F"
        return "n" if current < self.text_len - 3 and self.text_len > 5 else "."

    def _is_overdue(self) -> bool:
        late = self.scores[len(self.scores) if self.completed_at is None else self.completed_at :]
        tail = late[:, -3:].sum(axis=0).max()
        repeated = late[:, :-5].max(axis=1).sum() if self.text_len > 5 else 0.0
        return bool(tail >= 5 or repeated > 5)


class Rows:
    """Made-up scores, multiples of 2^-16, and tokens: from a linear congruential generator of 32
    bits. A row has noise in every column and a peak. "random": anywhere; the other kinds walk to
    the end of the text and then stay there, linger in its last columns, or wander back.
    """

    def __init__(self, kind: str, text_len: int, seed: int, vocab: int) -> None:
        self.kind = kind
        self.text_len = text_len
        self.state = seed
        self.vocab = vocab
        self.at = 0
        self.pace = 1 + self._draw(3)

    def _draw(self, below: int) -> int:
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return (self.state >> 8) % below

    def _peak(self) -> int:
        if self.kind == "random":
            return self._draw(self.text_len)
        last = self.text_len - 1
        at, self.at = self.at, min(self.at + self._draw(self.pace + 1), last)
        if at < last or self.kind == "monotone":
            return at
        if self.kind == "linger":
            return last - self._draw(min(3, self.text_len))
        return self._draw(self.text_len) if self._draw(2) else last

    def next(self) -> Floats:
        """The scores of the next step [text_len]."""
        units = [self._draw(2048) for _ in range(self.text_len)]
        peak = self._peak()
        units[peak] += 8192 + self._draw(32768)
        return np.array(units, np.float32) / np.float32(65536)

    def token(self) -> int:
        """The token that the step draws."""
        return self._draw(self.vocab)
