"""Blocks of diffusion models that know no study: latents, attention capture, schedules."""
