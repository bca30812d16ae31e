"""What people read of an evaluation: tables in other formats, published numbers beside, plots, and one page."""
