"""What networks and layers return: tensors in nested outputs, class scores among them."""
