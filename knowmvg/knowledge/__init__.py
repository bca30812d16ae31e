"""What is known before an image is seen: finding lexicon, anatomical atlas and the graph built from them. No torch."""
