"""programs.json: jaxprs and StableHLO of small functions as JAX prints them, so that our printer can follow.

A case has "source", the avals of its arguments, "jaxpr" and "stablehlo" (jax.jit(f).lower(...).as_text()).
"""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from golden import Cases

cases = Cases()
F, I, B = jnp.float32, jnp.int32, jnp.bool_
S = jax.ShapeDtypeStruct


def clean(text):
    """Without what differs from run to run or machine to machine: addresses and paths."""
    text = re.sub(r" at 0x[0-9a-f]+|id=\d+", "", text)
    return re.sub(r"(/[^ :\"']*)+/([^/ :\"']+\.py)", r"\2", text)


def program(name, f, *args, source=None, hlo=True):
    avals = [(S(a[0], a[1]) if isinstance(a, tuple) else a) for a in args]
    fields = {"source": source or inspect.getsource(f), "args": [a.str_short() if hasattr(a, "str_short") else f"{a.dtype.name}{list(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in avals]}
    fields["jaxpr"] = clean(str(jax.make_jaxpr(f)(*avals)))
    if hlo:
        fields["stablehlo"] = clean(jax.jit(f).lower(*avals).as_text())
    cases.put("programs", f"programs/{name}", **fields)


# one-liners are given by their text
ONE_LINERS = {
    "add-mul": ("lambda x, y: x * 2.0 + y", ((3,), F), ((3,), F)),
    "scalar-weak": ("lambda x: x + 1", ((), I)),
    "python-scalar-argument": ("lambda x, y: x + y", ((3,), F), 1.5),
    "elementwise": ("lambda x: jnp.exp(x) + jnp.tanh(x) / jnp.sqrt(x) - jnp.sin(-x) ** 2", ((2, 3), F)),
    "compare-select": ("lambda x, y: jnp.where(x > y, x, jnp.maximum(y, 0.0))", ((3,), F), ((3,), F)),
    "logical": ("lambda a, b: ~a & b | (a ^ b)", ((3,), B), ((3,), B)),
    "integer": ("lambda x, y: (x // y, x % y, x << 1, x ** 3, abs(x))", ((3,), I), ((3,), I)),
    "power": ("lambda x, y: (x ** 2, x ** 0.5, x ** y, 2.0 ** x, x ** -1)", ((3,), F), ((3,), F)),
    "matmul": ("lambda a, b: a @ b", ((2, 3), F), ((3, 4), F)),
    "matmul-batch": ("lambda a, b: jnp.matmul(a, b)", ((2, 2, 3), F), ((2, 3, 4), F)),
    "matmul-vector": ("lambda a, b: a @ b", ((2, 3), F), ((3,), F)),
    "einsum": ("lambda q, k: jnp.einsum('bqhd,bkhd->bhqk', q, k)", ((2, 3, 2, 4), F), ((2, 5, 2, 4), F)),
    "broadcast-add": ("lambda x, b: x + b", ((2, 3), F), ((3,), F)),
    "reduce": ("lambda x: (x.sum(), x.mean(axis=0), x.max(axis=-1, keepdims=True), jnp.prod(x), x.argmax(axis=1))", ((2, 3), F)),
    "reduce-bool": ("lambda x: (x.all(), x.any(axis=0))", ((2, 3), B)),
    "variance": ("lambda x: x.var(axis=-1)", ((2, 3), F)),
    "shape": ("lambda x: (x.reshape(3, 2), x.T, x[None], jnp.squeeze(x[:1], 0), jnp.broadcast_to(x, (4, 2, 3)))", ((2, 3), F)),
    "join": ("lambda x, y: (jnp.concatenate([x, y]), jnp.stack([x, y]), jnp.pad(x, 1), jnp.flip(x), jnp.split(x, 3))", ((3,), F), ((3,), F)),
    "index-static": ("lambda x: (x[1], x[-1], x[::2], x[::-1], x[1:3], x[..., None])", ((5,), F)),
    "index-array": ("lambda x, i: x[i]", ((5, 2), F), ((3,), I)),
    "index-scalar": ("lambda x, i: x[i]", ((5, 2), F), ((), I)),
    "index-mixed": ("lambda x, i: x[:, i, None]", ((2, 5, 3), F), ((4,), I)),
    "take": ("lambda x, i: jnp.take(x, i, axis=1)", ((2, 5), F), ((3,), I)),
    "take_along_axis": ("lambda x, i: jnp.take_along_axis(x, i, axis=1)", ((2, 5), F), ((2, 1), I)),
    "at-set": ("lambda x, i, y: x.at[i].set(y)", ((5,), F), ((2,), I), ((2,), F)),
    "at-add": ("lambda x, i, y: x.at[i].add(y)", ((5,), F), ((2,), I), ((2,), F)),
    "at-slice-set": ("lambda x: x.at[1:3].set(0.0)", ((5,), F)),
    "at-slice-add": ("lambda x: x.at[:, 0].add(1.0)", ((2, 3), F)),
    "dynamic_slice": ("lambda x, i: lax.dynamic_slice(x, (i, 0), (2, 2))", ((4, 3), F), ((), I)),
    "dynamic_update_slice": ("lambda x, y, i: lax.dynamic_update_slice(x, y, (i, 0))", ((4, 3), F), ((2, 2), F), ((), I)),
    "sort": ("lambda x: (jnp.sort(x), jnp.argsort(x), lax.top_k(x, 2))", ((5,), F)),
    "cumulative": ("lambda x: (jnp.cumsum(x), lax.cummax(x, reverse=True), jnp.cumprod(x, axis=0))", ((5,), F)),
    "clip-round": ("lambda x: (jnp.clip(x, -1, 1), jnp.round(x), jnp.floor(x), jnp.sign(x), jnp.isnan(x))", ((3,), F)),
    "convert": ("lambda x: (x.astype(jnp.int32), x.astype(jnp.bfloat16), lax.bitcast_convert_type(x, jnp.uint32))", ((3,), F)),
    "promote": ("lambda x, y: x + y", ((3,), I), ((3,), F)),
    "iota": ("lambda: (jnp.arange(3), jnp.zeros((2, 2)), jnp.eye(2), jnp.linspace(0.0, 1.0, 3), jnp.full((2,), 7))",),
    "one_hot": ("lambda i: jax.nn.one_hot(i, 3)", ((2,), I)),
    "tril": ("lambda x: jnp.tril(x)", ((3, 3), F)),
    "softmax": ("lambda x: jax.nn.softmax(x)", ((2, 3), F)),
    "log_softmax": ("lambda x: jax.nn.log_softmax(x)", ((2, 3), F)),
    "logsumexp": ("lambda x: jax.nn.logsumexp(x, axis=-1)", ((2, 3), F)),
    "relu": ("lambda x: jax.nn.relu(x)", ((3,), F)),
    "gelu": ("lambda x: jax.nn.gelu(x)", ((3,), F)),
    "gelu-exact": ("lambda x: jax.nn.gelu(x, approximate=False)", ((3,), F)),
    "silu": ("lambda x: jax.nn.silu(x)", ((3,), F)),
    "softplus": ("lambda x: jax.nn.softplus(x)", ((3,), F)),
    "conv": ("lambda x, k: lax.conv_general_dilated(x, k, (2, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))", ((1, 5, 5, 2), F), ((3, 3, 2, 4), F)),
    "conv_transpose": ("lambda x, k: lax.conv_transpose(x, k, (2,), 'SAME')", ((1, 4, 2), F), ((3, 2, 3), F)),
    "max_pool": ("lambda x: nnx.max_pool(x, (2, 2), strides=(2, 2))", ((1, 4, 4, 2), F)),
    "avg_pool": ("lambda x: nnx.avg_pool(x, (2, 2), padding='SAME')", ((1, 3, 3, 2), F)),
    "random-uniform": ("lambda k: jax.random.uniform(k, (3,))", jax.random.key(0)),
    "random-normal": ("lambda k: jax.random.normal(k, (3,))", jax.random.key(0)),
    "random-split": ("lambda k: jax.random.split(k)", jax.random.key(0)),
    "random-fold_in": ("lambda k: jax.random.fold_in(k, 1)", jax.random.key(0)),
    "random-bernoulli": ("lambda k: jax.random.bernoulli(k, 0.5, (3,))", jax.random.key(0)),
    "stop_gradient": ("lambda x: x * lax.stop_gradient(x)", ((3,), F)),
    "cond": ("lambda p, x: lax.cond(p, lambda v: v + 1.0, lambda v: v * 2.0, x)", ((), B), ((3,), F)),
    "switch": ("lambda i, x: lax.switch(i, [lambda v: v, lambda v: v + 1.0, lambda v: v * 2.0], x)", ((), I), ((3,), F)),
    "while_loop": ("lambda x: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 2.0), (0, x))", ((), F)),
    "fori_loop": ("lambda n, x: lax.fori_loop(0, n, lambda i, v: v + i, x)", ((), I), ((), F)),
    "fori_loop-static": ("lambda x: lax.fori_loop(0, 3, lambda i, v: v * 2.0, x)", ((), F)),
    "scan": ("lambda h, xs: lax.scan(lambda c, x: (c * 0.5 + x, c.sum()), h, xs)", ((2,), F), ((4, 2), F)),
    "scan-closure": ("lambda w, h, xs: lax.scan(lambda c, x: (jnp.tanh(c @ w + x), c), h, xs)", ((2, 2), F), ((2,), F), ((4, 2), F)),
    "scan-reverse-length": ("lambda h: lax.scan(lambda c, _: (c + 1.0, c), h, None, length=3, reverse=True)", ((), F)),
    "map": ("lambda xs: lax.map(lambda x: x * 2.0, xs)", ((4,), F)),
    "associative_scan": ("lambda x: lax.associative_scan(jnp.add, x)", ((4,), F)),
    "jit-in-jit": ("lambda x: jax.jit(lambda y: y + 1.0)(x) * 2.0", ((3,), F)),
    "grad": ("jax.grad(lambda x: jnp.sum(x ** 3))", ((3,), F)),
    "grad-of-grad": ("jax.grad(jax.grad(lambda x: x ** 3))", ((), F)),
    "value_and_grad-linear": ("jax.value_and_grad(lambda w, x, y: jnp.mean((x @ w - y) ** 2))", ((3, 2), F), ((4, 3), F), ((4, 2), F)),
    "grad-tanh-mlp": ("jax.grad(lambda ws, x: jnp.sum(jnp.tanh(jnp.tanh(x @ ws[0]) @ ws[1])))", [S((2, 3), F), S((3, 1), F)], S((4, 2), F)),
    "grad-softmax-cross-entropy": ("jax.grad(lambda z: -jax.nn.log_softmax(z)[0])", ((3,), F)),
    "grad-scan": ("jax.grad(lambda h, xs: lax.scan(lambda c, x: (jnp.sin(c) + x, None), h, xs)[0])", ((), F), ((4,), F)),
    "grad-cond": ("jax.grad(lambda x, p: lax.cond(p, jnp.sin, lambda v: v * v, x))", ((), F), ((), B)),
    "grad-index": ("jax.grad(lambda x, i: jnp.sum(x[i]))", ((5,), F), ((2,), I)),
    "grad-max": ("jax.grad(lambda x: jnp.max(x))", ((3,), F)),
    "grad-conv": ("jax.grad(lambda k, x: jnp.sum(lax.conv_general_dilated(x, k, (2,), 'SAME', dimension_numbers=('NWC', 'WIO', 'NWC'))))", ((3, 2, 3), F), ((1, 5, 2), F)),
    "jvp": ("lambda x, t: jax.jvp(lambda v: jnp.sin(v) * v, (x,), (t,))", ((3,), F), ((3,), F)),
    "linearize": ("lambda x, t: jax.linearize(lambda v: jnp.sin(v) * v, x)[1](t)", ((3,), F), ((3,), F)),
    "vmap": ("jax.vmap(lambda w, x: w @ x, in_axes=(None, 0))", ((2, 3), F), ((4, 3), F)),
    "vmap-cond": ("jax.vmap(lambda p, x: lax.cond(p, jnp.sin, jnp.cos, x))", ((4,), B), ((4,), F)),
    "vmap-while": ("jax.vmap(lambda x: lax.while_loop(lambda v: v < 10.0, lambda v: v * 2.0, x))", ((4,), F)),
    "vmap-scan": ("jax.vmap(lambda h: lax.scan(lambda c, _: (c * 2.0, c), h, None, length=3))", ((4,), F)),
    "vmap-index": ("jax.vmap(lambda x, i: x[i])", ((4, 5), F), ((4,), I)),
    "vmap-of-grad": ("jax.vmap(jax.grad(lambda w, x: jnp.sum(jnp.tanh(w * x))), in_axes=(None, 0))", ((3,), F), ((4, 3), F)),
    "remat": ("jax.grad(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x))))", ((), F)),
    "unused-and-repeated-outputs": ("lambda x, y: (x, x, 1.0)", ((3,), F), ((3,), F)),
    "literal-and-constant": ("lambda x: x + np.array([1.0, 2.0, 3.0], np.float32) * 3", ((3,), F)),
    "dict-and-list": ("lambda t: {'b': t['a'] + 1.0, 'c': [t['a'], t['d']]}", {"a": S((2,), F), "d": S((), I)}),
}


@jax.custom_jvp
def softened(x):
    return jnp.maximum(x, 0.0)


@softened.defjvp
def softened_jvp(primals, tangents):
    return softened(primals[0]), tangents[0] * jax.nn.sigmoid(primals[0])


@jax.custom_vjp
def clipped_gradient(x):
    return x


clipped_gradient.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1.0, 1.0),))

for name, (text, *args) in ONE_LINERS.items():
    f = eval(text)
    if name in ("dict-and-list", "grad-tanh-mlp"):
        fields = {"source": text, "args": str(jax.tree.map(lambda a: f"{a.dtype.name}{list(a.shape)}", args))}
        cases.put("programs", f"programs/{name}", **fields, jaxpr=clean(str(jax.make_jaxpr(f)(*args))), stablehlo=clean(jax.jit(f).lower(*args).as_text()))
    else:
        program(name, f, *args, source=text)
program("custom_jvp", softened, ((3,), F), source=inspect.getsource(softened.__wrapped__))
program("custom_jvp-grad", jax.grad(softened), ((), F), source="jax.grad of custom_jvp")
program("custom_vjp", clipped_gradient, ((3,), F), source=inspect.getsource(clipped_gradient.__wrapped__))
program("custom_vjp-grad", jax.grad(lambda x: 3.0 * clipped_gradient(x)), ((), F), source="jax.grad(lambda x: 3.0 * clipped_gradient(x))")


@jax.jit
def step(params, x, y):
    def loss(p):
        h = jax.nn.relu(x @ p["w1"] + p["b1"])
        return jnp.mean((h @ p["w2"] - y) ** 2)

    value, grads = jax.value_and_grad(loss)(params)
    return value, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


params = {"w1": S((2, 4), F), "b1": S((4,), F), "w2": S((4, 1), F)}
cases.put("programs", "programs/sgd-step", source=inspect.getsource(step), args=str({k: list(v.shape) for k, v in params.items()}) + ", float32[8, 2], float32[8, 1]",
          jaxpr=clean(str(jax.make_jaxpr(step)(params, S((8, 2), F), S((8, 1), F)))), stablehlo=clean(step.lower(params, S((8, 2), F), S((8, 1), F)).as_text()))

# -- Variables in a program ------------------------------------------------------------------------------------------


def with_variables(name, make, f, source):
    v = make()
    try:
        text = clean(str(jax.make_jaxpr(f)(v)))
    except Exception as e:
        text = clean(f"{type(e).__name__}: {str(e).splitlines()[0].split(' (http')[0]}")
    cases.put("variables", f"variables/{name}", source=source, jaxpr=text)


def inc(v):
    v[...] += 1


with_variables("hijax-increment", lambda: nnx.Variable(jnp.array(0), hijax=True), inc, "v = Variable(jnp.array(0), hijax=True); " + inspect.getsource(inc))
with_variables("hijax-increment-in-jit", lambda: nnx.Variable(jnp.array(0), hijax=True), jax.jit(inc), "v = Variable(jnp.array(0), hijax=True); jax.jit of " + inspect.getsource(inc))
for wrap, label in [(inc, "increment"), (jax.jit(inc), "increment-in-jit")]:
    with_variables(f"hijax-ref-{label}", lambda: nnx.Variable(jnp.array(0), hijax=True, ref=True), wrap, "v = Variable(jnp.array(0), hijax=True, ref=True); " + inspect.getsource(inc))
    with_variables(f"ref-{label}", lambda: nnx.Variable(jnp.array(0), ref=True), wrap, "v = Variable(jnp.array(0), ref=True); " + inspect.getsource(inc))
with_variables("hijax-linear", lambda: nnx.Param(jnp.ones((3, 2)), hijax=True), lambda w: jnp.ones((1, 3)) @ w[...], "w = Param(jnp.ones((3, 2)), hijax=True); lambda w: jnp.ones((1, 3)) @ w[...]")
ref = jax.new_ref(jnp.array([1, 2, 3]))


def increment(a_ref):
    a_ref[...] = a_ref[...] + 1


cases.put("variables", "variables/array-ref-increment", source="a_ref = jax.new_ref(jnp.array([1, 2, 3])); " + inspect.getsource(increment), jaxpr=clean(str(jax.make_jaxpr(increment)(ref))),
          stablehlo=clean(jax.jit(increment).lower(ref).as_text()))


class Model(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 3, rngs=rngs)
        self.bn = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.dropout(self.bn(self.linear(x))))


graphdef, state = nnx.split(Model(nnx.Rngs(0)))


def forward(state, x):
    model = nnx.merge(graphdef, state)
    return model(x), nnx.state(model)


cases.put("variables", "variables/functional-forward", source=inspect.getsource(Model) + inspect.getsource(forward), jaxpr=clean(str(jax.make_jaxpr(forward)(state, jnp.ones((4, 2))))))

cases.write("programs.json")
