"""print.json: arrays and their text, as repr of a JAX array gives it."""

import jax.numpy as jnp
import numpy as np

from golden import Cases, value

cases = Cases()
inf, nan = float("inf"), float("nan")
rng = np.random.RandomState(0)

ARRAYS = {
    "scalar": jnp.array(3.0, jnp.float32), "scalar-fraction": jnp.array(0.1, jnp.float32), "scalar-int": jnp.array(3, jnp.int32), "scalar-bool": jnp.array(True),
    "scalar-false": jnp.array(False), "scalar-weak": jnp.asarray(2), "scalar-weak-float": jnp.asarray(0.5), "scalar-large": jnp.float32(1e10), "scalar-small": jnp.float32(1e-5),
    "scalar-nan": jnp.float32(nan), "scalar-inf": jnp.float32(-inf), "scalar-zero": jnp.float32(-0.0), "digits": jnp.float32(123456.789),
    "whole": jnp.array([1.0, 2.0, 3.0]), "fractions": jnp.array([1.5, 2.25, -3.125]), "mixed": jnp.array([0.1, 10.0, 1000.0]),
    "thirds": jnp.array([1 / 3, 2 / 3, 100 / 3]), "small": jnp.array([1e-5, 1.0]), "cut": jnp.array([0.000123456789, 0.1]), "ratio": jnp.array([1.0, 1001.0]),
    "ratio-at": jnp.array([1.0, 1000.0]), "large": jnp.array([1e8, 1.0]), "below-large": jnp.array([99999999.0 / 8]), "exponents": jnp.array([1e-30, 1e30, -2.5e10]),
    "nan": jnp.array([1.5, nan, -inf]), "only-nan": jnp.array([nan, nan]), "only-inf": jnp.array([inf, -inf, nan]), "nan-exponent": jnp.array([1e-9, nan, 3e9, -inf, inf]),
    "zeros": jnp.zeros((2, 2)), "negative-zero": jnp.array([-0.0, 0.0]), "matrix": jnp.array([[1.0, 2.0], [3.0, 4.0]]), "cube": jnp.arange(12.0).reshape(2, 3, 2),
    "four": jnp.arange(16).reshape(2, 2, 2, 2), "ints": jnp.array([1, -20, 300]), "uints": jnp.array([1, 2**32 - 1], jnp.uint32), "bools": jnp.array([[True, False], [False, False]]),
    "long": jnp.arange(40), "long-floats": jnp.arange(30.0) / 7, "long-rows": jnp.arange(60).reshape(2, 30), "wide": jnp.asarray(rng.randn(3, 9), jnp.float32),
    "summary": jnp.arange(1001), "at-threshold": jnp.arange(1000), "summary-matrix": jnp.arange(2000.0).reshape(2, 1000), "summary-rows": jnp.arange(3000).reshape(1000, 3),
    "summary-cube": jnp.arange(8000).reshape(20, 20, 20), "empty": jnp.zeros((0,)), "empty-matrix": jnp.zeros((2, 0), jnp.int32), "float16": jnp.array([1.0, 0.1, 6.0], jnp.float16),
    "float16-large": jnp.array([1.0, 0.1, 65504.0], jnp.float16), "float16-scalar": jnp.float16(65504), "bfloat16": jnp.array([1, 2.5, 0.1, -3e5, 1e-7, nan, inf], jnp.bfloat16),
    "bfloat16-matrix": jnp.array([[1, 2.5], [100, -0.1]], jnp.bfloat16), "random": jnp.asarray(rng.randn(4, 5), jnp.float32), "uniform": jnp.asarray(rng.rand(7), jnp.float32),
    "one-row": jnp.ones((1, 1)), "weak-vector": jnp.broadcast_to(jnp.asarray(1.5), (2,)),
}
for name, x in ARRAYS.items():
    cases.put("print", f"print/{name}", array=value(x), text=repr(x))
cases.write("print.json")
