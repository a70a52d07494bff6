"""The workloads W1 to W6: each measures our engine beside other libraries."""
