"""Figures: first the data of a figure, then the drawing, which takes an axis and returns it."""

from analysis.figures.axes import framed, line_styles
from analysis.figures.curves import curve_data, draw_curves, draw_gain, gain_data, save_curves

__all__ = ["curve_data", "draw_curves", "draw_gain", "framed", "gain_data", "line_styles", "save_curves"]
