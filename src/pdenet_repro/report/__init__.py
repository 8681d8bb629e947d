"""Tables and pictures from run folders alone: no training, no GPU, no torch."""
