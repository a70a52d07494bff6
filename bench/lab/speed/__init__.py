"""`python -m lab.speed`: how fast, against whom, and where the time goes."""
