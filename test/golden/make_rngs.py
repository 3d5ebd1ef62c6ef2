"""rngs.json: what the functions of Flax on the streams of a whole model do to their keys and counts; the stacks of the second notebook and of the basics guide.

A case is {"name", "steps": [{"call", "streams"}, ...]}: after each call, every stream of the node by path. A case that Flax refuses has "error".
`notebook/stack`: the blocks of the array-refs notebook made by vmap over eight streams and run by scan: "x", "y", "mean" and "count" of the state after it.
`guide/stack`: the same of the guide's five MLPs, made from keys."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import rnglib

from golden import Cases, value

cases = Cases()


def streams(node):
    state = nnx.to_flat_state(nnx.state(node, nnx.RngState))
    return {"/".join(map(str, path)): value(v.get_value()) for path, v in state}


def warm():
    """Rngs(params=0, dropout=1) after one params and two dropout calls."""
    r = nnx.Rngs(params=0, dropout=1)
    r.params(), r.dropout(), r.dropout()
    return r


def steps(name, node, *calls):
    log = [{"call": "start", "streams": streams(node)}]
    for text, call in calls:
        try:
            made = call(node)
            if isinstance(made, nnx.Rngs):
                log.append({"call": text, "streams": streams(node), "made": streams(made)})
            else:
                log.append({"call": text, "streams": streams(node)})
        except ValueError as e:
            log.append({"call": text, "error": type(e).__name__, "message": str(e)})
    cases.put("streams", name, steps=log)


saved = {}


def save(key, f):
    def run(node):
        saved[key] = f(node)

    return run


def restore(key):
    return ("restore", lambda node: nnx.restore_rngs(saved[key]))


split = nnx.split_rngs
steps("splitRngs/3", warm(), ("splitRngs 3", save("a", lambda r: split(r, splits=3))), restore("a"))
steps("splitRngs/2x2", warm(), ("splitRngs 2x2", save("b", lambda r: split(r, splits=(2, 2)))), restore("b"))
steps("splitRngs/only", warm(), ("splitRngs 3 only dropout", save("c", lambda r: split(r, splits=3, only="dropout"))), restore("c"))
steps("splitRngs/squeeze", warm(), ("splitRngs 1 squeeze", save("d", lambda r: split(r, splits=1, squeeze=True))), restore("d"))
steps("splitRngs/squeeze-2", warm(), ("splitRngs 2 squeeze", lambda r: split(r, splits=2, squeeze=True)))
steps("forkRngs/all", warm(), ("forkRngs", save("e", lambda r: nnx.fork_rngs(r))), ("draw", lambda r: (r.params(), None)[1]), restore("e"))
steps("forkRngs/params-4", warm(), ("forkRngs params 4", save("f", lambda r: nnx.fork_rngs(r, split={"params": 4, "dropout": None}))), restore("f"))
steps("forkRngs/3", warm(), ("forkRngs 3", save("g", lambda r: nnx.fork_rngs(r, split=3))), restore("g"))
steps("backupKeys", warm(), ("backupKeys", save("h", rnglib.backup_keys)), ("forkRngs", lambda r: (nnx.fork_rngs(r), None)[1]), restore("h"))
steps("reseed/dropout", warm(), ("reseed", lambda r: nnx.reseed(r, dropout=42)))
steps("reseed/all", warm(), ("reseed", lambda r: nnx.reseed(r, params=5, dropout=42)))
steps("reseed/stack", warm(), ("splitRngs 3 only dropout", lambda r: (split(r, splits=3, only="dropout"), None)[1]),
      ("scalarsOnly", lambda r: nnx.reseed(r, dropout=42)), ("matchShape", lambda r: nnx.reseed(r, dropout=42, policy="match_shape")))


class Two(nnx.Module):
    """Two layers that hold a stream of one name each."""

    def __init__(self, rngs):
        self.a = nnx.Dropout(0.5, rngs=rngs)
        self.b = nnx.Dropout(0.5, rngs=rngs)


steps("reseed/model", Two(nnx.Rngs(0)), ("reseed", lambda m: nnx.reseed(m, default=7)))
steps("splitRngs/model", Two(nnx.Rngs(0)), ("splitRngs 2", save("m", lambda m: split(m, splits=2))), restore("m"))

pure = {"graph": True, "graph_updates": False}
steps("withRngs/split", warm(), ("withRngs", lambda r: nnx.with_rngs(r, split=4, **pure)))
steps("withRngs/split-fork", warm(), ("withRngs", lambda r: nnx.with_rngs(r, split={"params": 4}, fork=..., **pure)))
steps("withRngs/broadcast", warm(), ("withRngs", lambda r: nnx.with_rngs(r, broadcast={"dropout": 2}, **pure)))
steps("withRngs/only", warm(), ("withRngs", lambda r: nnx.with_rngs(r, split=2, only="params", **pure)))
steps("withRngs/conflict", warm(), ("withRngs", lambda r: nnx.with_rngs(r, split={"params": 4}, fork="params", **pure)))


class Linear(nnx.Module):
    def __init__(self, din, dout, rngs):
        self.kernel = nnx.Param(jax.random.normal(rngs(), (din, dout)))
        self.bias = nnx.Param(jnp.zeros(dout))

    def __call__(self, x):
        return x @ self.kernel + self.bias[None]


class Block(nnx.Module):
    def __init__(self, din, dmid, dout, rngs):
        self.linear = Linear(din, dmid, rngs=rngs)
        self.bn = nnx.BatchNorm(dmid, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.linear_out = Linear(dmid, dout, rngs=rngs)

    def __call__(self, x):
        return self.linear_out(nnx.gelu(self.dropout(self.bn(self.linear(x)))))


@nnx.vmap
def create_stack(rngs):
    return Block(2, 64, 2, rngs=rngs)


@nnx.scan
def forward(x, block):
    return block(x), None


stack = create_stack(nnx.Rngs(0).split(8))
x = jax.random.uniform(jax.random.key(0), (3, 2))
y, _ = forward(x, stack)
cases.put("notebook", "notebook/stack", x=value(x), y=value(y), mean=value(stack.bn.mean.get_value()), count=value(stack.dropout.rngs.count.get_value()))



class UniformLinear(nnx.Module):
    def __init__(self, din, dout, rngs):
        self.w = nnx.Param(jax.random.uniform(rngs.params(), (din, dout)))
        self.b = nnx.Param(jnp.zeros((dout,)))

    def __call__(self, x):
        return x @ self.w + self.b


class MLP(nnx.Module):
    def __init__(self, din, dmid, dout, rngs):
        self.linear1 = UniformLinear(din, dmid, rngs=rngs)
        self.dropout = nnx.Dropout(rate=0.1, rngs=rngs)
        self.bn = nnx.BatchNorm(dmid, rngs=rngs)
        self.linear2 = UniformLinear(dmid, dout, rngs=rngs)

    def __call__(self, x):
        return self.linear2(nnx.gelu(self.dropout(self.bn(self.linear1(x)))))


@nnx.vmap(in_axes=0, out_axes=0)
def create_model(key):
    return MLP(10, 32, 10, rngs=nnx.Rngs(key))


@nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
def run(model, x):
    return model(x)


model = create_model(jax.random.split(jax.random.key(0), 5))
x = jax.random.uniform(jax.random.key(1), (3, 10))
y = run(model, x)
cases.put("notebook", "guide/stack", x=value(x), y=value(y), mean=value(model.bn.mean.get_value()), count=value(model.dropout.rngs.count.get_value()))

cases.write("rngs.json")
