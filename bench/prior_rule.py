"""The rule of the attention prior: computes the focus and the next weight row from a step's scores.

Pure NumPy, one request. Two rules exist and both are here: "nemo" (focus by argmax in a window that
starts at the last focus, stuck positions weighed down, text progress forbids and forces the end of
speech) and "window" (the rule of the TensorRT-LLM fork: a window around the focus, a position
counted often is skipped, the request ends after the last position was counted often enough). Every
quirk is a field of PriorConfig; the names are those of docs/format.md.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.magpie_model import PriorConfig

FloatArray = npt.NDArray[np.float32]


class PriorState:
    """Focus, counts and text progress of one request.

    `weights`: float32 [text_len], what cross-attention multiplies in at the next step; None:
    nothing yet. `forbid_end` and `force_end` are the marks that mask the end-of-speech id at this
    step; `is_over` ends the request.
    """

    def __init__(self, config: PriorConfig, text_len: int) -> None:
        self.config = config
        self.text_len = text_len
        self.focus = 1
        self.counts: Counter[int] = Counter()
        self.end_count = 0
        self.finished_steps = 0
        self.weights: FloatArray | None = None
        self.forbid_end = False
        self.force_end = False
        self.is_over = False

    def update(self, step: int, scores: FloatArray) -> None:
        """Takes `scores` float32 [text_len], the alignment of decoder step `step`, from before its
        codes are picked.
        """
        if step < self.config.start_step:
            return
        if self.config.mode != "window":
            self._update_nemo(scores)
        else:
            self._update_window(step, scores)

    def _update_nemo(self, scores: FloatArray) -> None:
        config, text_len = self.config, self.text_len
        start = self.focus + int(self._is_counted(self.focus, config.skip_after))
        window = scores[start : max(0, min(start + config.lookahead, text_len - config.end_margin))]
        found = window.size > 0
        self.focus = start + int(window.argmax()) if found else text_len - 1
        if found or config.count_end:
            self.counts[self.focus] += 1
        self.weights = self._nemo_row()
        if config.track_finish:
            self._track_progress()

    def _nemo_row(self) -> FloatArray:
        config, text_len, focus = self.config, self.text_len, self.focus
        row = np.full(text_len, config.epsilon, np.float32)
        if text_len <= config.short_text:
            row[:] = 1.0
        else:
            row[focus] = 1.0
            for distance in range(1, config.left + 1):
                row[min(max(1, focus - distance), text_len - 1)] = 1.0
            for distance in range(1, config.reach + 1):
                row[min(focus + distance, text_len - 1)] = 1.0
        for position in self.counts:
            if self._is_counted(position, config.suppress_after):
                first = 0 if config.suppress == "upto" else position
                row[first : position + 1] = config.epsilon
        return row

    def _track_progress(self) -> None:
        """The end may not come before the text is near its end, and must come when it has been
        there for long.
        """
        config = self.config
        last = self.text_len - config.end_margin
        unfinished = self.focus < last
        if self.finished_steps or self.focus >= last + 1:
            self.finished_steps += 1
        self.forbid_end = unfinished and self.finished_steps <= config.unfinished_grace
        self.force_end = self._reached(self.finished_steps, config.force_after)

    def _update_window(self, step: int, scores: FloatArray) -> None:
        config = self.config
        last = max(1, self.text_len - config.reach - 1)
        if step == config.start_step:  # the prefill: its scores are not read
            focus = 1
        else:
            window = scores[self.focus : self.focus + config.lookahead]
            focus = self.focus + (int(window.argmax()) if window.size else 0)
        while True:
            focus = min(focus, last)
            self.counts[focus] += 1
            if focus >= last or not self._is_counted(focus, config.skip_after):
                break
            focus += 1
        self.focus = focus
        if focus >= last:
            self.end_count += 1
        self.is_over = self._reached(self.end_count, config.end_after)
        row = np.full(self.text_len, config.epsilon, np.float32)
        row[max(0, focus - config.left) : focus + config.reach + 1] = 1.0
        self.weights = row

    def _is_counted(self, position: int, limit: int) -> bool:
        return self._reached(self.counts[position], limit)

    @staticmethod
    def _reached(count: int, limit: int) -> bool:
        """A limit of 0 is never reached."""
        return 0 < limit <= count
