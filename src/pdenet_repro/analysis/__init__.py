"""Measure on networks what the paper's theory promises: a folder for each kind of analysis, and what several kinds share."""

from pdenet_repro.system.pictures import load_matplotlib

load_matplotlib()  # before the modules of this package import it: it survives settings at which that import fails
