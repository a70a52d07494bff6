"""Other rerankers, driven as their users call them: one adapter file a peer.

`worker.py` and the adapters run in the peer's own environment and import nothing of this
package; `process.py` and `environments.py` are this side of the pipe.
"""
