"""Programs that print what the benchmarks of llama.cpp and of ik_llama.cpp do."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["write_programs"]

# So many ms for each token or row; what llama-bench warms up with takes ten times as long, and
# ik_llama.cpp takes twice as long with weights that it has not rearranged.
_PROGRAM = """#!{python}
import json, sys
values = [each for each in sys.argv[1:] if each != "-rtr" or "-o" in sys.argv]
flags = dict(zip(values[::2], values[1::2]))
ms, is_ik = {ms}, {is_ik}
if {fails!r}:
    sys.exit({fails!r})
assert flags["-m"].endswith(".gguf") and int(flags["-t"]) > 0
assert "-rtr" not in sys.argv or is_ik
is_slow = is_ik and ("-rtr" not in sys.argv or flags.get("-rtr") == "0")  # weights as they are
ms *= 2 if is_slow else 1
if "-npl" in flags:
    counts = [int(count) for count in flags["-ntg"].split(",")]
    assert int(flags["-c"]) == int(flags["-npl"]) * (int(flags["-npp"]) + counts[0])
    print("some text")
    if is_ik:
        print("| PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s |", file=sys.stderr)
        print("|----|----|---|------|--------|----------|--------|", file=sys.stderr)
        seconds = ms * counts[0] / 1000
        print(f"| 40 | 400 | 8 | 440 | 0.100 | 3200.0 | {{seconds:.3f}} |", file=sys.stderr)
    else:
        assert flags["--output-format"] == "jsonl"
        for count in counts:
            print(json.dumps({{"t_tg": ms * count / 1000, "speed_tg": 1.0}}))
    sys.exit(0)
shape = flags.get("-gp", flags["-n"]).split(",")
count = int(shape[-1]) or int(flags["-p"])
samples = [10 * ms * 1000000 * count] * (int(flags["-r"]) - 1) + [ms * 1000000 * count]
test = {{"samples_ns": samples, "avg_ts": 1.0}}
if is_ik:
    assert flags["-o"] == "json"
    print(json.dumps([test], indent=2))
else:
    assert flags["-o"] == "jsonl" and ("-d" in flags) == (flags["-p"] == "0")
    print(json.dumps(test))
"""


def write_programs(folder: Path, *, ms: int = 3, is_ik: bool = False, fails: str = "") -> Path:
    """Writes both programs into the folder, and returns it.

    Args:
        folder: It is made.
        ms: For each token, or row of a prompt.
        is_ik: Whether they are those of ik_llama.cpp.
        fails: What they say if they fail.
    """
    folder.mkdir(exist_ok=True)
    text = _PROGRAM.format(python=sys.executable, ms=ms, is_ik=is_ik, fails=fails)
    for name in ("llama-bench", "llama-batched-bench"):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder
