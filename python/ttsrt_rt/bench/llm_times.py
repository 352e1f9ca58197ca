"""When the tokens of a request came, and what follows: the figures that a report shows.

| figure | definition |
| --- | --- |
| TTFT | from submit to the first token: queue, prefill and the first step |
| ITL | each time between two events of a request that follow each other |
| TPOT | (last - first token) / (tokens - 1), of requests with at least 2 |
| latency | from submit to the last event |
| decode tokens/s | (tokens - 1) / (last - first token) |
| request tokens/s | tokens / (last token - submit) |
| system tokens/s | tokens of all requests / (last end - first submit) |
| prefill tokens/s | tokens of the prompt / (TTFT - queue - TPOT) |

Tokens of prompts never count as output; an id that ends a text does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["RequestTimes", "system_rate"]


@dataclass(frozen=True)
class RequestTimes:
    """One request; times are seconds of one monotonic clock.

    Attributes:
        engine: the name of what ran it.
        batch: requests that were submitted together.
        iteration: from 0; negative ones are warm-up.
        prompt, kind: the name of its prompt, and the kind of it.
        prompt_tokens: its length.
        submitted: when it was.
        queue_seconds: until it got a place.
        events: when tokens came, and how many.
        first_text: when the first letter came; None without text.
        ended: when the last event came.
        ids, text: what was generated.
        finish_reason: why it ended.
        error: what went wrong; empty if nothing did.
        rounds, drafted, accepted: launches of a request that guesses ids, what it guessed, and what
            of that was right; 0 without speculation.
        tokenizing_seconds: that making ids of the text took, before it was submitted.
    """

    engine: str
    batch: int
    iteration: int
    prompt: str
    kind: str
    prompt_tokens: int
    submitted: float
    queue_seconds: float
    events: tuple[tuple[float, int], ...]
    first_text: float | None
    ended: float
    ids: tuple[int, ...]
    text: str
    finish_reason: str
    error: str = ""
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    tokenizing_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens that were generated."""
        return sum(count for _, count in self.events)

    @property
    def ttft(self) -> float | None:
        """Seconds to the first token."""
        return self.events[0][0] - self.submitted if self.events else None

    @property
    def ttft_text(self) -> float | None:
        """Seconds to the first letter, from before the text became ids."""
        if self.first_text is None:
            return None
        return self.first_text - self.submitted + self.tokenizing_seconds

    @property
    def itl(self) -> list[float]:
        """Seconds between events that follow each other."""
        times = [time for time, _ in self.events]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    @property
    def tpot(self) -> float | None:
        """Seconds of a token after the first."""
        if self.tokens < 2 or len(self.events) < 2:
            return None
        return (self.events[-1][0] - self.events[0][0]) / (self.tokens - 1)

    @property
    def latency(self) -> float:
        """Seconds to the last event."""
        return self.ended - self.submitted

    @property
    def decode_rate(self) -> float | None:
        """Tokens a second after the first one."""
        return None if not self.tpot else 1 / self.tpot

    @property
    def request_rate(self) -> float | None:
        """Tokens a second from submit to the last token."""
        if not self.events or self.events[-1][0] <= self.submitted:
            return None
        return self.tokens / (self.events[-1][0] - self.submitted)

    @property
    def tokens_per_round(self) -> float | None:
        """Tokens of a launch; None without speculation."""
        return self.tokens / self.rounds if self.rounds else None

    @property
    def acceptance(self) -> float | None:
        """The part of guessed ids that was right; None if none was guessed."""
        return self.accepted / self.drafted if self.drafted else None

    @property
    def prefill_rate(self) -> float | None:
        """Tokens of the prompt a second."""
        if self.ttft is None or self.tpot is None:
            return None
        seconds = self.ttft - self.queue_seconds - self.tpot
        return self.prompt_tokens / seconds if seconds > 0 else None


def system_rate(requests: Sequence[RequestTimes]) -> float | None:
    """Tokens a second of requests that ran together; None if there were none."""
    if not requests:
        return None
    begin = min(each.submitted for each in requests)
    end = max(each.ended for each in requests)
    return sum(each.tokens for each in requests) / (end - begin) if end > begin else None
