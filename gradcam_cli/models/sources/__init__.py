"""Model sources: a module each for the bundled network, torchvision, timm, exported and user code."""
