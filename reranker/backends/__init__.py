"""What runs a model: torch, its CPU fast path, or OpenVINO; chosen by measurement."""
