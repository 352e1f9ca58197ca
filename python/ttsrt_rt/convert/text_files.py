"""Finds the dictionaries that a Magpie configuration names, and keeps them for the checkpoint.

In a `.nemo` the value `nemo:<hash>_<file name>` names a member of the archive. Everything else is a
path on the machine of the training: such a file is looked up, by its own name, among those that the
caller gives and in a folder that the caller names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import list_names
from ttsrt_rt.regular_file import read_regular

__all__ = ["MAX_DICTIONARY_BYTES", "TextFiles"]

MAX_DICTIONARY_BYTES = 64 << 20
MAX_TOTAL_BYTES = 256 << 20
MAX_LIST = 64
MAX_WORDS = 1 << 20
ARTIFACT = "nemo:"
# In front of a member's name the archive writes the hash of where the file came from.
_HASH = re.compile(r"[0-9a-f]{32}_")


class TextFiles:
    """The files of one configuration's text tokenizers.

    Attributes:
        kept: the contents of the files to store, by the names that they get.
        missing: names of files that were nowhere to be found, as the caller may give them.
        error: what a wrong value in the configuration raises.
    """

    error = ConfigError

    def __init__(
        self,
        artifact: Callable[[str, int], bytes] | None,
        folder: Path | None = None,
        given: Mapping[str, Path] | None = None,
    ) -> None:
        """Keeps where to look.

        Args:
            artifact: reads a member of the archive by its name, within a limit; None without one.
            folder: where other files are, by their names.
            given: single files, by their names or by the names of tokenizers.
        """
        self._artifact = artifact
        self._folder = folder
        self._given = dict(given or {})
        self._unused = set(self._given)
        self._total = 0
        self.kept: dict[str, bytes] = {}
        self.missing: list[str] = []
        self.tokenizer, self.stem = "", ""

    def begin(self, tokenizer: str, stem: str) -> None:
        """Says whose files are read next, and how their names begin when they are kept."""
        self.tokenizer, self.stem = tokenizer, stem

    def dictionary(self, block: Block, name: str) -> bytes | None:
        """The contents of the one file that a field names; None if it is missing.

        Raises:
            ConfigError: the field has no file's name.
        """
        value = block.values.get(name)
        if not isinstance(value, str) or not value:
            raise block.fail(name, "the name of a file")
        return self._read(value, is_only=True)

    def dictionaries(self, block: Block, name: str) -> list[str]:
        """Keeps the files that a field names, one or a list; returns the names they got.

        Raises:
            ConfigError: the field has neither.
        """
        value = block.values.get(name)
        values = value if isinstance(value, (list, tuple)) else [value]
        if not 1 <= len(values) <= MAX_LIST or not all(
            isinstance(each, str) and each for each in values
        ):
            raise block.fail(name, f"the name of a file, or a list of at most {MAX_LIST} names")
        names = []
        for index, each in enumerate(values):
            raw = self._read(each, is_only=len(values) == 1)
            if raw is not None:
                names.append(self._keep(f"{self.stem}.{index}.dict", raw))
        return names

    def heteronyms(self, block: Block, name: str) -> str | None:
        """Keeps the heteronyms, a file or a list of words; returns the name they got, or None.

        Raises:
            ConfigError: the field has neither.
        """
        value = block.values.get(name)
        if not value:
            return None
        if isinstance(value, str):
            raw = self._read(value, is_only=False)
        elif isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
            if len(value) > MAX_WORDS:
                raise block.fail(name, f"at most {MAX_WORDS} words")
            raw = "".join(f"{each}\n" for each in value).encode("utf-8", "replace")
        else:
            raise block.fail(name, "the name of a file, or a list of words")
        return None if raw is None else self._keep(f"{self.stem}.heteronyms", raw)

    def check_used(self) -> None:
        """Checks that every file that the caller gave has a place.

        Raises:
            ConfigError: one has none.
        """
        if self._unused:
            raise ConfigError(
                f"dictionaries: expected names of files or tokenizers of the configuration, got "
                f"{list_names(sorted(self._unused), is_quoted=True)}"
            )

    def _read(self, value: str, *, is_only: bool) -> bytes | None:
        base = value.removeprefix(ARTIFACT).rsplit("/", 1)[-1]
        plain = _HASH.sub("", base, count=1)
        for name in (base, plain, *([self.tokenizer] if is_only else [])):
            if name in self._given:
                self._unused.discard(name)
                return read_regular(self._given[name], MAX_DICTIONARY_BYTES)
        if value.startswith(ARTIFACT) and self._artifact is not None:
            return self._artifact(value, MAX_DICTIONARY_BYTES)
        if self._folder is not None:
            for name in (base, plain):
                if name not in ("", ".", "..") and (self._folder / name).is_file():
                    return read_regular(self._folder / name, MAX_DICTIONARY_BYTES)
        self.missing.append(plain)
        return None

    def _keep(self, name: str, raw: bytes) -> str:
        self._total += len(raw)
        if self._total > MAX_TOTAL_BYTES:
            raise FormatError(
                f"text_tokenizers: expected at most {MAX_TOTAL_BYTES} bytes of dictionaries, "
                f"got more at {name}"
            )
        self.kept[name] = raw
        return name
