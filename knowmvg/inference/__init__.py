"""A loaded grounder at work: sessions, reconciliation with the report, overlays."""
