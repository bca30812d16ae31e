"""Vision-language models of the ecosystem behind nn/vlm.py: one adapter, a rule a family, trained rows, LoRA."""
