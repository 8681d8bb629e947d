"""Tables and pictures from run folders alone: no training, no GPU, no torch."""

from pdenet_repro.system.pictures import load_matplotlib

load_matplotlib()  # before the modules below import it
