"""Kind ``robustness``: accuracy on corrupted images and under gradient attacks."""
