"""Labelled images: the official STL-10 files, the built-in shapes, balanced subsets, batches on the compute device."""
