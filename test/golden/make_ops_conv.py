"""ops_conv.json: convolutions, transposed convolutions, windows and pooling."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from golden import Cases, argument, attempt, value

rng = np.random.RandomState(2)
cases = Cases()


def f32(*shape):
    return jnp.asarray(np.round(rng.randn(*shape), 2), jnp.float32)


SPECS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def conv(variant, x, k, strides=1, padding="SAME", dims=None, **params):
    """lax.conv_general_dilated, channels last unless `dims` says otherwise; with the cotangents of x and k for a cotangent of ones."""
    n = x.ndim - 2
    strides = (strides,) * n if isinstance(strides, int) else strides
    run = lambda x, k: lax.conv_general_dilated(x, k, strides, padding, dimension_numbers=dims or SPECS[n], **params)

    def all():
        out, back = jax.vjp(run, x, k)
        weights = jnp.arange(out.size, dtype=jnp.float32).reshape(out.shape) % 5 - 2
        return {"out": out, "dx": back(weights.astype(out.dtype))[0], "dk": back(weights.astype(out.dtype))[1]}

    r = attempt(all)
    fields = {"error": r["error"], "message": r["message"]} if "error" in r else r["out"]
    cases.put("conv", f"conv/{variant}", op="lax.conv_general_dilated", args=[argument(x), argument(k)],
              params={"window_strides": list(strides), "padding": value(padding), "dimension_numbers": list(dims or SPECS[n]), **{p: value(v) for p, v in params.items()}}, **fields)


x1, k1 = f32(2, 7, 3), f32(3, 3, 2)
x2, k2 = f32(2, 5, 6, 3), f32(3, 3, 3, 2)
x3, k3 = f32(1, 4, 3, 4, 2), f32(2, 2, 3, 2, 2)
for label, x, k in [("1d", x1, k1), ("2d", x2, k2), ("3d", x3, k3)]:
    for padding in ["SAME", "VALID"] + (["SAME_LOWER"] if label == "2d" else []):
        for strides in [1, 2]:
            conv(f"{label}-{padding}-strides-{strides}", x, k, strides, padding)
conv("1d-strides-3", x1, k1, 3)
conv("2d-strides-2-1", x2, k2, (2, 1))
conv("2d-strides-3-2-VALID", x2, k2, (3, 2), "VALID")
conv("2d-1x1", x2, f32(1, 1, 3, 4))
conv("2d-1x1-strides-2", x2, f32(1, 1, 3, 4), 2)
conv("2d-2x3", x2, f32(2, 3, 3, 2))
conv("2d-even-kernel-SAME", x2, f32(4, 2, 3, 2))
conv("2d-pads", x2, k2, 1, ((2, 0), (1, 3)))
conv("2d-pads-negative", x2, k2, 1, ((-1, 1), (0, -2)))
conv("2d-pads-strides-2", x2, k2, 2, ((1, 1), (1, 1)))
conv("1d-causal", x1, k1, 1, ((2, 0),))
conv("1d-causal-dilated", x1, k1, 1, ((4, 0),), rhs_dilation=(2,))
for rhs in [(2, 2), (1, 2)]:
    for padding in ["SAME", "VALID"]:
        conv(f"2d-{padding}-rhs_dilation-{rhs[0]}-{rhs[1]}", x2, k2, 1, padding, rhs_dilation=rhs)
conv("2d-lhs_dilation-2-2", x2, k2, 1, ((1, 1), (1, 1)), lhs_dilation=(2, 2))
conv("2d-lhs_dilation-refuses-string-padding", x2, k2, 1, "VALID", lhs_dilation=(1, 3))
conv("2d-both-dilations-strides-2", x2, k2, 2, ((2, 1), (1, 2)), lhs_dilation=(2, 1), rhs_dilation=(1, 2))
conv("1d-lhs_dilation-3-strides-2", x1, k1, 2, ((1, 2),), lhs_dilation=(3,))
conv("2d-groups-3-depthwise", x2, f32(3, 3, 1, 3), feature_group_count=3)
conv("2d-groups-3-depthwise-times-2", x2, f32(3, 3, 1, 6), feature_group_count=3)
conv("2d-groups-2", f32(1, 4, 4, 4), f32(2, 2, 2, 6), feature_group_count=2)
conv("2d-groups-2-strides-2-dilated", f32(1, 5, 5, 4), f32(2, 2, 2, 4), 2, "SAME", feature_group_count=2, rhs_dilation=(2, 2))
conv("1d-groups-3", x1, f32(3, 1, 3), feature_group_count=3)
conv("2d-batch-groups-2", f32(4, 4, 4, 3), f32(2, 2, 3, 4), 1, "VALID", batch_group_count=2)
conv("2d-batch-groups-4-strides-2", f32(4, 5, 5, 2), f32(2, 2, 2, 4), 2, "SAME", batch_group_count=4)
conv("2d-NCHW-OIHW", jnp.transpose(x2, (0, 3, 1, 2)), jnp.transpose(k2, (3, 2, 0, 1)), 1, "SAME", ("NCHW", "OIHW", "NCHW"))
conv("2d-NHWC-OIHW-NCHW", x2, jnp.transpose(k2, (3, 2, 0, 1)), 2, "VALID", ("NHWC", "OIHW", "NCHW"))
conv("2d-HWNC", jnp.transpose(x2, (1, 2, 0, 3)), k2, 1, "VALID", ("HWNC", "HWIO", "HWNC"))
conv("1d-NCW-OIW", jnp.transpose(x1, (0, 2, 1)), jnp.transpose(k1, (2, 1, 0)), 1, "SAME", ("NCW", "OIW", "NCW"))
conv("2d-kernel-larger-than-input-VALID", f32(1, 2, 2, 1), f32(3, 3, 1, 1), 1, "VALID")
conv("2d-kernel-larger-than-input-SAME", f32(1, 2, 2, 1), f32(3, 3, 1, 1), 1, "SAME")
conv("2d-bfloat16", x2.astype(jnp.bfloat16), k2.astype(jnp.bfloat16))
conv("0d", f32(2, 3), f32(3, 4), (), (), ("NC", "IO", "NC"))
conv("2d-channel-mismatch", x2, f32(3, 3, 2, 2))
conv("2d-group-mismatch", x2, f32(3, 3, 1, 4), feature_group_count=3)
cases.call("conv", "int32", "lax.conv", jnp.arange(16).reshape(1, 1, 4, 4), jnp.array([[[[1, 0], [0, -1]]]]), (1, 1), "VALID")

# -- transposed convolutions -----------------------------------------------------------------------------------------


def transposed(variant, x, k, strides, padding, **params):
    cases.call("conv_transpose", variant, "lax.conv_transpose", x, k, strides, padding, **params)


for label, x, k in [("1d", x1, k1), ("2d", f32(2, 3, 4, 3), k2), ("3d", f32(1, 2, 2, 2, 2), k3)]:
    n = x.ndim - 2
    for padding in ["SAME", "VALID"]:
        for s in [1, 2, 3]:
            transposed(f"{label}-{padding}-strides-{s}", x, k, (s,) * n, padding)
xt = f32(2, 3, 4, 3)
transposed("2d-even-kernel-SAME-strides-2", xt, f32(4, 4, 3, 2), (2, 2), "SAME")
transposed("2d-even-kernel-VALID-strides-2", xt, f32(4, 4, 3, 2), (2, 2), "VALID")
transposed("2d-kernel-2-strides-3-SAME", xt, f32(2, 2, 3, 2), (3, 3), "SAME")
transposed("2d-strides-2-1-SAME", xt, k2, (2, 1), "SAME")
transposed("2d-rhs_dilation-2-SAME-strides-2", xt, k2, (2, 2), "SAME", rhs_dilation=(2, 2))
transposed("2d-rhs_dilation-2-VALID", xt, k2, (1, 1), "VALID", rhs_dilation=(2, 2))
transposed("2d-pads", xt, k2, (2, 2), ((1, 2), (2, 1)))
transposed("2d-transpose_kernel", f32(2, 3, 4, 2), k2, (2, 2), "SAME", transpose_kernel=True)
transposed("2d-transpose_kernel-VALID", f32(2, 3, 4, 2), k2, (2, 2), "VALID", transpose_kernel=True)

# -- pooling of flax.nnx ---------------------------------------------------------------------------------------------

p1, p2, p3 = f32(1, 7, 2), f32(2, 5, 6, 2), f32(1, 4, 3, 4, 1)
for label, x in [("1d", p1), ("2d", p2), ("3d", p3)]:
    n = x.ndim - 2
    for f in ["max_pool", "min_pool", "avg_pool"]:
        for padding in ["VALID", "SAME"]:
            cases.call("pool", f"{label}-2-{padding}", f"nnx.{f}", x, (2,) * n, strides=(2,) * n, padding=padding)
            cases.call("pool", f"{label}-3-{padding}-strides-none", f"nnx.{f}", x, (3,) * n, padding=padding)
for f in ["max_pool", "min_pool", "avg_pool"]:
    cases.call("pool", "2d-3x2-strides-2x1-SAME", f"nnx.{f}", p2, (3, 2), strides=(2, 1), padding="SAME")
    cases.call("pool", "2d-pads", f"nnx.{f}", p2, (2, 2), strides=(2, 2), padding=((1, 0), (0, 2)))
    cases.call("pool", "2d-no-batch", f"nnx.{f}", p2[0], (2, 2), strides=(2, 2))
    cases.call("pool", "2d-two-batches", f"nnx.{f}", p2.reshape(2, 1, 5, 6, 2), (2, 2), strides=(2, 2))
    cases.call("pool", "2d-nan", f"nnx.{f}", p2.at[0, 1, 1, 0].set(jnp.nan), (2, 2), strides=(2, 2))
    cases.call("pool", "2d-inf", f"nnx.{f}", p2.at[0, 0, 0, 0].set(-jnp.inf), (2, 2), strides=(2, 2), padding="SAME")
for padding in ["SAME", ((1, 1), (1, 1)), ((1, 0), (0, 2))]:
    label = padding if isinstance(padding, str) else f"{padding}".replace(" ", "")
    cases.call("pool", f"2d-3-{label}-count_include_pad-off", "nnx.avg_pool", p2, (3, 3), strides=(2, 2), padding=padding, count_include_pad=False)
    cases.call("pool", f"2d-3-{label}-count_include_pad-on", "nnx.avg_pool", p2, (3, 3), strides=(2, 2), padding=padding, count_include_pad=True)
ties = jnp.array([[1.0, 1.0, 0.0, 2.0, 2.0], [0.0, 1.0, 3.0, 3.0, 3.0]])[None, :, :, None]
for f in ["max_pool", "min_pool", "avg_pool"]:
    from flax import nnx

    for label, x, params in [("ties", ties, dict(window_shape=(2, 2), strides=(1, 1))), ("2d", p2, dict(window_shape=(3, 3), strides=(2, 2), padding="SAME"))]:
        run = lambda v: getattr(nnx, f)(v, **params)
        out, back = jax.vjp(run, x)
        ct = jnp.arange(out.size, dtype=jnp.float32).reshape(out.shape) + 1
        cases.put("pool-grad", f"nnx.{f}/grad-{label}", op=f"nnx.{f}", args=[argument(x)], params={k: value(v) for k, v in params.items()}, out=value(out), cotangent=value(ct), dx=value(back(ct)[0]))

# -- windows ---------------------------------------------------------------------------------------------------------

w = f32(3, 7)
for name, init, f in [("add", 0.0, lax.add), ("max", -jnp.inf, lax.max), ("min", jnp.inf, lax.min), ("mul", 1.0, lax.mul)]:
    for label, params in {
        "2x3-VALID": dict(window_dimensions=(2, 3), window_strides=(1, 2), padding="VALID"),
        "2x3-SAME": dict(window_dimensions=(2, 3), window_strides=(2, 2), padding="SAME"),
        "pads": dict(window_dimensions=(1, 3), window_strides=(1, 1), padding=((0, 0), (2, 1))),
        "window-dilated": dict(window_dimensions=(1, 3), window_strides=(1, 1), padding="VALID", window_dilation=(1, 2)),
        "base-dilated": dict(window_dimensions=(1, 2), window_strides=(1, 1), padding="VALID", base_dilation=(1, 2)),
    }.items():
        cases.put("window", f"lax.reduce_window/{name}-{label}", op="lax.reduce_window", reducer=name, init=value(jnp.float32(init)), args=[argument(w)],
                  params={k: value(v) for k, v in params.items()}, out=value(lax.reduce_window(w, init, f, **params)))
i = jnp.asarray(rng.randint(-9, 9, (3, 5)), jnp.int32)
cases.put("window", "lax.reduce_window/int-max", op="lax.reduce_window", reducer="max", init=value(jnp.iinfo(jnp.int32).min), args=[argument(i)],
          params={"window_dimensions": [2, 2], "window_strides": [1, 1], "padding": "VALID"},
          out=value(lax.reduce_window(i, jnp.iinfo(jnp.int32).min, lax.max, (2, 2), (1, 1), "VALID")))
cases.call("window", "2d", "lax.conv_general_dilated_patches", jnp.transpose(x2, (0, 3, 1, 2))[:1, :, :4, :4], (2, 2), (1, 1), "VALID")

cases.write("ops_conv.json")
