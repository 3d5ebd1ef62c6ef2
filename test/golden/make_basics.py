"""basics.json: the models of the basics guide, in the order of its cells, and values sown.

A case has "steps": what each did, in words, and the values that Flax gives. Each model is written as text.
"""

import inspect

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from golden import Cases, value

cases = Cases()


def values(node):
    state = node if isinstance(node, nnx.State) else nnx.state(node)
    return {"/".join(map(str, p)): value(v.get_value() if isinstance(v, nnx.Variable) else v) for p, v in nnx.to_flat_state(state)}


class Linear(nnx.Module):
    def __init__(self, din, dout, *, rngs):
        self.w = nnx.Param(jax.random.uniform(rngs.params(), (din, dout)))
        self.b = nnx.Param(jnp.zeros((dout,)))
        self.din, self.dout = din, dout

    def __call__(self, x):
        return x @ self.w + self.b


class MLP(nnx.Module):
    def __init__(self, din, dmid, dout, *, rngs):
        self.linear1 = Linear(din, dmid, rngs=rngs)
        self.dropout = nnx.Dropout(rate=0.1, rngs=rngs)
        self.bn = nnx.BatchNorm(dmid, rngs=rngs)
        self.linear2 = Linear(dmid, dout, rngs=rngs)

    def __call__(self, x):
        x = nnx.gelu(self.dropout(self.bn(self.linear1(x))))
        return self.linear2(x)


class LoraParam(nnx.Param):
    pass


class LoraLinear(nnx.Module):
    def __init__(self, linear, rank, rngs):
        self.linear = linear
        self.A = LoraParam(jax.random.normal(rngs(), (linear.din, rank)))
        self.B = LoraParam(jax.random.normal(rngs(), (rank, linear.dout)))

    def __call__(self, x):
        return self.linear(x) + x @ self.A @ self.B


# Inputs that differ in every row, so that BatchNorm has something to normalize.
def rows(n, m):
    return (jnp.arange(n * m, dtype=jnp.float32).reshape(n, m) % 7 - 3) / 4


def put(name, *classes, **fields):
    cases.put("basics", f"basics/{name}", model="\n".join(inspect.getsource(c) for c in classes), **fields)


model = Linear(2, 5, rngs=nnx.Rngs(params=0))
put("linear", Linear, made=values(model), out=value(model(jnp.ones((1, 2)))))

model = MLP(2, 16, 5, rngs=nnx.Rngs(0))
made = values(model)
put("mlp", Linear, MLP, made=made, x=value(rows(3, 2)), out=value(model(rows(3, 2))), after=values(model))

rngs = nnx.Rngs(0)
model = MLP(2, 32, 5, rngs=rngs)
model.linear1 = LoraLinear(model.linear1, 4, rngs=rngs)
model.linear2 = LoraLinear(model.linear2, 4, rngs=rngs)
made = values(model)
put("surgery", Linear, MLP, LoraLinear, made=made, x=value(rows(3, 2)), out=value(model(rows(3, 2))))

model = MLP(2, 16, 10, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)


@nnx.jit
def train_step(model, optimizer, x, y):
    def loss_fn(model):
        return jnp.mean((model(x) - y) ** 2)

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


losses = [train_step(model, optimizer, rows(5, 2), jnp.ones((5, 10))) for _ in range(3)]
stats = {p: v for p, v in values(model).items() if p.startswith(("bn/mean", "bn/var", "dropout"))}
put("train", Linear, MLP, losses=value(losses), step=value(optimizer.step.get_value()), stats=stats)


class Sower(nnx.Module):
    def __init__(self, rngs):
        self.linear1 = nnx.Linear(2, 3, rngs=rngs)
        self.linear2 = nnx.Linear(3, 4, rngs=rngs)

    def __call__(self, x):
        x = self.linear1(x)
        self.sow(nnx.Intermediate, "i", x)
        return self.linear2(x)


model = Sower(nnx.Rngs(0))
x = rows(1, 2)
out = [model(x), model(2 * x)]
put("sow", Sower, x=value(x), outs=value(out), sown=value(nnx.pop(model, nnx.Intermediate)["i"].get_value()))

cases.write("basics.json")
