"""What the theory promises, measured on networks: stability, spectra, energy, stencils, robustness, reversibility."""
