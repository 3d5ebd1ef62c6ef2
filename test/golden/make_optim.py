"""optim.json: Optax by itself: gradient transformations, schedules, losses.

A case of "transform" has "tx" as text, "params" and "grads" (one tree a step; where missing, those of the case "given"), the "state" at the start, and
"steps": the updates, and after the last step the state's leaves by path and the new params.
A case of "schedule" has the value at each count; a case of "loss" is a call, with "dx" the gradient of its sum by the first argument.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from golden import Cases, argument, attempt, resolve, value

NAMES = {n: getattr(optax, n) for n in dir(optax) if not n.startswith("_")} | {"jax": jax, "jnp": jnp}  # what the texts below are made of
rng = np.random.RandomState(6)
cases = Cases()


def f32(*shape):
    return jnp.asarray(np.round(rng.randn(*shape), 3), jnp.float32)


PARAMS = {"a": f32(2, 3), "b": {"c": f32(3), "d": jnp.float32(0.5)}}
GRADS = [{"a": f32(2, 3) * s, "b": {"c": f32(3) * s, "d": f32()}} for s in [1.0, 0.5, 2.0, 0.1, 3.0, 1.0]]


def path_text(path):
    return "/".join(str(getattr(p, "key", getattr(p, "name", getattr(p, "idx", p)))) for p in path)


def leaves(tree):
    """Leaves by path; the steps of a named tuple are its field names."""
    return {path_text(p): value(v) for p, v in jax.tree_util.tree_flatten_with_path(tree)[0]}


def transform(text, params=PARAMS, grads=GRADS, name=None):
    tx = eval(text, NAMES)
    state = tx.init(params)
    log, start = [], leaves(state)
    p = params
    for g in grads:
        updates, state = tx.update(g, state, p)
        p = optax.apply_updates(p, updates)
        log.append({"updates": leaves(updates)})
        if len(log) == len(grads):
            log[-1] |= {"state": leaves(state), "params": leaves(p)}
    given = {} if params is PARAMS and grads is GRADS else {"params": leaves(params), "grads": [leaves(g) for g in grads]}
    cases.put("transform", f"transform/{name or text}", tx=text, **given, state=start, steps=log)


cases.put("given", "given", params=leaves(PARAMS), grads=[leaves(g) for g in GRADS])
NAMES["mask"] = {"a": True, "b": {"c": False, "d": True}}
NAMES["labels"] = {"a": "first", "b": {"c": "second", "d": "second"}}
for text in """sgd(0.1)
sgd(0.1, momentum=0.9)
sgd(0.1, momentum=0.9, nesterov=True)
sgd(linear_schedule(0.1, 0.0, 4))
adam(1e-2)
adam(1e-2, b1=0.8, b2=0.9, eps=1e-4)
adam(1e-2, eps_root=1e-3)
adam(1e-2, nesterov=True)
adam(cosine_decay_schedule(1e-2, 5))
adam(1e-2, mu_dtype=jnp.bfloat16)
adamw(1e-2)
adamw(1e-2, weight_decay=0.1)
adamw(1e-2, weight_decay=0.1, mask=mask)
adamw(1e-2, weight_decay=0.1, nesterov=True)
nadam(1e-2)
nadamw(1e-2, weight_decay=0.1)
adamax(1e-2)
amsgrad(1e-2)
radam(1e-2)
radam(1e-2, threshold=0.1)
adabelief(1e-2)
yogi(1e-2)
adagrad(0.1)
adagrad(0.1, initial_accumulator_value=0.5, eps=1e-3)
adadelta(1.0)
rmsprop(1e-2)
rmsprop(1e-2, centered=True)
rmsprop(1e-2, momentum=0.9)
rmsprop(1e-2, momentum=0.9, nesterov=True, decay=0.8, eps=1e-4)
rmsprop(1e-2, initial_scale=1.0, bias_correction=True)
lion(1e-3)
lion(1e-3, b1=0.8, b2=0.9, weight_decay=0.1)
lamb(1e-2)
lamb(1e-2, weight_decay=0.1)
lars(0.1, weight_decay=0.01)
adafactor(1e-2)
adafactor(1e-2, min_dim_size_to_factor=2, momentum=0.9, weight_decay_rate=0.01)
noisy_sgd(0.1, eta=0.1, gamma=0.55, key=0)
novograd(1e-2)
sign_sgd(0.1)
rprop(0.01)
fromage(1e-2)
identity()
set_to_zero()
scale(-0.5)
scale_by_learning_rate(0.1)
scale_by_learning_rate(0.1, flip_sign=False)
scale_by_schedule(piecewise_constant_schedule(1.0, {2: 0.5, 4: 0.1}))
scale_by_adam()
scale_by_rms()
scale_by_stddev()
scale_by_trust_ratio()
scale_by_factored_rms()
trace(0.9)
trace(0.9, nesterov=True)
ema(0.9)
ema(0.9, debias=False)
add_decayed_weights(0.1)
add_decayed_weights(0.1, mask)
add_decayed_weights(0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p))
add_noise(0.1, 0.55, 0)
clip(0.5)
clip_by_global_norm(1.0)
clip_by_global_norm(100.0)
clip_by_block_rms(0.5)
adaptive_grad_clip(0.1)
centralize()
normalize_by_update_norm()
zero_nans()
keep_params_nonnegative()
chain(clip_by_global_norm(1.0), sgd(0.1, momentum=0.9))
chain(clip_by_global_norm(1.0), add_decayed_weights(0.01), scale_by_adam(), scale_by_learning_rate(warmup_cosine_decay_schedule(0.0, 0.1, 2, 6, 0.01)))
chain(clip_by_global_norm(1.0), adamw(1e-2))
named_chain(("clip", clip(0.5)), ("adam", adam(1e-2)))
masked(sgd(0.1, momentum=0.9), mask)
partition({"first": adam(1e-2), "second": sgd(0.1)}, labels)
partition({"first": adam(1e-2), "second": set_to_zero()}, labels)
inject_hyperparams(adam)(learning_rate=1e-2)
inject_hyperparams(sgd)(learning_rate=linear_schedule(0.1, 0.0, 4), momentum=0.9)
MultiSteps(sgd(0.1), every_k_schedule=2)
MultiSteps(adam(1e-2), every_k_schedule=3, use_grad_mean=False)
apply_if_finite(sgd(0.1), 2)
apply_every(2)""".splitlines():
    transform(text)

nan_grads = [GRADS[0], jax.tree.map(lambda g: g * jnp.nan, GRADS[1]), GRADS[2], jax.tree.map(lambda g: g * jnp.inf, GRADS[3]), GRADS[4], GRADS[5]]
for text in ["apply_if_finite(sgd(0.1), 3)", "apply_if_finite(adam(0.1), 1)", "zero_nans()", "clip_by_global_norm(1.0)"]:
    transform(text, grads=nan_grads, name=f"{text} with nan and inf")
transform("sgd(0.1)", params=jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS), name="sgd(0.1) of bfloat16 params")
half = lambda t: jax.tree.map(lambda p: p.astype(jnp.bfloat16), t)
transform("adam(1e-2)", params=half(PARAMS), grads=[half(g) for g in GRADS], name="adam(1e-2) all bfloat16")
zeros = jax.tree.map(jnp.zeros_like, PARAMS)
for text in ["adam(1e-2)", "clip_by_global_norm(1.0)", "lamb(1e-2)", "rmsprop(1e-2)", "adagrad(0.1)", "scale_by_trust_ratio()"]:
    transform(text, grads=[zeros, GRADS[0]], name=f"{text} of zero gradients")

# -- line search: minimizing Rosenbrock's function -------------------------------------------------------------------


def rosenbrock(p):
    return jnp.sum(100.0 * (p[1:] - p[:-1] ** 2) ** 2 + (1.0 - p[:-1]) ** 2)


for text in ["lbfgs()", "lbfgs(memory_size=2)", "lbfgs(0.1, linesearch=None)"]:
    tx = eval(text, NAMES)
    p = jnp.array([-1.2, 1.0, 0.8])
    state, log = tx.init(p), []
    for _ in range(8):
        v, g = jax.value_and_grad(rosenbrock)(p)
        if "None" in text:
            updates, state = tx.update(g, state, p)
        else:
            updates, state = tx.update(g, state, p, value=v, grad=g, value_fn=rosenbrock)
        p = optax.apply_updates(p, updates)
        log.append({"value": value(v), "grad": value(g), "params": value(p)})
    cases.put("lbfgs", f"lbfgs/{text}", tx=text, f="sum(100 (p[1:] - p[:-1]^2)^2 + (1 - p[:-1])^2)", start=value(jnp.array([-1.2, 1.0, 0.8])), steps=log)

# -- schedules -------------------------------------------------------------------------------------------------------

for text in """constant_schedule(0.1)
linear_schedule(0.1, 0.01, 10)
linear_schedule(0.0, 1.0, 10, transition_begin=5)
polynomial_schedule(1.0, 0.1, 2, 10)
polynomial_schedule(1.0, 0.1, 0.5, 10, transition_begin=3)
polynomial_schedule(1.0, 0.1, 2, 0)
cosine_decay_schedule(0.1, 20)
cosine_decay_schedule(0.1, 20, alpha=0.1)
cosine_decay_schedule(0.1, 20, alpha=0.1, exponent=2.0)
exponential_decay(1.0, 5, 0.5)
exponential_decay(1.0, 5, 0.5, staircase=True)
exponential_decay(1.0, 5, 0.5, transition_begin=3, end_value=0.2)
exponential_decay(0.1, 5, 2.0, end_value=1.0)
piecewise_constant_schedule(1.0, {5: 0.5, 10: 0.1, 20: 2.0})
piecewise_constant_schedule(1.0)
piecewise_interpolate_schedule("linear", 1.0, {5: 0.5, 15: 0.1})
piecewise_interpolate_schedule("cosine", 1.0, {5: 0.5, 15: 0.1})
warmup_cosine_decay_schedule(0.0, 1.0, 5, 20)
warmup_cosine_decay_schedule(0.1, 1.0, 5, 20, end_value=0.05)
warmup_cosine_decay_schedule(0.0, 1.0, 5, 20, end_value=0.05, exponent=2.0)
warmup_constant_schedule(0.0, 1.0, 5)
warmup_exponential_decay_schedule(0.0, 1.0, 5, 10, 0.5)
warmup_exponential_decay_schedule(0.0, 1.0, 5, 10, 0.5, transition_begin=2, staircase=True, end_value=0.3)
join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, 10), constant_schedule(0.5)], [5, 15])
join_schedules([linear_schedule(0.0, 1.0, 5), cosine_decay_schedule(1.0, 15)], [5])
cosine_onecycle_schedule(20, 1.0)
cosine_onecycle_schedule(20, 1.0, pct_start=0.5, div_factor=10.0, final_div_factor=100.0)
linear_onecycle_schedule(20, 1.0)
sgdr_schedule([dict(init_value=0.0, peak_value=1.0, decay_steps=8, warmup_steps=3, end_value=0.1), dict(init_value=0.1, peak_value=0.5, decay_steps=12, warmup_steps=2, end_value=0.0)])""".splitlines():
    f = eval(text, NAMES)
    cases.put("schedule", f"schedule/{text}", schedule=text, values=value(jnp.stack([jnp.asarray(f(n), jnp.float32) for n in range(31)])))

# -- losses ----------------------------------------------------------------------------------------------------------


def loss(variant, op, x, *rest, **params):
    f = resolve(f"optax.{op}")
    result = attempt(lambda: f(x, *rest, **params))
    if "out" in result:
        result["dx"] = value(jax.grad(lambda v: jnp.sum(f(v, *rest, **params)))(x))
    cases.put("loss", f"optax.{op}/{variant}", op=f"optax.{op}", args=[argument(v) for v in (x, *rest)], params={k: value(v) for k, v in params.items()}, **result)


logits = f32(4, 3) * 2
soft = jax.nn.softmax(f32(4, 3))
ints = jnp.array([0, 2, 1, 1])
edge = jnp.array([[1e4, -1e4, 0.0], [-jnp.inf, 0.0, 1.0], [100.0, 100.0, 100.0], [-1e4, -1e4, -1e4]])
masked_where = jnp.array([[True, True, False], [True, True, True], [False, True, True], [True, True, True]])
loss("one-hot", "softmax_cross_entropy", logits, jax.nn.one_hot(ints, 3))
loss("soft", "softmax_cross_entropy", logits, soft)
loss("axis-0", "softmax_cross_entropy", logits, soft, axis=0)
loss("edge", "softmax_cross_entropy", edge, jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]))
loss("where", "softmax_cross_entropy", logits, soft, where=masked_where)
loss("default", "softmax_cross_entropy_with_integer_labels", logits, ints)
loss("edge", "softmax_cross_entropy_with_integer_labels", edge, ints)
loss("axis-0", "softmax_cross_entropy_with_integer_labels", logits, jnp.array([0, 3, 1]), axis=0)
loss("two-batch-axes", "softmax_cross_entropy_with_integer_labels", f32(2, 2, 3), jnp.array([[0, 1], [2, 2]]))
loss("out-of-range", "softmax_cross_entropy_with_integer_labels", logits, jnp.array([0, 3, -1, 1]))
loss("bfloat16", "softmax_cross_entropy_with_integer_labels", logits.astype(jnp.bfloat16), ints)
loss("float-labels", "softmax_cross_entropy_with_integer_labels", logits, jnp.array([0.0, 1.0, 2.0, 0.0]))
loss("default", "safe_softmax_cross_entropy", edge, jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]))
loss("default", "sigmoid_binary_cross_entropy", logits, (soft > 0.3).astype(jnp.float32))
loss("soft", "sigmoid_binary_cross_entropy", logits, soft)
loss("edge", "sigmoid_binary_cross_entropy", jnp.array([0.0, -0.0, 100.0, -100.0, 1e4, -1e4, 1e4, -1e4]), jnp.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]))
loss("default", "sigmoid_focal_loss", logits, (soft > 0.3).astype(jnp.float32))
loss("alpha-gamma", "sigmoid_focal_loss", logits, (soft > 0.3).astype(jnp.float32), alpha=0.25, gamma=3.0)
p, t = f32(5), f32(5)
for op in ["squared_error", "l2_loss", "huber_loss", "log_cosh", "cosine_similarity", "cosine_distance"]:
    loss("default", op, p, t)
    loss("matrix", op, f32(3, 4), f32(3, 4))
for op in ["squared_error", "l2_loss"]:
    loss("no-targets", op, p)
    loss("broadcast", op, f32(2, 3), f32(2, 3)[:1])
for delta in [0.1, 1.0, 5.0]:
    loss(f"delta-{delta}", "huber_loss", jnp.array([0.0, 0.05, 0.1, 0.5, 1.0, 3.0, -7.0]), jnp.zeros(7), delta=delta)
loss("zero-vector", "cosine_similarity", jnp.zeros(3), f32(3))
loss("zero-vector-epsilon", "cosine_similarity", jnp.zeros(3), f32(3), epsilon=1e-6)
loss("axis-0", "cosine_similarity", f32(3, 2), f32(3, 2), axis=0)
loss("default", "kl_divergence", jax.nn.log_softmax(logits), soft)
loss("zero-targets", "kl_divergence", jax.nn.log_softmax(logits), jax.nn.one_hot(ints, 3))
loss("default", "convex_kl_divergence", jax.nn.log_softmax(logits), soft)
loss("default", "hinge_loss", p, jnp.sign(t))
loss("0.1", "smooth_labels", jax.nn.one_hot(ints, 3), 0.1)
loss("0", "smooth_labels", jax.nn.one_hot(ints, 3), 0.0)
paddings = jnp.zeros((2, 6)).at[1, 4:].set(1.0)
loss("default", "ctc_loss", f32(2, 6, 4), paddings, jnp.array([[1, 2, 2], [3, 1, 0]]), jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
loss("blank-3", "ctc_loss", f32(2, 6, 4), paddings, jnp.array([[1, 2, 2], [0, 1, 0]]), jnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), blank_id=3)

# -- helpers ---------------------------------------------------------------------------------------------------------

cases.put("helpers", "helpers/global_norm", tree=leaves(PARAMS), out=value(optax.global_norm(PARAMS)))
cases.put("helpers", "helpers/incremental_update-0.1", new=leaves(GRADS[0]), old=leaves(PARAMS), step_size=0.1, out=leaves(optax.incremental_update(GRADS[0], PARAMS, 0.1)))
cases.put("helpers", "helpers/apply_updates-keeps-dtype", params=value(jnp.bfloat16(1.0)), updates=value(jnp.float32(0.001)), out=value(optax.apply_updates(jnp.bfloat16(1.0), jnp.float32(0.001))))
for n in [0, 5, 2**31 - 1]:
    cases.put("helpers", f"helpers/safe_increment-{n}", count=value(jnp.int32(n)), out=value(optax.safe_increment(jnp.int32(n))))

cases.write("optim.json")
