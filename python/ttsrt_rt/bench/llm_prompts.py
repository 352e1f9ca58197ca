"""The prompts that `ttsrt bench llm` runs: a built-in set, random ids, or a file."""

from __future__ import annotations

import re

import numpy as np

from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.llm.prompts import PromptLine, read_prompts
from ttsrt_rt.quoting import show

__all__ = ["builtin_prompts", "prompts_of", "random_prompts"]

MAX_RANDOM = 1 << 20

_CHAT = (
    "Explain in simple words why the sky is blue.",
    "What should I pack for a week of hiking in the mountains?",
    "Name three differences between a frog and a toad.",
    "How do I ask my neighbours politely to be quieter at night?",
    "Which vegetables can be sown before the last frost, and why?",
    "Write a short birthday greeting for a friend who likes sailing.",
)
_CODE = (
    "Write a Python function that returns the n-th Fibonacci number.\n\ndef fibonacci(n):\n",
    "Complete the function.\n\ndef is_palindrome(text: str) -> bool:\n",
    "What does this SQL return?\n\nSELECT name, COUNT(*) FROM visits GROUP BY name;\n",
    "Write a shell command that lists the ten largest files below the current folder.\n",
    "Turn this loop into a list comprehension:\n\nfound = []\nfor x in values:\n    if x > 3:\n"
    "        found.append(x * x)\n",
    "Find the mistake.\n\nint sum(const int* v, int n) {\n  int s;\n"
    "  for (int i = 0; i <= n; ++i)\n    s += v[i];\n  return s;\n}\n",
)
_PARAGRAPHS = (
    "A river begins as many small streams. Rain and melting snow feed them, and where two of them "
    "meet they go on as one. The water carries sand and stones, and where it slows down it lets "
    "them fall. So the bed of a river is never quite the same from one year to the next.",
    "The town lies where the road crosses the river. Its bridge was built of wood at first, and "
    "twice a flood took it away. The third bridge is of stone; it has five arches, and the one in "
    "the middle is high enough for the boats that bring salt and take away wool.",
    "Every morning the baker lights the oven before the first bird sings. She mixes flour, water, "
    "salt and a piece of yesterday's dough, and while the loaves rise she sweeps the floor. When "
    "the church bell strikes six, the first children stand at the door with their baskets.",
    "Bees find their way by the sun. When a bee has found a meadow in flower it flies home and "
    "dances on the comb, and the direction of the dance says where the meadow lies. The others "
    "follow, and before noon the meadow hums from one end to the other.",
    "A clock with a pendulum keeps time because each swing takes as long as the one before, "
    "whether it is wide or narrow. Heat makes the rod longer and the clock slow, so careful makers "
    "use two metals, of which one lifts what the other lets down.",
    "Glass is made of sand, soda and lime. In the furnace they become a thick, bright liquid, "
    "which the blower gathers on the end of a long pipe. A breath makes a bubble of it, and as "
    "long as it glows it can be drawn, pressed or cut like dough.",
)
_ENDINGS = (
    "Summarize this in one sentence:",
    "What would a stranger ask first about this?",
    "Continue the story:",
)


def builtin_prompts() -> list[PromptLine]:
    """Returns 24 prompts of four kinds: chat, code, copy (the answer repeats the prompt), long."""
    copies = [
        f'Repeat the text between the lines, and change "the" to "a" in its last sentence only.\n'
        f"---\n{text}\n---\n{text[: len(text) // 3]}"
        for text in _PARAGRAPHS
    ]
    texts = []
    for at in range(len(_PARAGRAPHS)):
        order = [_PARAGRAPHS[(at + step) % len(_PARAGRAPHS)] for step in range(5)]
        texts.append("\n\n".join([*order, _ENDINGS[at % len(_ENDINGS)]]))
    kinds = {"chat": _CHAT, "code": _CODE, "copy": copies, "long": texts}
    return [
        PromptLine(text=text, kind=kind, name=f"{kind}-{at}")
        for kind, of in kinds.items()
        for at, text in enumerate(of)
    ]


def random_prompts(tokens: int, vocab: int, count: int = 24, seed: int = 0) -> list[PromptLine]:
    """Returns prompts of so many random ids each."""
    random = np.random.default_rng(seed)
    low = min(3, vocab - 1)  # beyond the usual special ids
    return [
        PromptLine(ids=random.integers(low, vocab, tokens).tolist(), kind="random", name=f"{at}")
        for at in range(count)
    ]


def prompts_of(name: str, vocab: int, seed: int = 0) -> tuple[list[PromptLine], int | None]:
    """Returns the prompts that a word or a file names, and the ids to generate that it states.

    Args:
        name: "builtin", "random:IN:OUT", or a file as of `ttsrt run --prompts`.
        vocab: ids of the smallest model.
        seed: of random ids.

    Raises:
        NotFoundError: there is no such file.
        ConfigError, FormatError: the word or the file is wrong.
    """
    if name == "builtin":
        return builtin_prompts(), None
    if name.startswith("random"):
        found = re.fullmatch(r"random:([0-9]{1,7}):([0-9]{1,7})", name)
        sizes = [int(each) for each in found.groups()] if found else [0]
        if not all(1 <= each <= MAX_RANDOM for each in sizes):
            raise ConfigError(
                f"prompts: expected random:IN:OUT with 1..{MAX_RANDOM} ids, got {show(name)}"
            )
        return random_prompts(sizes[0], vocab, seed=seed), sizes[1]
    try:
        with open(name, "rb") as file:
            is_json = name.lower().endswith((".jsonl", ".json"))
            return read_prompts(file, name, is_json=is_json), None
    except FileNotFoundError as error:
        raise NotFoundError(
            f"prompts: {name}: expected builtin, random:IN:OUT or a file, got no file of that name"
        ) from error
    except IsADirectoryError as error:
        raise ConfigError(f"prompts: {name}: expected a file, got a folder") from error
