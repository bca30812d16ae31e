"""A graph for other tools and for the eye: GraphML, node-link JSON, CSV tables, a picture in one HTML file."""
