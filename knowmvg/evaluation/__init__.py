"""Metrics, protocols, intervals, controls and tables."""
