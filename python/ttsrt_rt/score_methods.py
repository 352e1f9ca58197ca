"""The method of `Executor` that scores ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ttsrt_rt.errors import InternalError
from ttsrt_rt.request import ArrayInput, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ttsrt_rt.result import Result

__all__ = ["ScoreMethods"]


class RunsRequests(Protocol):
    """What runs a request: an `Executor`."""

    def _generate_one(self, request: Request) -> Result: ...


class ScoreMethods:
    """What an executor knows of scores."""

    def score(self: RunsRequests, ids: ArrayInput) -> NDArray[np.float32]:
        """Returns how unlikely a language model finds each of some ids: the negative logarithm of
        its probability, given all ids in front of it. The first id has none.

        The ids run as a prompt does, beside other requests; 64 of them at most have their scores in
        memory at once. `Request(text_ids=ids, score=True)` is the same as a request.

        Args:
            ids: Integers [2 to `max_seq_len` + 1].

        Returns:
            float32 [ids - 1].

        Raises:
            ConfigError: There are fewer or more ids, one is not of the model, or it is no language
                model.
            CapacityError: The queue is full.
            InternalError: The request failed.
        """
        found = self._generate_one(Request(text_ids=ids, prior=None, score=True)).nll
        if found is None:
            raise InternalError("score: the request was cancelled")
        return found
