"""What is known before an image is seen: the finding lexicon, the anatomical atlas and the graph built from them. No torch."""
