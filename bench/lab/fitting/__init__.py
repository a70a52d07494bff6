"""What `lab.fit_best` needs beside `reranker_bench.tuning`."""
