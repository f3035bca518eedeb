"""The guards between a file from anywhere and Python's and PyTorch's readers."""
