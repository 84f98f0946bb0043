"""Large products on several threads equal the products; small ones stay on one thread."""

import numpy as np
import pytest

from npdiff.acceleration import IdleThreads, idle_threads
from npdiff.kernels import products
from npdiff.runtime.threads import ThreadPool

SHAPES = {
    "matrices": ((40, 30), (30, 50)),
    "stacks": ((36, 8, 6), (36, 6, 10)),
    "fewer columns than threads": ((9, 7), (7, 2)),
    "fewer matrices than threads": ((2, 9, 7), (2, 7, 5)),
}


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_products_on_several_threads(monkeypatch, shapes, threads) -> None:
    monkeypatch.setattr(products, "MIN_PARALLEL_MULTIPLICATIONS", 0)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape) for shape in shapes)
    wide = np.full((*a.shape[:-1], b.shape[-1] + 3), np.nan)
    out = wide[..., : b.shape[-1]]  # a view, as convolutions give them
    items = []
    with ThreadPool(threads) as workers:

        def parallel_for(f, cuts):
            items.append(len(cuts))
            workers.parallel_for(f, cuts)

        with idle_threads(IdleThreads(threads, parallel_for)), workers.one_blas_thread():
            products.multiply(a, b, out)
    assert items == [threads]
    np.testing.assert_allclose(out, np.einsum("...ij,...jk->...ik", a, b), rtol=0, atol=1e-13)
    assert np.isnan(wide[..., b.shape[-1] :]).all()


def test_small_products_and_products_without_idle_threads_are_not_divided() -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("shared")

    a, out = np.ones((200, 200)), np.empty((200, 200))
    with idle_threads(IdleThreads(2, forbidden)):
        products.multiply(a, a, out)
        with pytest.raises(AssertionError, match="shared"):
            products.multiply(np.ones((256, 256)), np.ones((256, 256)), np.empty((256, 256)))
    products.multiply(np.ones((256, 256)), np.ones((256, 256)), np.empty((256, 256)))
    assert (out == 200.0).all()
