"""Files to records, one file a source. No source knows a grounding system."""
