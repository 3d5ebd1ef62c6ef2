// The transformations of test/golden/optim.json, as we write them.
import * as optim from "../../src/Optimizer/index.ts"
import * as T from "../../src/Tensor/index.ts"

const mask = { a: true, b: { c: false, d: true } }
const labels = { a: "first", b: { c: "second", d: "second" } }
const linear = optim.linearSchedule({ initValue: 0.1, endValue: 0, transitionSteps: 4 })
const cosine = optim.cosineDecaySchedule({ initValue: 1e-2, decaySteps: 5 })
const warmup = optim.warmupCosineDecaySchedule({
  initValue: 0,
  peakValue: 0.1,
  warmupSteps: 2,
  decaySteps: 6,
  endValue: 0.01
})

/** By what Optax's call is written like. */
export const transformations: Readonly<Record<string, optim.GradientTransformation>> = {
  "sgd(0.1)": optim.sgd(0.1),
  "sgd(0.1, momentum=0.9)": optim.sgd(0.1, { momentum: 0.9 }),
  "sgd(0.1, momentum=0.9, nesterov=True)": optim.sgd(0.1, { momentum: 0.9, nesterov: true }),
  "sgd(linear_schedule(0.1, 0.0, 4))": optim.sgd(linear),
  "adam(1e-2)": optim.adam(1e-2),
  "adam(0.1)": optim.adam(0.1),
  "adam(1e-2, b1=0.8, b2=0.9, eps=1e-4)": optim.adam(1e-2, { b1: 0.8, b2: 0.9, eps: 1e-4 }),
  "adam(1e-2, eps_root=1e-3)": optim.adam(1e-2, { epsRoot: 1e-3 }),
  "adam(1e-2, nesterov=True)": optim.adam(1e-2, { nesterov: true }),
  "adam(cosine_decay_schedule(1e-2, 5))": optim.adam(cosine),
  "adam(1e-2, mu_dtype=jnp.bfloat16)": optim.adam(1e-2, { muDtype: "bfloat16" }),
  "adamw(1e-2)": optim.adamw(1e-2),
  "adamw(1e-2, weight_decay=0.1)": optim.adamw(1e-2, { weightDecay: 0.1 }),
  "adamw(1e-2, weight_decay=0.1, mask=mask)": optim.adamw(1e-2, { weightDecay: 0.1, mask }),
  "adamw(1e-2, weight_decay=0.1, nesterov=True)": optim.adamw(1e-2, { weightDecay: 0.1, nesterov: true }),
  "nadam(1e-2)": optim.nadam(1e-2),
  "nadamw(1e-2, weight_decay=0.1)": optim.nadamw(1e-2, { weightDecay: 0.1 }),
  "adamax(1e-2)": optim.adamax(1e-2),
  "amsgrad(1e-2)": optim.amsgrad(1e-2),
  "radam(1e-2)": optim.radam(1e-2),
  "radam(1e-2, threshold=0.1)": optim.radam(1e-2, { threshold: 0.1 }),
  "adabelief(1e-2)": optim.adabelief(1e-2),
  "yogi(1e-2)": optim.yogi(1e-2),
  "adagrad(0.1)": optim.adagrad(0.1),
  "adagrad(0.1, initial_accumulator_value=0.5, eps=1e-3)": optim.adagrad(0.1, {
    initialAccumulatorValue: 0.5,
    eps: 1e-3
  }),
  "adadelta(1.0)": optim.adadelta(1),
  "rmsprop(1e-2)": optim.rmsprop(1e-2),
  "rmsprop(1e-2, centered=True)": optim.rmsprop(1e-2, { centered: true }),
  "rmsprop(1e-2, momentum=0.9)": optim.rmsprop(1e-2, { momentum: 0.9 }),
  "rmsprop(1e-2, momentum=0.9, nesterov=True, decay=0.8, eps=1e-4)": optim.rmsprop(1e-2, {
    momentum: 0.9,
    nesterov: true,
    decay: 0.8,
    eps: 1e-4
  }),
  "rmsprop(1e-2, initial_scale=1.0, bias_correction=True)": optim.rmsprop(1e-2, {
    initialScale: 1,
    biasCorrection: true
  }),
  "lion(1e-3)": optim.lion(1e-3),
  "lion(1e-3, b1=0.8, b2=0.9, weight_decay=0.1)": optim.lion(1e-3, { b1: 0.8, b2: 0.9, weightDecay: 0.1 }),
  "lamb(1e-2)": optim.lamb(1e-2),
  "lamb(1e-2, weight_decay=0.1)": optim.lamb(1e-2, { weightDecay: 0.1 }),
  "lars(0.1, weight_decay=0.01)": optim.lars(0.1, { weightDecay: 0.01 }),
  "adafactor(1e-2)": optim.adafactor(1e-2),
  "adafactor(1e-2, min_dim_size_to_factor=2, momentum=0.9, weight_decay_rate=0.01)": optim.adafactor(1e-2, {
    minDimSizeToFactor: 2,
    momentum: 0.9,
    weightDecayRate: 0.01
  }),
  "noisy_sgd(0.1, eta=0.1, gamma=0.55, key=0)": optim.noisySgd(0.1, { eta: 0.1, gamma: 0.55, key: 0 }),
  "novograd(1e-2)": optim.novograd(1e-2),
  "sign_sgd(0.1)": optim.signSgd(0.1),
  "rprop(0.01)": optim.rprop(0.01),
  "fromage(1e-2)": optim.fromage(1e-2),
  "optimistic_gradient_descent(0.1)": optim.optimisticGradientDescent(0.1),
  "identity()": optim.identity,
  "set_to_zero()": optim.setToZero,
  "scale(-0.5)": optim.scale(-0.5),
  "scale_by_learning_rate(0.1)": optim.scaleByLearningRate(0.1),
  "scale_by_learning_rate(0.1, flip_sign=False)": optim.scaleByLearningRate(0.1, { flipSign: false }),
  "scale_by_schedule(piecewise_constant_schedule(1.0, {2: 0.5, 4: 0.1}))": optim.scaleBySchedule(
    optim.piecewiseConstantSchedule(1, { 2: 0.5, 4: 0.1 })
  ),
  "scale_by_adam()": optim.scaleByAdam(),
  "scale_by_rms()": optim.scaleByRms(),
  "scale_by_stddev()": optim.scaleByStddev(),
  "scale_by_trust_ratio()": optim.scaleByTrustRatio(),
  "scale_by_factored_rms()": optim.scaleByFactoredRms(),
  "trace(0.9)": optim.trace(0.9),
  "trace(0.9, nesterov=True)": optim.trace(0.9, { nesterov: true }),
  "ema(0.9)": optim.ema(0.9),
  "ema(0.9, debias=False)": optim.ema(0.9, { debias: false }),
  "add_decayed_weights(0.1)": optim.addDecayedWeights(0.1),
  "add_decayed_weights(0.1, mask)": optim.addDecayedWeights(0.1, mask),
  "add_decayed_weights(0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p))": optim.addDecayedWeights(
    0.1,
    (params: unknown) => T.Tree.mapWithPath(params, (x) => x.ndim > 1) as object
  ),
  "add_noise(0.1, 0.55, 0)": optim.addNoise(0.1, 0.55, 0),
  "clip(0.5)": optim.clip(0.5),
  "clip_by_global_norm(1.0)": optim.clipByGlobalNorm(1),
  "clip_by_global_norm(100.0)": optim.clipByGlobalNorm(100),
  "clip_by_block_rms(0.5)": optim.clipByBlockRms(0.5),
  "adaptive_grad_clip(0.1)": optim.adaptiveGradClip(0.1),
  "centralize()": optim.centralize,
  "normalize_by_update_norm()": optim.normalizeByUpdateNorm(),
  "zero_nans()": optim.zeroNans,
  "keep_params_nonnegative()": optim.keepParamsNonnegative,
  "chain(clip_by_global_norm(1.0), sgd(0.1, momentum=0.9))": optim.chain(
    optim.clipByGlobalNorm(1),
    optim.sgd(0.1, { momentum: 0.9 })
  ),
  "chain(clip_by_global_norm(1.0), add_decayed_weights(0.01), scale_by_adam(), scale_by_learning_rate(warmup_cosine_decay_schedule(0.0, 0.1, 2, 6, 0.01)))":
    optim.chain(
      optim.clipByGlobalNorm(1),
      optim.addDecayedWeights(0.01),
      optim.scaleByAdam(),
      optim.scaleByLearningRate(warmup)
    ),
  "chain(clip_by_global_norm(1.0), adamw(1e-2))": optim.chain(optim.clipByGlobalNorm(1), optim.adamw(1e-2)),
  "named_chain((\"clip\", clip(0.5)), (\"adam\", adam(1e-2)))": optim.namedChain({
    clip: optim.clip(0.5),
    adam: optim.adam(1e-2)
  }),
  "masked(sgd(0.1, momentum=0.9), mask)": optim.masked(optim.sgd(0.1, { momentum: 0.9 }), mask),
  "partition({\"first\": adam(1e-2), \"second\": sgd(0.1)}, labels)": optim.partition(
    { first: optim.adam(1e-2), second: optim.sgd(0.1) },
    labels
  ),
  "partition({\"first\": adam(1e-2), \"second\": set_to_zero()}, labels)": optim.partition(
    { first: optim.adam(1e-2), second: optim.setToZero },
    labels
  ),
  "inject_hyperparams(adam)(learning_rate=1e-2)": optim.injectHyperparams(
    ({ b1, b2, eps, epsRoot, learningRate }) => optim.adam(learningRate, { b1, b2, eps, epsRoot }),
    { learningRate: 1e-2, b1: 0.9, b2: 0.999, eps: 1e-8, epsRoot: 0 }
  ),
  "inject_hyperparams(sgd)(learning_rate=linear_schedule(0.1, 0.0, 4), momentum=0.9)": optim.injectHyperparams(
    ({ learningRate, momentum }) => optim.sgd(learningRate, { momentum }),
    { learningRate: linear, momentum: 0.9 }
  ),
  "MultiSteps(sgd(0.1), every_k_schedule=2)": optim.multiSteps(optim.sgd(0.1), 2),
  "MultiSteps(adam(1e-2), every_k_schedule=3, use_grad_mean=False)": optim.multiSteps(optim.adam(1e-2), 3, {
    useGradMean: false
  }),
  "apply_if_finite(sgd(0.1), 2)": optim.applyIfFinite(optim.sgd(0.1), 2),
  "apply_if_finite(sgd(0.1), 3)": optim.applyIfFinite(optim.sgd(0.1), 3),
  "apply_if_finite(adam(0.1), 1)": optim.applyIfFinite(optim.adam(0.1), 1),
  "apply_every(2)": optim.applyEvery(2)
}

const cycles = [
  { initValue: 0, peakValue: 1, decaySteps: 8, warmupSteps: 3, endValue: 0.1 },
  { initValue: 0.1, peakValue: 0.5, decaySteps: 12, warmupSteps: 2, endValue: 0 }
]

/** Schedules, by what Optax's call is written like. */
export const schedules: Readonly<Record<string, optim.Schedule>> = {
  "constant_schedule(0.1)": optim.constantSchedule(0.1),
  "linear_schedule(0.1, 0.01, 10)": optim.linearSchedule({ initValue: 0.1, endValue: 0.01, transitionSteps: 10 }),
  "linear_schedule(0.0, 1.0, 10, transition_begin=5)": optim.linearSchedule({
    initValue: 0,
    endValue: 1,
    transitionSteps: 10,
    transitionBegin: 5
  }),
  "polynomial_schedule(1.0, 0.1, 2, 10)": optim.polynomialSchedule({
    initValue: 1,
    endValue: 0.1,
    power: 2,
    transitionSteps: 10
  }),
  "polynomial_schedule(1.0, 0.1, 0.5, 10, transition_begin=3)": optim.polynomialSchedule({
    initValue: 1,
    endValue: 0.1,
    power: 0.5,
    transitionSteps: 10,
    transitionBegin: 3
  }),
  "polynomial_schedule(1.0, 0.1, 2, 0)": optim.polynomialSchedule({
    initValue: 1,
    endValue: 0.1,
    power: 2,
    transitionSteps: 0
  }),
  "cosine_decay_schedule(0.1, 20)": optim.cosineDecaySchedule({ initValue: 0.1, decaySteps: 20 }),
  "cosine_decay_schedule(0.1, 20, alpha=0.1)": optim.cosineDecaySchedule({
    initValue: 0.1,
    decaySteps: 20,
    alpha: 0.1
  }),
  "cosine_decay_schedule(0.1, 20, alpha=0.1, exponent=2.0)": optim.cosineDecaySchedule({
    initValue: 0.1,
    decaySteps: 20,
    alpha: 0.1,
    exponent: 2
  }),
  "exponential_decay(1.0, 5, 0.5)": optim.exponentialDecay({ initValue: 1, transitionSteps: 5, decayRate: 0.5 }),
  "exponential_decay(1.0, 5, 0.5, staircase=True)": optim.exponentialDecay({
    initValue: 1,
    transitionSteps: 5,
    decayRate: 0.5,
    staircase: true
  }),
  "exponential_decay(1.0, 5, 0.5, transition_begin=3, end_value=0.2)": optim.exponentialDecay({
    initValue: 1,
    transitionSteps: 5,
    decayRate: 0.5,
    transitionBegin: 3,
    endValue: 0.2
  }),
  "exponential_decay(0.1, 5, 2.0, end_value=1.0)": optim.exponentialDecay({
    initValue: 0.1,
    transitionSteps: 5,
    decayRate: 2,
    endValue: 1
  }),
  "piecewise_constant_schedule(1.0, {5: 0.5, 10: 0.1, 20: 2.0})": optim.piecewiseConstantSchedule(1, {
    5: 0.5,
    10: 0.1,
    20: 2
  }),
  "piecewise_constant_schedule(1.0)": optim.piecewiseConstantSchedule(1),
  "piecewise_interpolate_schedule(\"linear\", 1.0, {5: 0.5, 15: 0.1})": optim.piecewiseInterpolateSchedule(
    "linear",
    1,
    { 5: 0.5, 15: 0.1 }
  ),
  "piecewise_interpolate_schedule(\"cosine\", 1.0, {5: 0.5, 15: 0.1})": optim.piecewiseInterpolateSchedule(
    "cosine",
    1,
    { 5: 0.5, 15: 0.1 }
  ),
  "warmup_cosine_decay_schedule(0.0, 1.0, 5, 20)": optim.warmupCosineDecaySchedule({
    initValue: 0,
    peakValue: 1,
    warmupSteps: 5,
    decaySteps: 20
  }),
  "warmup_cosine_decay_schedule(0.1, 1.0, 5, 20, end_value=0.05)": optim.warmupCosineDecaySchedule({
    initValue: 0.1,
    peakValue: 1,
    warmupSteps: 5,
    decaySteps: 20,
    endValue: 0.05
  }),
  "warmup_cosine_decay_schedule(0.0, 1.0, 5, 20, end_value=0.05, exponent=2.0)": optim.warmupCosineDecaySchedule({
    initValue: 0,
    peakValue: 1,
    warmupSteps: 5,
    decaySteps: 20,
    endValue: 0.05,
    exponent: 2
  }),
  "warmup_constant_schedule(0.0, 1.0, 5)": optim.warmupConstantSchedule({
    initValue: 0,
    peakValue: 1,
    warmupSteps: 5
  }),
  "warmup_exponential_decay_schedule(0.0, 1.0, 5, 10, 0.5)": optim.warmupExponentialDecaySchedule({
    initValue: 0,
    peakValue: 1,
    warmupSteps: 5,
    transitionSteps: 10,
    decayRate: 0.5
  }),
  "warmup_exponential_decay_schedule(0.0, 1.0, 5, 10, 0.5, transition_begin=2, staircase=True, end_value=0.3)": optim
    .warmupExponentialDecaySchedule({
      initValue: 0,
      peakValue: 1,
      warmupSteps: 5,
      transitionSteps: 10,
      decayRate: 0.5,
      transitionBegin: 2,
      staircase: true,
      endValue: 0.3
    }),
  "join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, 10), constant_schedule(0.5)], [5, 15])": optim
    .joinSchedules([
      optim.constantSchedule(1),
      optim.linearSchedule({ initValue: 1, endValue: 0, transitionSteps: 10 }),
      optim.constantSchedule(0.5)
    ], [5, 15]),
  "join_schedules([linear_schedule(0.0, 1.0, 5), cosine_decay_schedule(1.0, 15)], [5])": optim.joinSchedules([
    optim.linearSchedule({ initValue: 0, endValue: 1, transitionSteps: 5 }),
    optim.cosineDecaySchedule({ initValue: 1, decaySteps: 15 })
  ], [5]),
  "cosine_onecycle_schedule(20, 1.0)": optim.cosineOnecycleSchedule({ transitionSteps: 20, peakValue: 1 }),
  "cosine_onecycle_schedule(20, 1.0, pct_start=0.5, div_factor=10.0, final_div_factor=100.0)": optim
    .cosineOnecycleSchedule({ transitionSteps: 20, peakValue: 1, pctStart: 0.5, divFactor: 10, finalDivFactor: 100 }),
  "linear_onecycle_schedule(20, 1.0)": optim.linearOnecycleSchedule({ transitionSteps: 20, peakValue: 1 }),
  "sgdr_schedule([dict(init_value=0.0, peak_value=1.0, decay_steps=8, warmup_steps=3, end_value=0.1), dict(init_value=0.1, peak_value=0.5, decay_steps=12, warmup_steps=2, end_value=0.0)])":
    optim.sgdrSchedule(cycles)
}
