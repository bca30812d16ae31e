"""Readers of public and credentialed data sets, from the user's own copies to rows of the manifest."""
