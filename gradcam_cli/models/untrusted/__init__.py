"""Guards between untrusted files and Python's and PyTorch's readers."""
