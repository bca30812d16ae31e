"""UMLS from the user's own licensed copy, or through its REST API with the user's key. Nothing of it ships here."""
