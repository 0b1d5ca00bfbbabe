"""Learners beside the network of `harness.learner`: what they are, their names, and the suite that holds them to it."""

from harness.learners.base import Learner, Predictor

__all__ = ["Learner", "Predictor"]
