"""Media of moving pictures, with one file and one line in ``registry.MEDIA`` each."""
