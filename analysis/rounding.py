"""How many decimals of accuracies, areas and their differences mean something."""

DIGITS = 12
"""Rounding comes after them.

A mean of equal accuracies reaches them, and equal ones do not differ, whatever order they were added up in.
"""
