"""What `Generator` and `HfGenerator` share: they open and close alike, and answer conversations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from ttsrt_rt.llm.chat import AddBos, Message, chat_ids, chat_text, content_places
from ttsrt_rt.llm.options import GenerationFields
from ttsrt_rt.llm.results import Generation, Piece
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["Prompt", "TextModel"]

Prompt: TypeAlias = str | Sequence[int] | npt.NDArray[Any]


class TextModel(ABC):
    """A language model with its tokenizer, from text to text; a context manager."""

    @property
    @abstractmethod
    def tokenizer(self) -> LlmTokenizer:
        """What turns text into ids, and ids into text.

        Raises:
            ConfigError: there is none, or the package `tokenizers` is missing.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends what runs and releases the model; may be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def generate(self, prompt: Prompt, **fields: Unpack[GenerationFields]) -> Generation:
        """Continues a prompt and waits for the whole."""

    @abstractmethod
    def stream(self, prompt: Prompt, **fields: Unpack[GenerationFields]) -> Iterator[Piece]:
        """Continues a prompt, and yields its text while it is made."""

    def chat(
        self,
        messages: Sequence[Message],
        *,
        add_bos: AddBos = "template",
        continue_final_message: bool = False,
        safe: bool = False,
        template: str | None = None,
        variables: dict[str, Any] | None = None,
        **fields: Unpack[GenerationFields],
    ) -> Generation:
        """Answers a conversation by the model's chat template.

        Args:
            messages: each with `role` and `content`.
            add_bos: "template" runs exactly what the template renders; "once" sees to it that one
                bos leads.
            continue_final_message: whether the last message is continued instead of answered.
            safe: whether special tokens that are written in messages are text, as they should be
                where strangers write them; a template takes them for tokens otherwise.
            template: another template than the model's.
            variables: more variables of the template.
            **fields: as of `generate`.

        Raises:
            ConfigError: the model has no template, or it refuses the messages; or as `generate`.
            FormatError: the template is damaged or asks for more than its limits allow.
        """
        ids = self.chat_prompt(
            messages,
            add_bos=add_bos,
            continue_final_message=continue_final_message,
            safe=safe,
            template=template,
            variables=variables,
        )
        return self.generate(ids, **fields)

    def chat_stream(
        self,
        messages: Sequence[Message],
        *,
        add_bos: AddBos = "template",
        continue_final_message: bool = False,
        safe: bool = False,
        template: str | None = None,
        variables: dict[str, Any] | None = None,
        **fields: Unpack[GenerationFields],
    ) -> Iterator[Piece]:
        """As `chat`, but yields the answer while it is made."""
        ids = self.chat_prompt(
            messages,
            add_bos=add_bos,
            continue_final_message=continue_final_message,
            safe=safe,
            template=template,
            variables=variables,
        )
        return self.stream(ids, **fields)

    def chat_prompt(
        self,
        messages: Sequence[Message],
        *,
        add_bos: AddBos = "template",
        continue_final_message: bool = False,
        safe: bool = False,
        template: str | None = None,
        variables: dict[str, Any] | None = None,
    ) -> list[int]:
        """Returns the ids that `chat` runs; arguments and errors are its."""
        options: dict[str, Any] = {
            "continue_final_message": continue_final_message,
            "template": template,
            "variables": variables,
        }
        text = chat_text(self.tokenizer, messages, **options)
        contents = content_places(self.tokenizer, messages, text, **options) if safe else ()
        return chat_ids(self.tokenizer, text, add_bos=add_bos, contents=contents)
