"""Medical visual grounding: a chest radiograph and its report in; diagnostic phrases with boxes and evidence out.

Three lines of use::

    import knowmvg
    grounding = knowmvg.load().ground("radiograph.png", "FINDINGS: Small left pleural effusion.")
    print(grounding.to_json())

Research software, not a medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what __getattr__ gives at run time
    from knowmvg.inference.session import Session as Session
    from knowmvg.inference.session import load as load

__version__ = "0.1.0"
__all__ = ["Session", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """``load`` and ``Session`` on first use, so that ``import knowmvg`` stays light."""
    if name in ("Session", "load"):
        from knowmvg.inference import session

        return getattr(session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
