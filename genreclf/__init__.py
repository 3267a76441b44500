"""Music genre classification: `from genreclf import Classifier`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genreclf.inference.classifier import Classifier

__version__ = "0.1.0"
__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """Imports `Classifier` on first use: the commands that do without it start faster."""
    if name == "Classifier":
        from genreclf.inference.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
