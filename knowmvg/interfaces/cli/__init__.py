"""The ``knowmvg`` command."""
