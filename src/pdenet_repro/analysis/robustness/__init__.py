"""Kind ``robustness``: accuracy on damaged and attacked images."""
