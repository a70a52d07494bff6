"""A method is a pipeline of stages; here are the stages, fusion and the registry of methods."""
