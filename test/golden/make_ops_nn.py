"""ops_nn.json: jax.nn and flax.nnx functions with their first and second derivatives; gradients of array functions where they are delicate."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from golden import Cases, argument, attempt, resolve, value

rng = np.random.RandomState(3)
cases = Cases()
nan, inf = float("nan"), float("inf")


def f32(*shape):
    return jnp.asarray(np.round(rng.randn(*shape), 3), jnp.float32)


GRID = jnp.array([0.0, -0.0, 1e-6, -1e-6, 0.1, -0.1, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0, 2.9, -2.9, 3.0, -3.0, 4.0, -4.0, 5.9, 6.0, 6.1, 8.0, -8.0,
                  12.0, -12.0, 20.0, -20.0, 40.0, -40.0, 88.0, -88.0, 100.0, -100.0, 1e4, -1e4, 1e20, -1e20, 3e38, inf, -inf, nan])

# -- activations: out, first and second derivative at each point of a grid -------------------------------------------

ACTIVATIONS = """celu elu gelu hard_sigmoid hard_silu hard_swish hard_tanh identity leaky_relu log_sigmoid relu relu6 selu sigmoid silu soft_sign softplus swish
 tanh""".split()
VARIANTS = [(f"nnx.{f}", "default", {}) for f in ACTIVATIONS] + [
    ("nnx.gelu", "exact", {"approximate": False}), ("nnx.gelu", "tanh", {"approximate": True}), ("nnx.elu", "alpha-0.5", {"alpha": 0.5}), ("nnx.celu", "alpha-2", {"alpha": 2.0}),
    ("nnx.leaky_relu", "0.3", {"negative_slope": 0.3}), ("nn.squareplus", "default", {}), ("nn.mish", "default", {}), ("nn.sparse_plus", "default", {}), ("nn.sparse_sigmoid", "default", {}),
]
for op, variant, params in VARIANTS:
    f = lambda v: resolve(op)(v, **params)
    d1 = jax.grad(f)
    cases.put("activation", f"{op}/{variant}", op=op, args=[argument(GRID)], params=params, out=value(f(GRID)),
              derivative=value(jax.vmap(d1)(GRID)), second=value(jax.vmap(jax.grad(d1))(GRID)))
    half = GRID[:30].astype(jnp.bfloat16)
    cases.put("activation", f"{op}/{variant}-bfloat16", op=op, args=[argument(half)], params=params, out=value(f(half)))
    ints = jnp.array([-3, 0, 4])
    cases.put("activation", f"{op}/{variant}-int32", op=op, args=[argument(ints)], params=params, **attempt(lambda: f(ints)))

# -- along an axis ---------------------------------------------------------------------------------------------------

rows = jnp.array([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0], [-inf, 0.0, 1.0, -inf], [-inf, -inf, -inf, -inf], [inf, 0.0, 1.0, 2.0], [nan, 0.0, 1.0, 2.0],
                  [1e4, -1e4, 0.0, 9999.0], [88.0, 89.0, 100.0, 100.0], [-200.0, -201.0, -200.5, -300.0]])
x = f32(3, 4)
for op in ["nnx.softmax", "nnx.log_softmax", "nnx.logsumexp", "nnx.standardize"]:
    cases.call("axis", "edge-rows", op, rows, axis=-1)
    cases.call("axis", "axis-0", op, x, axis=0)
    cases.call("axis", "default", op, x)
    cases.call("axis", "bfloat16", op, x.astype(jnp.bfloat16), axis=-1)
    back = lambda v: jax.vjp(lambda u: resolve(op)(u, axis=-1), v)
    out, f = back(x)
    ct = jnp.arange(out.size, dtype=jnp.float32).reshape(out.shape) - 2
    cases.put("axis", f"{op}/gradient", op=op, args=[argument(x)], params={"axis": -1}, out=value(out), cotangent=value(ct), dx=value(f(ct)[0]))
    finite = rows[jnp.array([2, 6, 7, 8])]
    out, f = back(finite)
    cases.put("axis", f"{op}/gradient-edge-rows", op=op, args=[argument(finite)], params={"axis": -1}, out=value(out), cotangent=value(jnp.ones_like(out)), dx=value(f(jnp.ones_like(out))[0]))
for op in ["nnx.softmax", "nnx.log_softmax"]:
    cases.call("axis", "where", op, x, axis=-1, where=x > -0.5)
    cases.call("axis", "axes-0-1", op, x, axis=(0, 1))
cases.call("axis", "keepdims", "nnx.logsumexp", x, axis=1, keepdims=True)
cases.call("axis", "b", "nnx.logsumexp", x, axis=1, b=jnp.array([1.0, -2.0, 0.5, 0.0]))
cases.call("axis", "return_sign", "nnx.logsumexp", x, axis=1, b=jnp.array([1.0, -2.0, -0.5, 0.0]), return_sign=True)
cases.call("axis", "axes-none", "nnx.logsumexp", x)
cases.call("axis", "epsilon-0.1", "nnx.standardize", x, axis=-1, epsilon=0.1)
cases.call("axis", "mean-variance", "nnx.standardize", x, axis=-1, mean=jnp.zeros((3, 1)), variance=jnp.full((3, 1), 4.0))
cases.call("axis", "default", "nnx.glu", x)
cases.call("axis", "axis-0", "nnx.glu", f32(4, 3), axis=0)
cases.call("one_hot", "default", "nnx.one_hot", jnp.array([0, 2, 1]), 3)
cases.call("one_hot", "out-of-range", "nnx.one_hot", jnp.array([-1, 3, 7, 0]), 3)
cases.call("one_hot", "scalar", "nnx.one_hot", jnp.array(1), 3)
cases.call("one_hot", "matrix", "nnx.one_hot", jnp.array([[0, 1], [2, 0]]), 3)
cases.call("one_hot", "axis-0", "nnx.one_hot", jnp.array([0, 2]), 3, axis=0)
cases.call("one_hot", "axis-1-matrix", "nnx.one_hot", jnp.array([[0, 1], [2, 0]]), 3, axis=1)
cases.call("one_hot", "dtype-int32", "nnx.one_hot", jnp.array([0, 2]), 3, dtype="int32")
cases.call("one_hot", "float-input", "nnx.one_hot", jnp.array([0.0, 2.0, 1.5]), 3)

# -- attention -------------------------------------------------------------------------------------------------------

q, k, v = f32(2, 3, 2, 4), f32(2, 5, 2, 4), f32(2, 5, 2, 4)  # batch, time, heads, features
s = f32(2, 4, 2, 4)
bias, mask = f32(2, 2, 3, 5), jnp.asarray(rng.rand(2, 2, 3, 5) > 0.3)
one_dead = jnp.ones((2, 2, 3, 5), bool).at[0, 0, 1].set(False)
for op in ["nnx.dot_product_attention", "nn.dot_product_attention"]:
    cases.call("attention", "plain", op, q, k, v)
    cases.call("attention", "mask", op, q, k, v, mask=mask)
    cases.call("attention", "bias", op, q, k, v, bias=bias)
    cases.call("attention", "bias-mask", op, q, k, v, bias=bias, mask=mask)
    cases.call("attention", "row-all-masked", op, q, k, v, mask=one_dead)
    cases.call("attention", "is_causal", op, s, s + 1, s * 2, is_causal=True)
    cases.call("attention", "is_causal-longer-keys", op, q, k, v, is_causal=True)
    cases.call("attention", "bfloat16", op, q.astype(jnp.bfloat16), k.astype(jnp.bfloat16), v.astype(jnp.bfloat16))
kv1 = f32(2, 5, 1, 4)
cases.call("attention", "one-kv-head", "nn.dot_product_attention", q, kv1, kv1 + 1)
cases.call("attention", "one-kv-head", "nnx.dot_product_attention", q, kv1, kv1 + 1)
cases.call("attention", "scale", "nn.dot_product_attention", q, k, v, scale=0.3)
cases.call("attention", "key_value_seq_lengths", "nn.dot_product_attention", q, k, v, key_value_seq_lengths=jnp.array([2, 5]))
cases.call("attention", "plain", "nnx.nn.attention.dot_product_attention_weights", q, k)
cases.call("attention", "mask", "nnx.nn.attention.dot_product_attention_weights", q, k, mask=mask)
valid = jnp.array([[1, 1, 0], [1, 1, 1]])
cases.call("mask", "valid", "nnx.make_attention_mask", valid, valid)
cases.call("mask", "valid-bool", "nnx.make_attention_mask", valid > 0, valid > 0, dtype="bool")
cases.call("mask", "extra-batch", "nnx.make_attention_mask", valid, valid, extra_batch_dims=1)
cases.call("mask", "default", "nnx.make_causal_mask", jnp.zeros((2, 3)))
cases.call("mask", "two", "nnx.combine_masks", nnx.make_attention_mask(valid, valid), None, nnx.make_causal_mask(valid))
cases.call("mask", "none", "nnx.combine_masks", None, None)

# -- gradients at ties, corners and zeros ----------------------------------------------------------------------------


def gradient(name, f, *args):
    """The cotangents of every float argument for the cotangent 1, 2, 3, ... of the output."""


    def run():
        out, back = jax.vjp(f, *args)
        ct = (jnp.arange(out.size, dtype=jnp.float32) + 1).reshape(out.shape).astype(out.dtype)
        return {"out": out, "cotangent": ct, "grads": list(back(ct))}

    r = attempt(run)
    cases.put("gradient", f"gradient/{name}", f=name, args=[argument(a) for a in args], **(r if "error" in r else r["out"]))


z = jnp.array([0.0, -0.0, 1.0, -1.0, 2.0])
w = jnp.array([0.0, 0.0, 1.0, 1.0, -2.0])
for f in ["abs", "sign", "sqrt", "square", "exp", "expm1", "tanh", "sin", "cos", "tan", "floor", "round", "reciprocal", "cbrt", "arctan", "arcsinh", "sinc", "positive", "exp2"]:
    gradient(f"jnp.{f}", getattr(jnp, f), z)
for f in ["log", "log1p", "log2", "rsqrt", "arccosh"]:
    gradient(f"{f}", getattr(jnp, f) if hasattr(jnp, f) else getattr(lax, f), jnp.array([1.0, 2.0, 0.5, 1e-3, 0.0]))
for f in ["erf", "erfc", "logistic", "lgamma"]:
    gradient(f"lax.{f}", getattr(lax, f), jnp.array([0.5, -0.5, 2.0, 0.0, -3.5]))
gradient("lax.erf_inv", lax.erf_inv, jnp.array([0.0, 0.5, -0.9, 1.0]))
for f in ["arcsin", "arccos", "arctanh"]:
    gradient(f"jnp.{f}", getattr(jnp, f), jnp.array([0.0, 0.5, -0.9, 1.0]))
for f in ["maximum", "minimum", "add", "multiply", "true_divide", "power", "arctan2", "hypot", "logaddexp", "remainder", "fmod", "fmax", "copysign", "float_power"]:
    gradient(f"jnp.{f}", getattr(jnp, f), z, w)
gradient("power-positive", jnp.power, jnp.array([2.0, 0.5, 1.0, 0.0, 0.0]), jnp.array([3.0, -1.0, 0.0, 2.0, 0.0]))
gradient("power-0-0", lambda a: a**0, z)
for n in [1, 2, 3, -1, 0.5, 2.0]:
    gradient(f"x**{n}", lambda a: a**n, z)
gradient("logaddexp-inf", jnp.logaddexp, jnp.array([-inf, -inf, 0.0, inf]), jnp.array([-inf, 0.0, -inf, inf]))
gradient("where-nan-branch", lambda a: jnp.where(a > 0, jnp.log(a), 0.0), z)
gradient("where-safe", lambda a: jnp.where(a > 0, jnp.log(jnp.where(a > 0, a, 1.0)), 0.0), z)
gradient("clip-0-1", lambda a: jnp.clip(a, 0.0, 1.0), z)
gradient("lax.clamp", lambda lo, a, hi: lax.clamp(lo, a, hi), jnp.zeros(5), z, jnp.ones(5))
ties = jnp.array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
for f in ["max", "min", "sum", "mean", "prod", "var", "std", "median", "ptp", "cumsum", "cumprod", "sort", "nanmax"]:
    gradient(f"jnp.{f}-axis-1", lambda a: getattr(jnp, f)(a, axis=1), ties)
for f in ["cummax", "cummin", "cumlogsumexp", "cumsum"]:
    for reverse in [False, True]:
        gradient(f"lax.{f}-reverse-{reverse}", lambda a: getattr(lax, f)(a, axis=1, reverse=reverse), ties)
gradient("jnp.prod-with-zero", jnp.prod, jnp.array([2.0, 0.0, 3.0]))
gradient("jnp.prod-with-two-zeros", jnp.prod, jnp.array([0.0, 0.0, 3.0]))
gradient("jnp.cumprod-with-zero", jnp.cumprod, jnp.array([2.0, 0.0, 3.0, 4.0]))
gradient("jnp.linalg.norm", jnp.linalg.norm, jnp.array([3.0, 4.0]))
gradient("jnp.linalg.norm-at-zero", jnp.linalg.norm, jnp.zeros(2))
gradient("jnp.std-of-equal", jnp.std, jnp.ones(3))
gradient("lax.top_k-values", lambda a: lax.top_k(a, 2)[0], ties)
gradient("jnp.sort-descending", lambda a: jnp.sort(a, descending=True), jnp.array([3.0, 1.0, 2.0]))
gradient("x[array]-repeated", lambda a: a[jnp.array([0, 0, 2, -1])], jnp.array([1.0, 2.0, 3.0]))
gradient("x[::-2]", lambda a: a[::-2], jnp.arange(5.0))
gradient("x[mask]", lambda a: a[jnp.array([True, False, True])], jnp.array([1.0, 2.0, 3.0]))
gradient("jnp.take-fill-out-of-range", lambda a: jnp.take(a, jnp.array([0, 5, -1]), mode="fill", fill_value=0.0), jnp.array([1.0, 2.0, 3.0]))
gradient("jnp.take-clip-out-of-range", lambda a: jnp.take(a, jnp.array([0, 5, -1]), mode="clip"), jnp.array([1.0, 2.0, 3.0]))
gradient("at-set", lambda a, b: a.at[jnp.array([0, 2])].set(b), jnp.arange(4.0), jnp.array([7.0, 8.0]))
gradient("at-set-repeated", lambda a, b: a.at[jnp.array([1, 1])].set(b), jnp.arange(4.0), jnp.array([7.0, 7.0]))
gradient("at-add-repeated", lambda a, b: a.at[jnp.array([1, 1, 3])].add(b), jnp.arange(4.0), jnp.array([7.0, 8.0, 9.0]))
gradient("at-multiply", lambda a, b: a.at[jnp.array([0, 2])].multiply(b), jnp.arange(4.0), jnp.array([7.0, 8.0]))
gradient("at-max", lambda a, b: a.at[jnp.array([0, 2, 3])].max(b), jnp.arange(4.0), jnp.array([7.0, 2.0, 1.0]))
gradient("lax.dynamic_slice", lambda a: lax.dynamic_slice(a, (3,), (3,)), jnp.arange(5.0))
gradient("lax.dynamic_update_slice", lambda a, b: lax.dynamic_update_slice(a, b, (4,)), jnp.arange(5.0), jnp.array([1.0, 2.0]))
gradient("matmul", jnp.matmul, f32(2, 3), f32(3, 4))
gradient("matmul-batch-broadcast", jnp.matmul, f32(2, 1, 2, 3), f32(2, 3, 2))
gradient("matvec", jnp.matmul, f32(2, 3), f32(3))
gradient("einsum-attention", lambda a, b: jnp.einsum("bqhd,bkhd->bhqk", a, b), q, k)
gradient("einsum-trace", lambda a: jnp.einsum("ii->i", a), f32(3, 3))
for mode in ["edge", "reflect", "symmetric", "wrap", "mean", "linear_ramp"]:
    gradient(f"jnp.pad-{mode}", lambda a: jnp.pad(a, (2, 2), mode=mode), jnp.array([1.0, 2.0, 4.0]))
gradient("lax.pad-interior-negative", lambda a: lax.pad(a, 0.0, ((-1, 2, 1),)), jnp.arange(4.0))
gradient("jnp.roll", lambda a: jnp.roll(a, 1), jnp.arange(4.0))
gradient("jnp.tile", lambda a: jnp.tile(a, 2), jnp.arange(3.0))
gradient("jnp.repeat", lambda a: jnp.repeat(a, jnp.array([2, 0, 1]), total_repeat_length=3), jnp.arange(3.0))
gradient("jnp.concatenate", lambda a, b: jnp.concatenate([a, b, a]), jnp.arange(2.0), jnp.arange(3.0))
gradient("jnp.tril", jnp.tril, f32(3, 3))
gradient("jnp.linspace", lambda a, b: jnp.linspace(a, b, 4), jnp.float32(0.0), jnp.float32(2.0))
gradient("jnp.interp", lambda a: jnp.interp(a, jnp.array([0.0, 1.0, 2.0]), jnp.array([10.0, 20.0, 15.0])), jnp.array([-1.0, 0.5, 1.5]))
gradient("astype-bfloat16", lambda a: a.astype(jnp.bfloat16), jnp.array([1.1, 2.2]))
gradient("stop_gradient", lambda a: a * lax.stop_gradient(a), jnp.array([1.1, 2.2]))
spd = jnp.array([[4.0, 1.0], [1.0, 3.0]])
for f in ["inv", "det", "cholesky"]:
    gradient(f"jnp.linalg.{f}", getattr(jnp.linalg, f), spd)
gradient("jnp.linalg.solve", jnp.linalg.solve, spd, jnp.array([1.0, 2.0]))
gradient("lax.associative_scan-add", lambda a: lax.associative_scan(jnp.multiply, a), jnp.array([1.0, 2.0, 3.0, 4.0]))
gradient("lax.scan-rnn", lambda h, a, u: lax.scan(lambda c, b: (jnp.tanh(c @ u + b), c.sum()), h, a)[0], f32(2), f32(4, 2), f32(2, 2))

cases.write("ops_nn.json")
