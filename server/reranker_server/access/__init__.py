"""API keys, rates and token budgets."""
