"""AWS's own SAM translator, whose import takes a third as long from here.

Its schemas name no format that these modules check, and jsonschema does without what is not installed. Each compiles a
grammar when it is imported, which takes longer than everything else that the translator needs.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_FORMAT_CHECKERS = ("rfc3986_validator", "rfc3987_syntax")


@contextlib.contextmanager
def _without(*modules: str) -> Iterator[None]:
    """Let imports take place as if these modules were not installed, unless they are imported already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None says that there is none
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _without(*_FORMAT_CHECKERS):
    from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped]  # no types
    from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]  # no types
    from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]  # no types
    from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]  # no types

__all__ = ["InvalidDocumentException", "Parser", "Translator", "yaml_parse"]
