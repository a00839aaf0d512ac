"""Metrics, comparison with other codecs, tables, plots and report pages."""
