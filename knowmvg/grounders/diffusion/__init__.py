"""Generate to Ground: a latent diffusion model of radiographs, read through its cross-attention (docs/diffusion.md)."""
