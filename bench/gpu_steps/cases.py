"""The list of what is measured, and the figures to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import Quantization

__all__ = ["CASES", "SCALES", "Case", "Goal", "Kind", "Scale", "choose"]

Kind: TypeAlias = Literal["steps", "prefill", "first_frame", "real_time", "gpus", "generate"]


@dataclass(frozen=True)
class Goal:
    """A bound for one figure of a case.

    Attributes:
        figure: Its name among the figures of a line.
        bound: The figure's least value, or its most if `is_most`.
        is_most: Whether `bound` is the most.
        card: A part of the names of the cards that it is for; empty for all.
    """

    figure: str
    bound: float
    is_most: bool = False
    card: str = ""


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        key: Its name on the command line.
        title: What is measured.
        kind: "steps": decoder steps. "prefill": a prompt's rows. "first_frame": from submit to the
            first codes. "real_time": seconds of audio per second. "gpus": two GPUs against one.
            "generate": tokens per second beside `transformers`.
        model: "2503", "v2607", "t3" or "tinyllama".
        requests: At once.
        is_guided: Whether each request has two rows.
        quantization: Of the engine.
        goals: What is to be reached.
    """

    key: str
    title: str
    kind: Kind
    model: str
    requests: int = 1
    is_guided: bool = True
    quantization: Quantization = "none"
    goals: tuple[Goal, ...] = ()

    @property
    def has_stack(self) -> bool:
        """Whether a PyTorch stack is measured beside it."""
        return self.kind in ("steps", "prefill") and self.quantization == "none"


@dataclass(frozen=True)
class Scale:
    """Lengths of requests, which small models of tests have shorter.

    Attributes:
        position: The middle of the measured positions.
        text_len: Text tokens of Magpie.
        prompt: Rows of a measured prefill.
        steps: Steps of one request.
        crowd_steps: Steps of each of many requests, which do not begin together.
        least: Samples of a figure.
        firsts: First frames.
        long_frames: Frames of the requests of "real_time" and "gpus".
        most_requests: The most requests at once.
    """

    position: int
    text_len: int
    prompt: int
    steps: int
    crowd_steps: int
    least: int
    firsts: int
    long_frames: int
    most_requests: int

    def steps_of(self, case: Case) -> int:
        """Steps of each request."""
        return self.steps if self.requests_of(case) == 1 else self.crowd_steps

    def context_of(self, case: Case) -> int:
        """Rows in front of the first step, so that the middle of the steps is `position`."""
        return self.position - self.steps_of(case) // 2

    def requests_of(self, case: Case) -> int:
        """Requests at once."""
        return min(case.requests, self.most_requests)


SCALES = {
    "true": Scale(512, 128, 512, 128, 192, 50, 50, 500, 128),
    "tiny": Scale(96, 12, 64, 64, 96, 8, 3, 64, 2),
}

_HOST_ALONE = Goal("host", 0.10, is_most=True)
_HOST_CROWD = Goal("host", 0.05, is_most=True)
_FASTER = (Goal("over_bfloat16", 1.0),)


def _quantized(model: str, title: str) -> list[Case]:
    names: tuple[Quantization, ...] = ("w8a16", "w4a16", "w8a8", "w4a8")
    return [
        Case(
            f"{model}-{name}",
            f"{title}, {name}, 1 guided",
            "steps",
            model,
            quantization=name,
            goals=_FASTER,
        )
        for name in names
    ]


def _tinyllama() -> list[Case]:
    goals = (
        Goal("over_peer", 1.75),
        Goal("share", 0.84, card="H100"),
        Goal("share", 0.76, card="H200"),
        _HOST_ALONE,
    )
    return [
        Case("tinyllama", "TinyLlama, 1 request", "steps", "tinyllama", 1, False, goals=goals),
    ]


def _magpie() -> list[Case]:
    of_one = (Goal("over_peer", 3.2), _HOST_ALONE)
    whole = (
        Goal("step_ms", 0.50, is_most=True, card="H200"),
        Goal("step_ms", 0.55, is_most=True, card="H100"),
        _HOST_ALONE,
    )
    mean = (Goal("x_real_time", 5000.0),)
    first = (Goal("first_ms", 3.0, is_most=True),)
    both = (Goal("over_one_gpu", 1.9),)
    return [
        Case("2503-1", "2503, 1 guided", "steps", "2503", goals=of_one),
        Case(
            *("2503-64", "2503, 64 guided", "steps", "2503", 64),
            goals=(Goal("over_peer", 2.0), _HOST_CROWD),
        ),
        Case("v2607-1", "v2607, 1 guided, with its picks", "steps", "v2607", goals=whole),
        Case("v2607-64", "v2607, 64 guided", "steps", "v2607", 64, goals=(_HOST_CROWD,)),
        Case("v2607-mean", "v2607, 64 guided, mean", "real_time", "v2607", 64, goals=mean),
        Case("v2607-first", "v2607, first frame", "first_frame", "v2607", goals=first),
        Case("v2607-gpus", "v2607, 128 guided, 2 GPUs", "gpus", "v2607", 128, goals=both),
    ]


def _t3() -> list[Case]:
    generate = (Goal("over_peer", 40.0), Goal("over_static", 6.0))
    return [
        Case(
            "t3-1", "T3 520M, 1 guided", "steps", "t3", goals=(Goal("over_peer", 3.0), _HOST_ALONE)
        ),
        Case("t3-plain", "T3 520M, 1 unguided", "steps", "t3", 1, False, goals=(_HOST_ALONE,)),
        Case("t3-32", "T3 520M, 32 guided", "steps", "t3", 32, goals=(Goal("over_peer", 2.0),)),
        Case("t3-prefill", "T3 520M, prompt", "prefill", "t3", 1, False),
        Case("t3-generate", "T3 520M, tokens/s", "generate", "t3", 1, False, goals=generate),
    ]


def _all_cases() -> list[Case]:
    quantized = _quantized("2503", "2503") + _quantized("t3", "T3 520M")
    return [*_magpie(), *_t3(), *_tinyllama(), *quantized]


CASES: dict[str, Case] = {case.key: case for case in _all_cases()}


def choose(names: Sequence[str]) -> list[Case]:
    """The cases of these names, in the order of CASES; all without a name.

    A quantized case brings the bfloat16 case that it is compared with, and "t3-generate" brings
    "t3-plain".

    Raises:
        ConfigError: A name is unknown.
    """
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise ConfigError(f"--cases: expected some of {', '.join(CASES)}, got {', '.join(unknown)}")
    wanted = set(names or CASES)
    for name in list(wanted):
        case = CASES[name]
        if case.quantization != "none":
            wanted.add(f"{case.model}-1")
        elif case.kind == "generate":
            wanted.add("t3-plain")
    return [case for name, case in CASES.items() if name in wanted]
