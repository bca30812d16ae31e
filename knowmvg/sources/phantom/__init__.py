"""Simulated chest radiographs with exact masks and reports: anatomy, findings, projection, report, data set."""
