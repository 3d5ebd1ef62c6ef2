"""training.json: whole models trained for some steps; surgery; metrics and EMA.

A run has "made" (the Variables of the model, with their kinds), "batches", "gradients" of the first step, and "steps": after each, the loss and
the Variables that changed. Each model is written as text where its case is made.

A bias before BatchNorm, or of the keys in attention, has a gradient that is zero but for rounding, and Adam makes steps of full size of that. So the
models that Adam trains have none, and `train` asserts that no gradient is of that kind.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from golden import Cases, attempt, value

rng = np.random.RandomState(5)
cases = Cases()


def f32(*shape):
    return jnp.asarray(np.round(rng.randn(*shape), 2), jnp.float32)


def content(v):
    return v.get_value() if isinstance(v, nnx.Variable) else v


def values(node):
    """The Variables by path; a State too."""
    state = node if isinstance(node, nnx.State) else nnx.state(node)
    return {"/".join(map(str, p)): value(content(v)) for p, v in nnx.to_flat_state(state)}


def kinds(node):
    return {"/".join(map(str, p)): type(v).__name__ if isinstance(v, nnx.Variable) else "Array" for p, v in nnx.to_flat_state(nnx.state(node))}


class Block(nnx.Module):
    def __init__(self, din, dmid, dout, rngs, rate=0.1, use_bias=False):
        self.linear = nnx.Linear(din, dmid, use_bias=use_bias, rngs=rngs)
        self.bn = nnx.BatchNorm(dmid, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.linear_out = nnx.Linear(dmid, dout, rngs=rngs)

    def __call__(self, x):
        x = nnx.gelu(self.dropout(self.bn(self.linear(x))))
        return self.linear_out(x)


class ConvNet(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(4, 3, (3, 3), strides=2, padding="VALID", rngs=rngs)
        self.linear = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv1(x)), (2, 2), strides=(2, 2))
        x = nnx.relu(self.conv2(x))
        x = nnx.avg_pool(x, (1, 1))
        return self.linear(x.mean(axis=(1, 2)))


class StatefulLinear(nnx.Module):
    """A Linear that counts its calls, from the Flax basics guide."""

    class Count(nnx.Variable):
        pass

    def __init__(self, din, dout, rngs):
        self.w = nnx.Param(jax.random.uniform(rngs.params(), (din, dout)))
        self.b = nnx.Param(jnp.zeros((dout,)))
        self.count = StatefulLinear.Count(jnp.array(0, dtype=jnp.uint32))

    def __call__(self, x):
        self.count[...] += 1
        return x @ self.w + self.b


class Transformer(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(5, 4, rngs=rngs)
        self.norm1 = nnx.LayerNorm(4, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 4, use_bias=False, decode=False, rngs=rngs)
        self.norm2 = nnx.RMSNorm(4, rngs=rngs)
        self.up = nnx.Linear(4, 8, rngs=rngs)
        self.down = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens)
        x = x + self.attention(self.norm1(x), is_causal=True)
        x = x + self.down(nnx.silu(self.up(self.norm2(x))))
        return self.embed.attend(x)


def mean_squares(model, batch):
    x, y = batch
    return jnp.mean((model(x) - y) ** 2)


def cross_entropy(model, batch):
    x, y = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


TX = {
    "adam": (lambda: optax.adam(1e-3), "adam(1e-3)"),
    "adam-large": (lambda: optax.adam(0.05), "adam(0.05)"),
    "sgd-momentum-nesterov": (lambda: optax.sgd(0.05, momentum=0.9, nesterov=True), "sgd(0.05, momentum=0.9, nesterov=True)"),
    "clip-adamw-warmup-cosine": (
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 1e-2, 2, 5, 1e-4), weight_decay=0.1)),
        "chain(clip_by_global_norm(1.0), adamw(warmup_cosine_decay_schedule(0.0, 1e-2, 2, 5, 1e-4), weight_decay=0.1))",
    ),
}


def train(name, make, text, tx, loss_fn, batches, wrt=nnx.Param, wrt_text="Param"):
    model = make()
    make_tx, tx_text = TX[tx]
    fields = {"model": text, "tx": tx_text, "wrt": wrt_text, "kinds": kinds(model), "made": values(model), "batches": [value(list(b)) for b in batches]}
    optimizer = nnx.Optimizer(model, make_tx(), wrt=wrt)
    fields["optimizer_made"] = values(optimizer)
    fields["optimizer_kinds"] = kinds(optimizer)

    argnum = nnx.DiffState(0, wrt)

    @nnx.jit
    def step(model, optimizer, batch):
        loss, grads = nnx.value_and_grad(loss_fn, argnums=argnum)(model, batch)
        optimizer.update(model, grads)
        return loss

    log = []
    for number, batch in enumerate(batches):
        before = values(model)
        grads = nnx.grad(loss_fn, argnums=argnum)(nnx.clone(model), batch)
        if "adam" in tx:
            for path, g in nnx.to_flat_state(grads):
                size = jnp.abs(g.get_value())
                assert not jnp.any((size > 0) & (size < 2e-6)), f"{name}: step {number}: {path}: {size[(size > 0) & (size < 2e-6)]}"
        if number == 0:
            fields["gradients"] = values(grads)
        loss = step(model, optimizer, batch)
        after = values(model)
        log.append({"loss": value(loss), "changed": {p: v for p, v in after.items() if before[p] != v}})
    fields["steps"] = log
    fields["optimizer_after"] = values(optimizer)
    if hasattr(model, "eval"):
        model.eval()
    result = attempt(lambda: model(batches[0][0]))
    cases.put("train", f"train/{name}", **fields, evaluated=result.get("out"))


block_text = inspect.getsource(Block)
mlp_batches = [(f32(6, 2), f32(6, 3)) for _ in range(5)]
train("block-with-bias/sgd-momentum-nesterov", lambda: Block(2, 8, 3, nnx.Rngs(0), use_bias=True), block_text + "\nBlock(2, 8, 3, Rngs(0), use_bias=True)", "sgd-momentum-nesterov", mean_squares,
      mlp_batches)
for tx in TX:
    train(f"block/{tx}", lambda: Block(2, 8, 3, nnx.Rngs(0)), block_text + "\nBlock(2, 8, 3, Rngs(0))", tx, mean_squares, mlp_batches)
train("block-params-0-dropout-1/adam-large", lambda: Block(2, 4, 3, nnx.Rngs(params=0, dropout=1), 0.5), block_text + "\nBlock(2, 4, 3, Rngs(params=0, dropout=1), 0.5)", "adam-large", mean_squares, mlp_batches)
images = [(f32(4, 8, 8, 1), jnp.asarray(rng.randint(0, 3, 4), jnp.int32)) for _ in range(3)]
for tx in ["adam-large", "sgd-momentum-nesterov"]:
    train(f"convnet/{tx}", lambda: ConvNet(nnx.Rngs(0)), inspect.getsource(ConvNet) + "\nConvNet(Rngs(0)), loss: mean of softmax cross-entropy with integer labels", tx, cross_entropy, images)
tokens = [(jnp.asarray(rng.randint(0, 5, (2, 4)), jnp.int32), jnp.asarray(rng.randint(0, 5, (2, 4)), jnp.int32)) for _ in range(3)]
train("transformer/adam-large", lambda: Transformer(nnx.Rngs(0)), inspect.getsource(Transformer) + "\nTransformer(Rngs(0)), loss: mean of softmax cross-entropy with integer labels", "adam-large", cross_entropy, tokens)
train("stateful-linear/sgd-momentum-nesterov", lambda: StatefulLinear(2, 3, nnx.Rngs(0)), inspect.getsource(StatefulLinear) + "\nStatefulLinear(2, 3, Rngs(0))", "sgd-momentum-nesterov", mean_squares, mlp_batches)


class RnnModel(nnx.Module):
    def __init__(self, rngs):
        self.rnn = nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs), rngs=rngs)
        self.linear = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.linear(self.rnn(x)[:, -1])


train("gru/adam-large", lambda: RnnModel(nnx.Rngs(0)), inspect.getsource(RnnModel) + "\nRnnModel(Rngs(0))", "adam-large", mean_squares, [(f32(2, 4, 3), f32(2, 2)) for _ in range(3)])

# -- surgery: LoRA put around the layers of a made model, and only its parameters trained ----------------------------


class MLP(nnx.Module):
    def __init__(self, din, dmid, dout, rngs):
        self.linear1 = nnx.Linear(din, dmid, rngs=rngs)
        self.linear2 = nnx.Linear(dmid, dout, rngs=rngs)

    def __call__(self, x):
        return self.linear2(nnx.relu(self.linear1(x)))


def with_lora():
    rngs = nnx.Rngs(0)
    model = MLP(2, 4, 3, rngs)
    model.linear1 = nnx.LoRA(2, 2, 4, base_module=model.linear1, rngs=rngs)
    model.linear2 = nnx.LoRA(4, 2, 3, base_module=model.linear2, rngs=rngs)
    return model


mlp_text = inspect.getsource(MLP)
lora_text = mlp_text + "\n" + inspect.getsource(with_lora)
train("lora/adam-large", with_lora, lora_text, "adam-large", mean_squares, mlp_batches, wrt=nnx.LoRAParam, wrt_text="LoRAParam")

# -- stacks: layers made by vmap, run by scan ------------------------------------------------------------------------


class Stack(nnx.Module):
    def __init__(self, depth, rngs):
        @nnx.split_rngs(splits=depth)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def make(rngs):
            return Layer(rngs)

        self.layers = make(rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def forward(layer, x):
            return layer(x)

        return forward(self.layers, x)


class Layer(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 3, use_bias=False, rngs=rngs)
        self.bn = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return x + nnx.gelu(self.dropout(self.bn(self.linear(x))))


stack_batches = [(f32(4, 3), f32(4, 3)) for _ in range(3)]
train("stack-of-4-by-vmap-and-scan/adam-large", lambda: Stack(4, nnx.Rngs(0)), inspect.getsource(Stack) + "\n" + inspect.getsource(Layer) + "\nStack(4, Rngs(0))", "adam-large", mean_squares, stack_batches)

# -- counting calls --------------------------------------------------------------------------------------------------

model = StatefulLinear(2, 3, nnx.Rngs(0))
x = f32(2, 2)
log = []
for _ in range(3):
    out = model(x)
    log.append({"out": value(out), "count": value(model.count[...])})
graphdef, params, counts = nnx.split(model, nnx.Param, StatefulLinear.Count)
cases.put("state", "state/stateful-linear-3-calls", model=inspect.getsource(StatefulLinear), made_from="StatefulLinear(2, 3, Rngs(0))", x=value(x), steps=log,
          split={"Param": values(params), "Count": values(counts)})

# -- metrics ---------------------------------------------------------------------------------------------------------

logits = [f32(4, 3), f32(4, 3), f32(2, 3)]
labels = [jnp.array([0, 1, 2, 0]), jnp.array([2, 2, 1, 0]), jnp.array([1, 1])]


def metric(name, make, updates, **fields):
    m = make()

    def computed():
        out = m.compute()
        return vars(out) if isinstance(out, nnx.metrics.Statistics) else out

    log = [{"at": "start", **attempt(computed)}]
    for u in updates:
        m.update(**u)
        log.append({"update": {k: value(v) for k, v in u.items()}, **attempt(computed), "variables": values(m)})
    m.reset()
    log.append({"at": "reset", "variables": values(m)})
    cases.put("metrics", f"metrics/{name}", steps=log, **fields)


metric("Average", lambda: nnx.metrics.Average(), [{"values": v} for v in [f32(3), f32(2, 2), jnp.float32(4.0)]])
metric("Average-argname-loss", lambda: nnx.metrics.Average("loss"), [{"loss": jnp.float32(2.0)}, {"loss": jnp.float32(4.0)}])
metric("Average-of-ints", lambda: nnx.metrics.Average(), [{"values": jnp.array([1, 2])}, {"values": 7}])
metric("Accuracy", lambda: nnx.metrics.Accuracy(), [{"logits": l, "labels": y} for l, y in zip(logits, labels)])
metric("Accuracy-threshold-0.5", lambda: nnx.metrics.Accuracy(threshold=0.5), [{"logits": jnp.array([0.2, 0.7, 0.5, 0.9]), "labels": jnp.array([0, 1, 1, 0])}])
metric("Welford", lambda: nnx.metrics.Welford(), [{"values": f32(4)}, {"values": f32(3)}, {"values": jnp.float32(2.0)}])
metric("MultiMetric", lambda: nnx.MultiMetric(accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss")), [{"logits": l, "labels": y, "loss": f32(2)} for l, y in zip(logits, labels)])

# -- EMA -------------------------------------------------------------------------------------------------------------

model = MLP(2, 2, 1, nnx.Rngs(0))
ema = nnx.EMA(nnx.state(model, nnx.Param), decay=0.9)
log = [{"at": "start", "ema": values(ema)}]
for number in range(3):
    nnx.update(model, jax.tree.map(lambda p: p + 1.0, nnx.state(model, nnx.Param)))
    r = attempt(lambda: ema.update(model))
    log.append({"model": values(model), "ema": values(ema)})
cases.put("ema", "ema/0.9", model=mlp_text, made_from="MLP(2, 2, 1, Rngs(0)); every Param has 1 added before each update", decay=0.9, steps=log)

cases.write("training.json")
