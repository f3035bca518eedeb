"""The labelled figure that compares many overlays."""
