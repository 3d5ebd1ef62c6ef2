"""layers.json, layers_conv.json, layers_recurrent.json: flax.nnx layers made from nnx.Rngs(0), called; initializers.

A case made by `layer` has "layer", "args" and "options" (what it is made with; initializers as text), "rngs" (the streams of the outer Rngs(0)
after making it), "kinds" and "variables" (its Variables by path), and "calls": each with "inputs", "options", "out" and "changed" (the Variables that the
call wrote). The first call also has "dx" and "dparams", the cotangents for the cotangent (0, 1, 2, 3, 4, 0, ...) - 2 of the output, made on a
clone of the layer in its first state.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.nnx import initializers as init

from golden import Cases, argument, attempt, value

rng = np.random.RandomState(4)
cases = main = Cases()


def f32(*shape):
    return jnp.asarray(np.round(rng.randn(*shape), 2), jnp.float32)


def i32(*shape, hi):
    return jnp.asarray(rng.randint(0, hi, size=shape), jnp.int32)


class Named:
    """An option that JSON can't hold, and what to call it."""

    def __init__(self, text, it):
        self.text, self.it = text, it


def named(text):
    return Named(text, eval(text, {**vars(init), "jnp": jnp, "nnx": nnx, "jax": jax}))


BIAS = {"bias_init": named("normal(1.0)")}
AFFINE = {"bias_init": named("normal(1.0)"), "scale_init": named("normal(1.0)")}


def written(x):
    if isinstance(x, Named):
        return x.text
    if isinstance(x, dict):
        return {str(k): written(v) for k, v in x.items()}
    return value(x)


def variables(node):
    return {"/".join(map(str, p)): v for p, v in nnx.to_flat_state(nnx.state(node))}


def content(v):
    return v.get_value() if isinstance(v, nnx.Variable) else v


def values(node):
    return {p: value(content(v)) for p, v in variables(node).items()}


def unwrap(options):
    return {k: v.it if isinstance(v, Named) else v for k, v in options.items()}


def calls(model, inputs, run=None, grad=True):
    """`inputs` is a list of (arrays, options); the model is changed."""
    run = run or (lambda m, *a, **o: m(*a, **o))
    log = []
    for number, (args, options) in enumerate(inputs):
        entry = {"inputs": [argument(a) for a in args], "options": written(options)}
        if grad and number == 0:

            def scalar(m, *floats):
                given = iter(floats)
                out = run(m, *[next(given) if jnp.issubdtype(a.dtype, jnp.floating) else a for a in args], **unwrap(options))
                leaves = jax.tree.leaves(out)
                return sum(jnp.sum(l.astype(jnp.float32) * (jnp.arange(l.size).reshape(l.shape) % 5 - 2)) for l in leaves)

            floats = [a for a in args if jnp.issubdtype(a.dtype, jnp.floating)]
            try:
                grads = nnx.grad(scalar, argnums=tuple(range(len(floats) + 1)))(nnx.clone(model), *floats)
                entry["dparams"] = {"/".join(map(str, p)): value(content(v)) for p, v in nnx.to_flat_state(grads[0])}
                entry["dx"] = [value(g) for g in grads[1:]]
            except Exception:
                pass  # the call below is refused as well, and says why
        before = values(model)
        result = attempt(lambda: run(model, *args, **unwrap(options)))
        assert not grad or number or "error" in result or "dparams" in entry
        entry.update(result)
        after = values(model)
        entry["changed"] = {p: v for p, v in after.items() if before.get(p) != v}
        log.append(entry)
    return log


def layer(variant, kind, *args, inputs=(), grad=True, make=None, prepare=None, run=None, note=None, **options):
    rngs = nnx.Rngs(0)
    model = make(rngs) if make else getattr(nnx, kind)(*args, **unwrap(options), rngs=rngs)
    if prepare:
        prepare(model)
    made = variables(model)
    fields = {"layer": kind, "args": [written(a) for a in args], "options": written(options)}
    if note:
        fields["note"] = note
    fields["rngs"] = values(rngs)
    fields["kinds"] = {p: type(v).__name__ if isinstance(v, nnx.Variable) else "Array" for p, v in made.items()}
    fields["variables"] = values(model)
    fields["calls"] = calls(model, [(a if isinstance(a, tuple) else (a,), {}) if not (isinstance(a, list)) else (tuple(a[0]), a[1]) for a in inputs], run, grad)
    cases.put(kind, f"{kind}/{variant}", **fields)


# -- dense -----------------------------------------------------------------------------------------------------------

layer("default", "Linear", 3, 4, inputs=[f32(2, 3)])
layer("bias", "Linear", 3, 4, inputs=[f32(2, 3), f32(3), f32(2, 2, 3)], **BIAS)
layer("no-bias", "Linear", 3, 2, use_bias=False, inputs=[f32(2, 3)])
layer("dtype-bfloat16", "Linear", 3, 2, dtype=Named("bfloat16", jnp.bfloat16), inputs=[f32(2, 3)], grad=False, **BIAS)
layer("param_dtype-bfloat16", "Linear", 3, 2, param_dtype=Named("bfloat16", jnp.bfloat16), inputs=[f32(2, 3)], grad=False, **BIAS)
layer("float16-input", "Linear", 3, 2, inputs=[f32(2, 3).astype(jnp.float16)], grad=False)
layer("int-input", "Linear", 3, 2, inputs=[jnp.arange(6).reshape(2, 3)], grad=False)
layer("kernel-he_normal", "Linear", 3, 2, kernel_init=named("he_normal()"), inputs=[f32(2, 3)])
layer("wrong-width", "Linear", 3, 2, inputs=[f32(2, 4)], grad=False)
layer("3-to-2x2", "LinearGeneral", 3, (2, 2), inputs=[f32(2, 3)], **BIAS)
layer("two-axes", "LinearGeneral", (2, 3), (4,), axis=(-2, -1), inputs=[f32(2, 2, 3)], **BIAS)
layer("axes-0-2", "LinearGeneral", (2, 3), (4, 2), axis=(0, 2), inputs=[f32(2, 5, 3)], **BIAS)
layer("batch_axis", "LinearGeneral", 3, 2, axis=-1, batch_axis={0: 2}, inputs=[f32(2, 4, 3)], **BIAS)
layer("default", "Einsum", "nta,hab->nthb", (2, 3, 4), (2, 4), inputs=[f32(2, 2, 3)], **BIAS)
layer("no-bias", "Einsum", "ab,bc->ac", (3, 2), None, inputs=[f32(2, 3)])
layer("default", "Embed", 5, 3, inputs=[i32(4, hi=5), i32(2, 3, hi=5), jnp.array([0, 5, -1, 4])])
layer("one-row", "Embed", 1, 3, inputs=[jnp.zeros((2,), jnp.int32)])
layer("attend", "Embed", 5, 3, inputs=[f32(2, 3)], run=lambda m, x: m.attend(x), note="the call is .attend")
layer("float-input", "Embed", 5, 3, inputs=[f32(2)], grad=False)
layer("bfloat16", "Embed", 5, 3, dtype=Named("bfloat16", jnp.bfloat16), inputs=[i32(4, hi=5)], grad=False)
layer("default", "PReLU", make=lambda r: nnx.PReLU(), inputs=[f32(2, 3)])
layer("0.25", "PReLU", 0.25, make=lambda r: nnx.PReLU(0.25), inputs=[f32(2, 3)])

# -- convolutions ----------------------------------------------------------------------------------------------------

cases = Cases()  # a file of their own
c1, c2, c3 = f32(2, 7, 3), f32(1, 5, 6, 2), f32(1, 3, 4, 3, 2)
for padding in ["SAME", "VALID", "CIRCULAR", "REFLECT", "CAUSAL"]:
    layer(f"1d-{padding}", "Conv", 3, 2, (3,), padding=padding, inputs=[c1], **BIAS)
    layer(f"1d-{padding}-strides-2-dilation-2", "Conv", 3, 2, (3,), strides=2, kernel_dilation=2, padding=padding, inputs=[c1], **BIAS)
for padding in ["SAME", "VALID", "CIRCULAR", "REFLECT"]:
    layer(f"2d-{padding}", "Conv", 2, 3, (3, 2), padding=padding, inputs=[c2], **BIAS)
layer("2d-default", "Conv", 2, 3, (3, 3), inputs=[c2])
layer("2d-strides-2", "Conv", 2, 3, (3, 3), strides=2, inputs=[c2, c2[0]], **BIAS)
layer("2d-strides-2-1", "Conv", 2, 3, (3, 3), strides=(2, 1), inputs=[c2], **BIAS)
layer("2d-kernel_dilation", "Conv", 2, 3, (2, 2), kernel_dilation=(2, 1), inputs=[c2], **BIAS)
layer("2d-input_dilation", "Conv", 2, 3, (2, 2), input_dilation=2, padding="VALID", inputs=[c2], **BIAS)
layer("2d-groups-2", "Conv", 4, 6, (3, 3), feature_group_count=2, inputs=[f32(1, 4, 4, 4)], **BIAS)
layer("2d-depthwise", "Conv", 3, 3, (3, 3), feature_group_count=3, inputs=[f32(1, 4, 4, 3)], **BIAS)
layer("2d-pads", "Conv", 2, 3, (3, 3), padding=((1, 0), (2, 1)), inputs=[c2], **BIAS)
layer("2d-padding-int", "Conv", 2, 3, (3, 3), padding=1, inputs=[c2], **BIAS)
layer("2d-padding-ints", "Conv", 2, 3, (3, 3), padding=(2, 0), inputs=[c2], **BIAS)
layer("2d-no-bias", "Conv", 2, 3, (1, 1), use_bias=False, inputs=[c2])
layer("2d-mask", "Conv", 2, 3, (2, 2), mask=jnp.asarray(rng.rand(2, 2, 2, 3) > 0.5, jnp.float32), inputs=[c2])
layer("2d-bfloat16", "Conv", 2, 3, (3, 3), dtype=Named("bfloat16", jnp.bfloat16), inputs=[c2], grad=False)
layer("2d-two-batches", "Conv", 2, 3, (3, 3), inputs=[c2[None]], grad=False)
layer("3d", "Conv", 2, 2, (2, 3, 2), inputs=[c3], **BIAS)
layer("kernel-int", "Conv", 3, 2, 3, inputs=[c1])
for padding in ["SAME", "VALID", "CIRCULAR"]:
    for s in [None, 2, 3]:
        strides = None if s is None else (s, s)
        layer(f"2d-{padding}-strides-{s}", "ConvTranspose", 2, 3, (3, 3), strides=strides, padding=padding, inputs=[f32(1, 3, 4, 2)], **BIAS)
layer("1d-strides-2", "ConvTranspose", 3, 2, (4,), strides=2, inputs=[f32(2, 4, 3)], **BIAS)
layer("2d-kernel_dilation", "ConvTranspose", 2, 3, (2, 2), strides=(2, 2), kernel_dilation=(2, 2), inputs=[f32(1, 3, 3, 2)], **BIAS)
layer("2d-transpose_kernel", "ConvTranspose", 2, 3, (3, 3), strides=(2, 2), transpose_kernel=True, inputs=[f32(1, 3, 3, 2)], **BIAS)
layer("2d-pads", "ConvTranspose", 2, 3, (3, 3), strides=(2, 2), padding=((1, 1), (0, 2)), inputs=[f32(1, 3, 3, 2)], **BIAS)

cases.write("layers_conv.json")
cases = main

# -- normalization ---------------------------------------------------------------------------------------------------

steps = [f32(4, 3) * 2 + 1, f32(4, 3), f32(4, 3) - 3]
evaluate = [[f32(2, 3)], {"use_running_average": True}]
layer("3-steps-then-evaluate", "BatchNorm", 3, inputs=steps + [evaluate])
layer("affine", "BatchNorm", 3, momentum=0.9, epsilon=1e-3, inputs=steps + [evaluate], **AFFINE)
layer("use_running_average", "BatchNorm", 3, use_running_average=True, inputs=[steps[0]])
layer("no-scale-no-bias", "BatchNorm", 3, use_scale=False, use_bias=False, inputs=steps[:1])
layer("slow-variance", "BatchNorm", 3, use_fast_variance=False, inputs=[steps[0] + 1000.0])
layer("fast-variance-far-from-zero", "BatchNorm", 3, inputs=[steps[0] + 1000.0], grad=False)
layer("images", "BatchNorm", 2, inputs=[f32(2, 3, 3, 2)], **AFFINE)
layer("axis-1", "BatchNorm", 3, axis=1, inputs=[f32(2, 3, 4)], **AFFINE)
mask = jnp.array([[True], [True], [False], [True]])
layer("mask", "BatchNorm", 3, inputs=[[[steps[0]], {"mask": mask}]])
layer("bfloat16-input", "BatchNorm", 3, inputs=[steps[0].astype(jnp.bfloat16)], grad=False)
layer("dtype-bfloat16", "BatchNorm", 3, dtype=Named("bfloat16", jnp.bfloat16), inputs=[steps[0]], grad=False)
layer("equal-rows", "BatchNorm", 3, inputs=[jnp.ones((4, 3))], grad=False)
layer("eval-mode", "BatchNorm", 3, inputs=[steps[0]], prepare=lambda m: m.eval(), note="after .eval()")
layer("default", "LayerNorm", 4, inputs=[f32(2, 4), f32(2, 3, 4)])
layer("affine", "LayerNorm", 4, inputs=[f32(2, 4)], **AFFINE)
layer("slow-variance", "LayerNorm", 4, use_fast_variance=False, inputs=[f32(2, 4) + 1000.0], **AFFINE)
layer("fast-variance-far-from-zero", "LayerNorm", 4, inputs=[f32(2, 4) + 100.0])
layer("no-scale-no-bias", "LayerNorm", 4, use_scale=False, use_bias=False, epsilon=1e-3, inputs=[f32(2, 4)])
layer("reduction-axes-1-2", "LayerNorm", 4, reduction_axes=(-2, -1), inputs=[f32(2, 3, 4)], **AFFINE)
layer("feature-axis-1", "LayerNorm", 3, reduction_axes=1, feature_axes=1, inputs=[f32(2, 3, 4)], **AFFINE)
layer("mask", "LayerNorm", 4, inputs=[[[f32(2, 4)], {"mask": jnp.array([[True, True, False, True], [True, True, True, True]])}]], **AFFINE)
layer("bfloat16-input", "LayerNorm", 4, inputs=[f32(2, 4).astype(jnp.bfloat16)], grad=False)
layer("equal-entries", "LayerNorm", 4, inputs=[jnp.ones((2, 4))])
layer("default", "RMSNorm", 4, inputs=[f32(2, 4)])
layer("scale", "RMSNorm", 4, scale_init=named("normal(1.0)"), inputs=[f32(2, 3, 4)])
layer("no-scale", "RMSNorm", 4, use_scale=False, epsilon=1e-2, inputs=[f32(2, 4)])
layer("2-groups", "GroupNorm", 6, num_groups=2, inputs=[f32(2, 3, 6)], **AFFINE)
layer("group_size-2", "GroupNorm", 6, num_groups=None, group_size=2, inputs=[f32(2, 2, 3, 6)], **AFFINE)
layer("default", "InstanceNorm", 3, inputs=[f32(2, 4, 3)], **AFFINE)
layer("images", "InstanceNorm", 2, inputs=[f32(2, 3, 3, 2)])
layer("Linear", "WeightNorm", make=lambda r: nnx.WeightNorm(nnx.Linear(3, 4, rngs=r), rngs=r), inputs=[f32(2, 3)], note="WeightNorm(Linear(3, 4))")
layer("Linear-feature_axes-none", "WeightNorm", make=lambda r: nnx.WeightNorm(nnx.Linear(3, 4, rngs=r), feature_axes=None, rngs=r), inputs=[f32(2, 3)], note="WeightNorm(Linear(3, 4), feature_axes=None)")
layer("Conv", "WeightNorm", make=lambda r: nnx.WeightNorm(nnx.Conv(2, 3, (2, 2), rngs=r), scale_init=init.constant(2.0), rngs=r), inputs=[f32(1, 3, 3, 2)],
      note="WeightNorm(Conv(2, 3, (2, 2)), scale_init=constant(2.0))")
layer("Linear", "SpectralNorm", make=lambda r: nnx.SpectralNorm(nnx.Linear(3, 4, rngs=r), rngs=r),
      inputs=[f32(2, 3), f32(2, 3), [[f32(2, 3)], {"update_stats": False}]], note="SpectralNorm(Linear(3, 4))")
layer("Linear-3-steps", "SpectralNorm", make=lambda r: nnx.SpectralNorm(nnx.Linear(3, 4, rngs=r), n_steps=3, rngs=r), inputs=[f32(2, 3), f32(2, 3)], grad=False,
      note="SpectralNorm(Linear(3, 4), n_steps=3)")
layer("Conv", "SpectralNorm", make=lambda r: nnx.SpectralNorm(nnx.Conv(2, 3, (2, 2), rngs=r), rngs=r), inputs=[f32(1, 3, 3, 2)], grad=False, note="SpectralNorm(Conv(2, 3, (2, 2)))")

# -- dropout ---------------------------------------------------------------------------------------------------------

ones = jnp.ones((4, 6))
layer("0.5", "Dropout", 0.5, inputs=[f32(4, 6), ones, ones])
layer("0.1", "Dropout", 0.1, inputs=[ones, ones])
layer("0", "Dropout", 0.0, inputs=[ones])
layer("1", "Dropout", 1.0, inputs=[ones])
layer("broadcast_dims-0", "Dropout", 0.5, broadcast_dims=(0,), inputs=[ones])
layer("broadcast_dims-1", "Dropout", 0.5, broadcast_dims=(1,), inputs=[ones])
layer("broadcast_dims--1-3d", "Dropout", 0.3, broadcast_dims=(-1,), inputs=[jnp.ones((2, 3, 2))])
layer("deterministic", "Dropout", 0.5, deterministic=True, inputs=[ones])
layer("deterministic-at-call", "Dropout", 0.5, inputs=[[[ones], {"deterministic": True}], ones])
layer("rngs-at-call", "Dropout", 0.5, make=lambda r: nnx.Dropout(0.5), inputs=[[[ones], {"rngs": Named("Rngs(3)", nnx.Rngs(3))}], [[ones], {"rngs": Named("Rngs(dropout=3)", nnx.Rngs(dropout=3))}]], grad=False)
layer("no-rngs", "Dropout", 0.5, make=lambda r: nnx.Dropout(0.5), inputs=[ones], grad=False)
layer("bfloat16", "Dropout", 0.3, inputs=[ones.astype(jnp.bfloat16)], grad=False)
layer("eval-mode", "Dropout", 0.5, inputs=[ones], prepare=lambda m: m.eval(), note="after .eval()")

# -- attention -------------------------------------------------------------------------------------------------------

a = f32(2, 3, 4)
causal = nnx.make_causal_mask(jnp.ones((2, 3)))
layer("plain", "MultiHeadAttention", 2, 4, decode=False, inputs=[a], **BIAS)
layer("default", "MultiHeadAttention", 2, 4, decode=False, inputs=[a])
layer("decode-not-said", "MultiHeadAttention", 2, 4, inputs=[a])
layer("deterministic-not-said", "MultiHeadAttention", 2, 4, dropout_rate=0.5, decode=False, inputs=[a])
layer("cross", "MultiHeadAttention", 2, 4, 6, 5, in_kv_features=3, decode=False, inputs=[(a, f32(2, 5, 3), f32(2, 5, 3))], **BIAS)
layer("query-and-key", "MultiHeadAttention", 2, 4, decode=False, inputs=[(a, f32(2, 2, 4))])
layer("causal-mask", "MultiHeadAttention", 2, 4, decode=False, inputs=[[[a], {"mask": causal}]], **BIAS)
layer("is_causal", "MultiHeadAttention", 2, 4, decode=False, inputs=[[[a], {"is_causal": True}]], **BIAS)
layer("no-bias", "MultiHeadAttention", 2, 4, use_bias=False, decode=False, inputs=[a])
layer("normalize_qk", "MultiHeadAttention", 2, 4, normalize_qk=True, decode=False, inputs=[a], **BIAS)
layer("num_kv_heads-1", "MultiHeadAttention", 2, 4, num_kv_heads=1, decode=False, inputs=[a], **BIAS)
layer("num_kv_heads-2-of-4", "MultiHeadAttention", 4, 8, num_kv_heads=2, decode=False, inputs=[f32(1, 3, 8)])
layer("dropout", "MultiHeadAttention", 2, 4, dropout_rate=0.5, deterministic=False, decode=False, inputs=[a, a, [[a], {"deterministic": True}]])
layer("dropout-not-broadcast", "MultiHeadAttention", 2, 4, dropout_rate=0.5, broadcast_dropout=False, deterministic=False, decode=False, inputs=[a])
layer("sow_weights", "MultiHeadAttention", 2, 4, decode=False, inputs=[[[a], {"sow_weights": True}]], grad=False)
layer("bfloat16", "MultiHeadAttention", 2, 4, dtype=Named("bfloat16", jnp.bfloat16), decode=False, inputs=[a], grad=False)
tokens = f32(2, 4, 4)
layer("decode-4-steps", "MultiHeadAttention", 2, 4, inputs=[tokens[:, t : t + 1] for t in range(4)], decode=True, grad=False, prepare=lambda m: m.init_cache((2, 4, 4)),
      note="after .init_cache((2, 4, 4)); see decode-reference", **BIAS)
layer("decode-reference", "MultiHeadAttention", 2, 4, decode=False, inputs=[[[tokens], {"mask": nnx.make_causal_mask(jnp.ones((2, 4)))}]], grad=False, **BIAS)
layer("decode-wrong-length", "MultiHeadAttention", 2, 4, inputs=[tokens], decode=True, grad=False, prepare=lambda m: m.init_cache((2, 4, 4)), note="after .init_cache((2, 4, 4))")
layer("decode-without-cache", "MultiHeadAttention", 2, 4, inputs=[tokens[:, :1]], decode=True, grad=False)

# -- recurrent -------------------------------------------------------------------------------------------------------

cases = Cases()  # a file of their own
for cell in ["SimpleCell", "GRUCell", "LSTMCell", "OptimizedLSTMCell"]:
    h = f32(2, 4)
    carry = (h, f32(2, 4)) if "LSTM" in cell else h
    flat = carry if isinstance(carry, tuple) else (carry,)
    step = lambda m, x, *c: m(c if len(c) == 2 else c[0], x)
    layer("one-step", cell, 3, 4, inputs=[(f32(2, 3), *flat)], run=step, note="inputs are x, then the carry; out is [carry, y]")
    layer("bias", cell, 3, 4, inputs=[(f32(2, 3), *flat)], run=step, note="inputs are x, then the carry; out is [carry, y]", **BIAS)
    xs = f32(2, 5, 3)
    for variant, options, call in [
        ("default", {}, {}), ("reverse", {"reverse": True}, {}), ("reverse-keep_order", {"reverse": True, "keep_order": True}, {}), ("return_carry", {"return_carry": True}, {}),
        ("seq_lengths", {"return_carry": True}, {"seq_lengths": jnp.array([2, 5])}), ("reverse-seq_lengths", {"reverse": True, "keep_order": True, "return_carry": True}, {"seq_lengths": jnp.array([2, 5])}),
    ]:
        if cell in ("LSTMCell", "GRUCell") or variant == "default":
            layer(f"{cell}-{variant}", "RNN", make=lambda r: nnx.RNN(getattr(nnx, cell)(3, 4, rngs=r), **options, rngs=r), inputs=[[[xs], call]], note=f"RNN({cell}(3, 4), **{options})")
layer("residual", "SimpleCell", 3, 3, residual=True, inputs=[(f32(2, 3), f32(2, 3))], run=lambda m, x, c: m(c, x), note="inputs are x, then the carry; out is [carry, y]")
layer("time_major", "RNN", make=lambda r: nnx.RNN(nnx.GRUCell(3, 4, rngs=r), time_major=True, rngs=r), inputs=[f32(5, 2, 3)], note="RNN(GRUCell(3, 4), time_major=True)")
layer("LSTM-GRU", "Bidirectional", make=lambda r: nnx.Bidirectional(nnx.RNN(nnx.LSTMCell(3, 4, rngs=r), rngs=r), nnx.RNN(nnx.GRUCell(3, 2, rngs=r), rngs=r), rngs=r),
      inputs=[f32(2, 4, 3), [[f32(2, 4, 3)], {"seq_lengths": jnp.array([3, 4])}]], note="Bidirectional(RNN(LSTMCell(3, 4)), RNN(GRUCell(3, 2)))")

cases.write("layers_recurrent.json")
cases = main

# -- adapters and containers -----------------------------------------------------------------------------------------

layer("alone", "LoRA", 3, 2, 4, inputs=[f32(2, 3)])
layer("b-normal", "LoRA", 3, 2, 4, b_initializer=named("normal(1.0)"), inputs=[f32(2, 3)])
layer("around-Linear", "LoRA", make=lambda r: nnx.LoRA(3, 2, 4, base_module=nnx.Linear(3, 4, rngs=r), b_initializer=init.normal(1.0), rngs=r), inputs=[f32(2, 3)],
      note="LoRA(3, 2, 4, base_module=Linear(3, 4), b_initializer=normal(1.0)); Linear takes its draws first")
layer("default", "LoRALinear", 3, 4, lora_rank=2, b_initializer=named("normal(1.0)"), inputs=[f32(2, 3)])
layer("linear-relu-dropout-linear", "Sequential",
      make=lambda r: nnx.Sequential(nnx.Linear(3, 4, rngs=r), nnx.relu, nnx.Dropout(0.5, rngs=r), nnx.Linear(4, 2, rngs=r)), inputs=[f32(2, 3), f32(2, 3)],
      note="Sequential(Linear(3, 4), relu, Dropout(0.5), Linear(4, 2))")
layer("empty", "Sequential", make=lambda r: nnx.Sequential(), inputs=[f32(2, 3)], grad=False)
layer("default", "RoPE", make=lambda r: nnx.RoPE(embedding_size=4, max_seq_len=6), inputs=[f32(2, 3, 2, 4)], grad=False, note="RoPE(embedding_size=4, max_seq_len=6)")

# -- initializers ----------------------------------------------------------------------------------------------------

SHAPES = [(4, 3), (2, 3, 4), (3, 3, 2, 4), (5,)]
FANS = """lecun_normal lecun_uniform glorot_normal glorot_uniform he_normal he_uniform xavier_normal xavier_uniform kaiming_normal kaiming_uniform""".split()
TEXTS = [f"{f}()" for f in FANS] + [
    "normal()", "normal(0.5)", "uniform()", "uniform(2.0)", "truncated_normal()", "truncated_normal(0.5)", "truncated_normal(1.0,lower=-1.0,upper=1.0)", "constant(0.3)", "constant(2)",
    "zeros", "ones", "zeros_init()", "ones_init()", "orthogonal()", "orthogonal(2.0)", "orthogonal(1.0,column_axis=0)", "glorot_uniform(in_axis=-1,out_axis=-2)",
    "lecun_normal(in_axis=0,out_axis=1)", "he_normal(batch_axis=0)", "lecun_normal(in_axis=(0,1),out_axis=2)",
    "variance_scaling(2.0,'fan_in','normal')", "variance_scaling(2.0,'fan_out','truncated_normal')", "variance_scaling(0.5,'fan_avg','uniform')", "variance_scaling(1.0,'fan_geo_avg','uniform')",
    "variance_scaling(1.0,'fan_in','normal',out_axis=0)",
]
for text in TEXTS:
    for shape in SHAPES:
        f = named(text).it
        cases.put("initializers", f"initializers/{text}/{list(shape)}", init=text, key=value(jax.random.key(0)), shape=list(shape), **attempt(lambda: f(jax.random.key(0), shape)))
for text in ["lecun_normal()", "normal()", "uniform()", "truncated_normal()", "zeros", "constant(0.3)"]:
    for dtype in ["bfloat16", "float16"]:
        f = named(text).it
        cases.put("initializers", f"initializers/{text}/[4,3]-{dtype}", init=text, key=value(jax.random.key(0)), shape=[4, 3], dtype=dtype, **attempt(lambda: f(jax.random.key(0), (4, 3), dtype)))
for shape in [(3, 2, 4), (2, 3, 3, 3), (3, 3, 4, 2)]:
    cases.put("initializers", f"initializers/delta_orthogonal()/{list(shape)}", init="delta_orthogonal()", key=value(jax.random.key(0)), shape=list(shape),
              **attempt(lambda: init.delta_orthogonal()(jax.random.key(0), shape)))
for shape in [(6, 3), (3, 6), (2, 2, 3), (1, 1), (4, 4)]:
    cases.put("initializers", f"initializers/orthogonal()-more/{list(shape)}", init="orthogonal()", key=value(jax.random.key(0)), shape=list(shape),
              **attempt(lambda: init.orthogonal()(jax.random.key(0), shape)))
r = nnx.Rngs(0)
for text, thunk in {"rngs.lecun_normal()((2,3))": lambda: r.lecun_normal()((2, 3)), "rngs.glorot_uniform()((2,3))": lambda: r.glorot_uniform()((2, 3)), "rngs.params.he_normal()((2,3))": lambda: r.params.he_normal()((2, 3))}.items():
    cases.put("initializers", f"initializers/{text}", note="one Rngs(0), called in this order", **attempt(thunk), streams=values(r))

cases.write("layers.json")
