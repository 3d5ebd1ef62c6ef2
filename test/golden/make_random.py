"""random.json: jax.random (threefry2x32, partitionable) and the facts of nnx.Rngs."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from golden import Cases, argument, attempt, value

assert jax.config.jax_threefry_partitionable and not jax.config.jax_enable_x64

cases = Cases()
KEYS = {"k0": 0, "k42": 42, "k-1": -1}
k0, k42 = jax.random.key(0), jax.random.key(42)


def draw(group, sampler, variant, *args, seeds=("k0", "k42"), **params):
    """One case for each key. `args` come after the key."""
    for s in seeds:
        cases.call(group, f"{variant}/{s}", f"random.{sampler}", jax.random.key(KEYS[s]), *args, **params)


# -- keys ------------------------------------------------------------------------------------------------------------

SEEDS = [0, 1, 2, 42, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**40 + 7, 2**63 - 1, -1, -5, -(2**31), -(2**32) - 3]
for seed in SEEDS:
    cases.put("key", f"key/{seed}", op="random.key", args=[str(seed)], params={}, **attempt(lambda: jax.random.key(seed)))
for seed in [2**63, -(2**63) - 1]:
    cases.put("key", f"key/{seed}", op="random.key", args=[str(seed)], params={}, **attempt(lambda: jax.random.key(seed)))
for name, seed in {
    "uint32": jnp.uint32(2**32 - 2),
    "int32-negative": jnp.int32(-7),
    "uint8": jnp.uint8(200),
    "int8-negative": jnp.int8(-3),
    "float32": jnp.float32(1.0),
    "vector": jnp.arange(2),
}.items():
    cases.put("key", f"key/array-{name}", op="random.key", args=[argument(seed)], params={}, **attempt(lambda: jax.random.key(seed)))
cases.call("key", "two-words", "random.wrap_key_data", jnp.array([7, 9], jnp.uint32))
cases.call("key", "batch", "random.wrap_key_data", jnp.array([[1, 2], [3, 4], [5, 6]], jnp.uint32))

for n in [1, 2, 3, 5, 8, (2,), (2, 3)]:
    draw("split", "split", f"num-{n}".replace(" ", ""), num=n, seeds=("k0", "k42", "k-1"))
cases.call("split", "default", "random.split", k0)
cases.call("split", "batch-of-keys", "random.split", jax.random.split(k0, 2), expect_error=True)

for d in [0, 1, 2, 7, 255, 65536, 2**31 - 1]:
    draw("fold_in", "fold_in", f"{d}", d, seeds=("k0", "k42", "k-1"))
for d in [jnp.uint32(2**31), jnp.uint32(2**32 - 1)]:
    draw("fold_in", "fold_in", f"uint32-{int(d)}", d)
draw("fold_in", "fold_in", "int32--1", jnp.int32(-1))
for d in [-1, 2**31, 2**32 - 1, 2**32]:
    cases.put("fold_in", f"fold_in/python-{d}", op="random.fold_in", args=[value(k0), argument(d)], params={},
              **attempt(lambda: jax.random.fold_in(k0, d)))

# -- bits and the samplers made straight from them -------------------------------------------------------------------

SHAPES = [(), (1,), (3,), (7,), (4, 5), (0,), (2, 3, 4)]
for shape in SHAPES:
    draw("bits", "bits", f"uint32-{list(shape)}", shape=shape)
    draw("uniform", "uniform", f"float32-{list(shape)}", shape=shape)
    draw("normal", "normal", f"float32-{list(shape)}", shape=shape)
draw("bits", "bits", "uint32-[300]", shape=(300,), seeds=("k0",))
for dtype in ["uint8", "uint16"]:
    for shape in [(), (5,), (3, 3)]:
        draw("bits", "bits", f"{dtype}-{list(shape)}", shape=shape, dtype=dtype)

draw("uniform", "uniform", "range--1-1", shape=(7,), minval=-1.0, maxval=1.0)
draw("uniform", "uniform", "range-2-10", shape=(7,), minval=2.0, maxval=10.0)
draw("uniform", "uniform", "range-0.1-0.3", shape=(7,), minval=0.1, maxval=0.3)
draw("uniform", "uniform", "range-1e-30-1", shape=(7,), minval=1e-30, maxval=1.0)
draw("uniform", "uniform", "range-empty", shape=(3,), minval=1.0, maxval=1.0)
draw("uniform", "uniform", "range-reversed", shape=(5,), minval=1.0, maxval=-1.0)
draw("uniform", "uniform", "range-of-ints", shape=(5,), minval=-3, maxval=3)
draw("uniform", "uniform", "range-arrays", shape=(2, 3), minval=jnp.array([0.0, 1.0, 2.0]), maxval=jnp.array([[1.0], [4.0]]))
for dtype in ["float16", "bfloat16"]:
    for f in ["uniform", "normal"]:
        draw(f, f, f"{dtype}-[9]", shape=(9,), dtype=dtype)
        draw(f, f, f"{dtype}-[]", shape=(), dtype=dtype)

for lo, hi in [(-2.0, 2.0), (0.0, 1.0), (-1.0, 0.5), (-2, 2)]:
    draw("truncated_normal", "truncated_normal", f"{lo!r}-{hi!r}", lo, hi, shape=(7,))
draw("truncated_normal", "truncated_normal", "[4,5]", -2.0, 2.0, shape=(4, 5))
draw("truncated_normal", "truncated_normal", "array-bounds", jnp.array([-2.0, -1.0, 0.0]), jnp.array([0.0, 1.0, 3.0]))
draw("truncated_normal", "truncated_normal", "bfloat16", -2.0, 2.0, shape=(7,), dtype="bfloat16")

for p in [0.0, 0.1, 0.5, 0.9, 1.0]:
    draw("bernoulli", "bernoulli", f"{p}", p, shape=(9,))
draw("bernoulli", "bernoulli", "default")
draw("bernoulli", "bernoulli", "array-p", jnp.array([[0.1, 0.5, 0.9], [0.3, 0.3, 0.3]]))
draw("bernoulli", "bernoulli", "array-p-shape", jnp.array([0.1, 0.5, 0.9]), shape=(4, 3))
draw("bernoulli", "bernoulli", "mode-high", 0.3, shape=(9,), mode="high")

I32 = 2**31
for lo, hi in [(0, 1), (0, 2), (0, 10), (-5, 5), (3, 10), (0, 256), (0, 1000003), (-I32, I32 - 1), (0, I32 - 1), (5, 5), (7, 3),
               (-I32, 0), (-100, -90), (0, 2**16), (0, 2**16 + 1), (0, 3 * 2**29)]:
    draw("randint", "randint", f"int32-{lo}-{hi}", (7,), lo, hi)
draw("randint", "randint", "int32-max-above", (7,), 0, I32, seeds=("k0",), expect_error=True)
draw("randint", "randint", "int32-max-above-uint32", (7,), 0, jnp.uint32(I32))
draw("randint", "randint", "int32-[]", (), 0, 10)
draw("randint", "randint", "int32-[4,5]", (4, 5), 0, 6)
for lo, hi in [(0, 10), (0, 2**32 - 1), (0, 3 * 2**30), (2**31, 2**32 - 1)]:
    draw("randint", "randint", f"uint32-{lo}-{hi}", (7,), jnp.uint32(lo), jnp.uint32(hi), dtype="uint32")
for dtype, lo, hi in [("int8", -128, 127), ("int8", -128, 128), ("int8", 0, 10), ("uint8", 0, 256), ("uint8", 0, 100), ("uint8", 3, 7)]:
    draw("randint", "randint", f"{dtype}-{lo}-{hi}", (7,), lo, hi, dtype=dtype)
draw("randint", "randint", "array-bounds", (3,), jnp.array([0, 10, 100]), jnp.array([5, 20, 1000]))

# -- samplers over categories and orders -----------------------------------------------------------------------------

logits = jnp.log(jnp.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]]))
draw("categorical", "categorical", "vector", logits[0])
draw("categorical", "categorical", "matrix", logits)
draw("categorical", "categorical", "axis-0", logits, axis=0)
draw("categorical", "categorical", "shape", logits, shape=(5, 3))
draw("categorical", "categorical", "vector-shape", logits[0], shape=(9,))
draw("categorical", "categorical", "with--inf", jnp.array([-jnp.inf, 0.0, -jnp.inf, 1.0]), shape=(9,))
draw("categorical", "categorical", "without-replacement", logits, shape=(2, 3), replace=False)
draw("categorical", "categorical", "mode-high", logits[0], shape=(9,), mode="high")

for n in [1, 2, 5, 10, 33]:
    draw("permutation", "permutation", f"int-{n}", n)
draw("permutation", "permutation", "float-vector", jnp.linspace(0.0, 1.0, 6))
draw("permutation", "permutation", "matrix-axis-0", jnp.arange(12).reshape(4, 3))
draw("permutation", "permutation", "matrix-axis-1", jnp.arange(12).reshape(3, 4), axis=1)
draw("permutation", "permutation", "matrix-independent", jnp.arange(12).reshape(4, 3), independent=True)
# several rounds of sorting; only the first entries are kept
cases.put("permutation", "random.permutation/int-70000-first-20/k0", op="random.permutation", args=[value(k0), argument(70000)],
          params={}, take_first=20, **attempt(lambda: jax.random.permutation(k0, 70000)[:20]))

p4 = jnp.array([0.1, 0.2, 0.3, 0.4])
draw("choice", "choice", "int-replace", 5, shape=(7,))
draw("choice", "choice", "int-no-replace", 9, shape=(4,), replace=False)
draw("choice", "choice", "int-p", 4, shape=(7,), p=p4)
draw("choice", "choice", "int-p-no-replace", 4, shape=(3,), p=p4, replace=False)
draw("choice", "choice", "array", jnp.array([10.0, 20.0, 30.0]), shape=(2, 3))
draw("choice", "choice", "array-axis-1", jnp.arange(8).reshape(2, 4), shape=(3,), axis=1)
draw("choice", "choice", "scalar", 100)

# -- samplers made from uniform and normal ---------------------------------------------------------------------------

for f in ["gumbel", "exponential", "laplace", "logistic", "cauchy", "rademacher", "maxwell", "double_sided_maxwell"]:
    extra = [1.0, 2.0] if f == "double_sided_maxwell" else []
    for shape in [(), (7,), (2, 3)]:
        draw(f, f, f"{list(shape)}", *extra, shape=shape)
draw("gumbel", "gumbel", "mode-high", shape=(7,), mode="high")
draw("gumbel", "gumbel", "bfloat16", shape=(7,), dtype="bfloat16")
draw("rayleigh", "rayleigh", "2", 2.0, shape=(7,))
draw("pareto", "pareto", "2", 2.0, shape=(7,))
draw("weibull_min", "weibull_min", "2-1.5", 2.0, 1.5, shape=(7,))
draw("lognormal", "lognormal", "0.5", 0.5, shape=(7,))
draw("triangular", "triangular", "-1-0-2", -1.0, 0.0, 2.0, shape=(7,))
draw("wald", "wald", "1.5", 1.5, shape=(7,))
draw("geometric", "geometric", "0.3", 0.3, shape=(7,))
draw("orthogonal", "orthogonal", "3", 3)
draw("orthogonal", "orthogonal", "2-3x3", 3, shape=(2,))
draw("orthogonal", "orthogonal", "2x4", 2, m=4)
cov = jnp.array([[2.0, 0.5], [0.5, 1.0]])
for method in ["cholesky", "eigh", "svd"]:
    draw("multivariate_normal", "multivariate_normal", method, jnp.array([1.0, -1.0]), cov, shape=(3,), method=method)

# -- samplers that reject, or are made from those that do ------------------------------------------------------------

for a in [0.3, 1.0, 2.5, 20.0]:
    draw("gamma", "gamma", f"{a}", a, shape=(5,))
    draw("gamma", "loggamma", f"{a}", a, shape=(5,))
draw("gamma", "gamma", "array", jnp.array([0.5, 1.0, 3.0]))
draw("beta", "beta", "2-3", 2.0, 3.0, shape=(5,))
draw("beta", "beta", "0.5-0.5", 0.5, 0.5, shape=(5,))
draw("dirichlet", "dirichlet", "3", jnp.array([1.0, 2.0, 3.0]), shape=(4,))
draw("t", "t", "4", 4.0, shape=(5,))
draw("chisquare", "chisquare", "3", 3.0, shape=(5,))
draw("f", "f", "3-5", 3.0, 5.0, shape=(5,))
draw("generalized_normal", "generalized_normal", "1.5", 1.5, shape=(5,))
draw("ball", "ball", "3", 3, shape=(4,))
for lam in [0.0, 0.5, 3.0, 9.9, 10.0, 50.0, 1000.0]:
    draw("poisson", "poisson", f"{lam}", lam, shape=(7,))
for n, p in [(10.0, 0.3), (10.0, 0.9), (100.0, 0.5), (1000.0, 0.02), (5.0, 0.0), (5.0, 1.0)]:
    draw("binomial", "binomial", f"{n}-{p}", n, p, shape=(7,))
draw("multinomial", "multinomial", "10", 10, jnp.array([0.2, 0.3, 0.5]), shape=(4, 3))

# -- nnx.Rngs: fields are the values of its own calls, in order ------------------------------------------------------


def streams(node):
    """Every stream of a node by path: its key and its count."""
    state = nnx.to_flat_state(nnx.state(node, nnx.RngState))
    return {"/".join(map(str, path)): value(v.get_value()) for path, v in state}


def steps(name, rngs, *named):
    """`named` are (what is called, thunk) pairs; after each one the streams are recorded."""
    log = [{"call": "start", "streams": streams(rngs)}]
    for text, thunk in named:
        log.append({"call": text, **attempt(thunk), "streams": streams(rngs)})
    cases.put("rngs", f"rngs/{name}", steps=log)


r = nnx.Rngs(0)
steps("seed-0", r, ("uniform((4,5))", lambda: r.uniform((4, 5))), ("normal((5,3))", lambda: r.normal((5, 3))),
      ("()", lambda: r()), ("params()", lambda: r.params()), ("dropout()", lambda: r.dropout()))
r = nnx.Rngs(0)
x, w = r.uniform((4, 5)), r.normal((5, 3))
cases.put("rngs", "rngs/mean-of-matmul", x=value(x), w=value(w), out=value((x @ w).mean()))

r1 = nnx.Rngs(params=0, dropout=1)
steps("params-0-dropout-1", r1, ("params()", lambda: r1.params()), ("params()", lambda: r1.params()), ("dropout()", lambda: r1.dropout()),
      ("noise()", lambda: r1.noise()), ("()", lambda: r1()), ("params.normal((2,))", lambda: r1.params.normal((2,))),
      ("['dropout']()", lambda: r1["dropout"]()))
r2 = nnx.Rngs(7, params=0)
steps("default-7-params-0", r2, ("params()", lambda: r2.params()), ("other()", lambda: r2.other()), ("()", lambda: r2()),
      ("uniform((2,))", lambda: r2.uniform((2,))))
r3 = nnx.Rngs({"default": 3, "noise": jax.random.key(9)})
steps("mapping", r3, ("noise()", lambda: r3.noise()), ("()", lambda: r3()))
r4 = nnx.Rngs(jax.random.key(5))
steps("from-key", r4, ("()", lambda: r4()))
r5 = nnx.Rngs(2**32 + 5)
steps("seed-above-32-bits", r5, ("()", lambda: r5()))


def derived(name, make, rngs, *draws):
    """A stream set made from another: both sides, and what the made one draws."""
    before = streams(rngs)
    made = make(rngs)
    first = streams(made)
    drawn = [{"call": text, **attempt(lambda: f(made))} for text, f in draws]
    cases.put("rngs", f"rngs/{name}", before=before, after=streams(rngs), made=first, draws=drawn, made_after=streams(made))


def warm():
    """Rngs(params=0, dropout=1) after one params and two dropout calls."""
    r = nnx.Rngs(params=0, dropout=1)
    r.params(), r.dropout(), r.dropout()
    return r


params_draw = ("params()", lambda r: r.params())
derived("fork", lambda r: r.fork(), warm(), params_draw, ("dropout()", lambda r: r.dropout()))
derived("split-3", lambda r: r.split(3), warm())
derived("split-2x2", lambda r: r.split((2, 2)), warm())
derived("split-params-2", lambda r: r.split({"params": 2}), warm(), ("dropout()", lambda r: r.dropout()))
derived("split-params-2-rest-3", lambda r: r.split({"params": 2, ...: 3}), warm())
derived("broadcast-3", lambda r: r.broadcast(3), warm())
derived("broadcast-2x2", lambda r: r.broadcast((2, 2)), warm())
derived("broadcast-params", lambda r: r.broadcast({"params": 2}), warm())
derived("fork-of-fork", lambda r: r.fork().fork(), nnx.Rngs(0), ("default()", lambda r: r()))
derived("stream-fork", lambda r: r.dropout.fork(), warm(), ("()", lambda s: s()), ("uniform((2,))", lambda s: s.uniform((2,))))
derived("stream-split-2", lambda r: r.dropout.split(2), warm())
derived("stream-broadcast-2", lambda r: r.dropout.broadcast(2), warm())


def layer(name, make):
    """What making a layer takes from Rngs(0), and the stream that the layer keeps."""
    rngs = nnx.Rngs(0)
    made = make(rngs)
    cases.put("rngs", f"rngs/layer/{name}", rngs=streams(rngs), layer=streams(made))


layer("Linear", lambda r: nnx.Linear(2, 3, rngs=r))
layer("Linear-no-bias", lambda r: nnx.Linear(2, 3, use_bias=False, rngs=r))
layer("BatchNorm", lambda r: nnx.BatchNorm(3, rngs=r))
layer("LayerNorm", lambda r: nnx.LayerNorm(3, rngs=r))
layer("Embed", lambda r: nnx.Embed(5, 3, rngs=r))
layer("Conv", lambda r: nnx.Conv(2, 3, (3,), rngs=r))
layer("Dropout", lambda r: nnx.Dropout(0.5, rngs=r))
layer("Dropout-of-stream", lambda r: nnx.Dropout(0.5, rngs=r["dropout"]))
layer("MultiHeadAttention", lambda r: nnx.MultiHeadAttention(2, 4, rngs=r))
layer("MultiHeadAttention-dropout", lambda r: nnx.MultiHeadAttention(2, 4, dropout_rate=0.1, rngs=r))
layer("MultiHeadAttention-keep_rngs-off", lambda r: nnx.MultiHeadAttention(2, 4, dropout_rate=0.1, keep_rngs=False, rngs=r))
layer("LSTMCell", lambda r: nnx.LSTMCell(2, 3, rngs=r))
layer("LSTMCell-keep_rngs", lambda r: nnx.LSTMCell(2, 3, keep_rngs=True, rngs=r))
layer("GRUCell", lambda r: nnx.GRUCell(2, 3, rngs=r))
layer("RNN", lambda r: nnx.RNN(nnx.LSTMCell(2, 3, rngs=r), rngs=r))
layer("LoRA", lambda r: nnx.LoRA(2, 2, 3, rngs=r))
layer("Sequential", lambda r: nnx.Sequential(nnx.Linear(2, 3, rngs=r), nnx.Dropout(0.1, rngs=r), nnx.Dropout(0.2, rngs=r)))


class Pair(nnx.Module):
    """Holds the very Rngs that it is given."""

    def __init__(self, rngs):
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.rngs = rngs


def scoped(name, make):
    """split_rngs, reseed and the like: the streams before, within and after."""
    cases.put("rngs", f"rngs/{name}", steps=make())


def split_rngs_scope():
    rngs = warm()
    log = [{"at": "before", "streams": streams(rngs)}]
    with nnx.split_rngs(rngs, splits=2):
        log.append({"at": "inside", "streams": streams(rngs)})
    log.append({"at": "after", "streams": streams(rngs)})
    with nnx.split_rngs(rngs, splits=3, only="params"):
        log.append({"at": "inside, only params", "streams": streams(rngs)})
    log.append({"at": "after", "streams": streams(rngs)})
    with nnx.split_rngs(rngs, splits=1, squeeze=True):
        log.append({"at": "inside, squeezed", "streams": streams(rngs)})
    log.append({"at": "after", "streams": streams(rngs)})
    return log


def reseed_steps():
    rngs = warm()
    log = [{"at": "before", "streams": streams(rngs)}]
    nnx.reseed(rngs, params=42)
    log.append({"at": "reseed(params=42)", "streams": streams(rngs)})
    nnx.reseed(rngs, params=jax.random.key(3), dropout=4)
    log.append({"at": "reseed(params=key(3), dropout=4)", "streams": streams(rngs)})
    return log


def vmapped_init():
    """Four Linears made by vmap over split streams: their kernels and the outer stream."""
    rngs = nnx.Rngs(0)

    @nnx.split_rngs(splits=4)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs):
        return nnx.Linear(2, 3, rngs=rngs)

    made = make(rngs)
    return [{"at": "after", "streams": streams(rngs), "kernel": value(made.kernel[...])}]


scoped("split_rngs", split_rngs_scope)
scoped("reseed", reseed_steps)
scoped("vmap-init-linear-4", vmapped_init)

cases.write("random.json")
