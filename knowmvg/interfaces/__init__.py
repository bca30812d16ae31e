"""Where people meet the package."""
