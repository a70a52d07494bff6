"""From a model's id to verified files to a loaded model."""
