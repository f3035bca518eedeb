"""Class activation maps of any ``nn.Module``: find the layer, capture it, weight its feature maps, check the result."""
