"""Kind ``robustness``: accuracy of networks on corrupted images and under gradient attacks."""
