"""Files of predictions, of any model: read to phrases with boxes in stored pixels, and written for other tools."""
