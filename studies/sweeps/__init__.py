"""A sweep: its space and trials as data, the search, running it, and what it says at its end."""
