"""How each family of models is loaded, reads its inputs and computes."""
