"""The CPU fast path for BERT-like encoders: no padding, prepacked weights, compiled layers."""
