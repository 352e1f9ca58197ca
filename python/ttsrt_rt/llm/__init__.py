"""Language models: text in, text out.

from ttsrt_rt.llm import Generator

with Generator("engine") as generator:
    print(generator.generate("The river", max_tokens=40).text)
"""

from __future__ import annotations

from ttsrt_rt.llm.config import LlmConfigFile, config_of, read_config
from ttsrt_rt.llm.generator import Generator
from ttsrt_rt.llm.pipeline import build_engine, convert_model
from ttsrt_rt.llm.results import Generation, Piece

__all__ = [
    "Generation",
    "Generator",
    "LlmConfigFile",
    "Piece",
    "TensorRTLLMInference",
    "build_engine",
    "config_of",
    "convert_model",
    "read_config",
]

TensorRTLLMInference = Generator
