"""SAM and MedSAM by recipe: image encoder, prompt encoder and mask decoder by id, folder or published file."""
