"""Language models: text in, text out.

from ttsrt_rt.llm import Generator

with Generator("engine") as generator:
    print(generator.generate("The river", max_tokens=40).text)
"""

from __future__ import annotations

from ttsrt_rt.llm.generator import Generator
from ttsrt_rt.llm.results import Generation, Piece

__all__ = ["Generation", "Generator", "Piece", "TensorRTLLMInference"]

TensorRTLLMInference = Generator
