"""Class activation maps of any ``nn.Module``: find the layer, capture it, weigh its feature maps, judge the result."""
