"""Training of latent diffusion models of radiographs, from scratch or from published weights."""
