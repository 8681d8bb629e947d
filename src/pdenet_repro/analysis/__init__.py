"""Analyses of networks: measurements of what the paper's theory promises. One folder for each kind of analysis."""

from pdenet_repro.system.pictures import load_matplotlib

load_matplotlib()  # before the modules below import it
