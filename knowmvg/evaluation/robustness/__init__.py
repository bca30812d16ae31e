"""How far a model's boxes hold: changed images, changed words, denied phrases, and evidence taken away."""
