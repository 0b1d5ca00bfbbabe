"""What to run: comparisons and the command line."""
