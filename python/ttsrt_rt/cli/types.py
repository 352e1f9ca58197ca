"""Types in the signatures of the commands."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

from ttsrt_rt.cli.parser import Parser

__all__ = ["Subparsers"]

if TYPE_CHECKING:
    Subparsers: TypeAlias = argparse._SubParsersAction[Parser]
else:
    Subparsers = argparse._SubParsersAction
