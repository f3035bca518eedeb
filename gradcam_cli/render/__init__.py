"""Rendering of class activation maps as pictures: upsampling, scaling, colours, blending."""
