"""The report of a comparison: numbers, page, plots and advice."""
