from threadpoolctl import threadpool_info

from reranker_methods.features.blas_threads import keep_blas_on_one_thread


def test_small_matrix_problems_stay_on_one_thread():
    keep_blas_on_one_thread()

    assert {p["num_threads"] for p in threadpool_info() if "scipy" in p["prefix"]} == {1}
