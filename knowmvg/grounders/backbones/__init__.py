"""Backbones by recipe: loaded by id or folder, spoken to through their chat template, shown what they can see."""
