"""Our own laboratory: training, races against other libraries, evidence. Not in the wheel."""
