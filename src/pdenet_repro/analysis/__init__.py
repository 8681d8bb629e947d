"""What the theory promises, measured on networks: stability, spectra, energy, stencils, robustness, reversibility."""

from pdenet_repro.system.pictures import load_matplotlib

load_matplotlib()  # before the modules below import it
