"""What to run: comparisons and the command line, which is the interface."""

__all__: list[str] = []
