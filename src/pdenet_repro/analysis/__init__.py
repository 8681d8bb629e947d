"""Measure on networks what the paper's theory promises: a folder for each kind of analysis, and what several kinds share."""

from pdenet_repro.system.pictures import load_matplotlib

load_matplotlib()  # first, because a plain import of matplotlib fails at some settings of a user
