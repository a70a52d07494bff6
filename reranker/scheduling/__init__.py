"""Batches of all requests' work, run on worker threads: the only room with threads and queues."""
