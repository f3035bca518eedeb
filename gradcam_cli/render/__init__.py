"""From a class activation map to pictures: upsampling, scaling, colours, blending."""
