"""Colours of other spaces → sRGB: primaries, transfer functions, HDR, ICC profiles."""
