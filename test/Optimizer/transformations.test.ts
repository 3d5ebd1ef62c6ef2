// Laws and limits of transformations: chain is a monoid, masks and labels cover what they say, states keep their shape.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { item, toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { StructureError } from "../../src/GraphDef/errors.ts"
import * as optim from "../../src/Optimizer/index.ts"
import { leaves, mapWithPath, maskedNode } from "../../src/Optimizer/tree.ts"
import { BatchStat, Param } from "../../src/Ref/Variable.ts"
import * as Filter from "../../src/State/Filter.ts"
import * as State from "../../src/State/State.ts"
import { ShapeError } from "../../src/Tensor/errors.ts"
import * as T from "../../src/Tensor/index.ts"
import { literal, type Tensor } from "../../src/Tensor/Tensor.ts"

const state = (kernel: number, bias: number, mean = 0) =>
  State.fromEntries<Tensor>([
    [["linear", "kernel"], State.variableState("Param", T.full([2], kernel))],
    [["linear", "bias"], State.variableState("Param", T.full([1], bias))],
    [["norm", "mean"], State.variableState("BatchStat", T.full([], mean))]
  ])

const params = state(1, 2, 3)
const gradients = [state(0.5, -1, 2), state(-3, 0.25, 1), state(4, 2, -2)]

/** Updates of all steps. */
const run = (tx: optim.GradientTransformation, start: State.State<Tensor> = params) =>
  Effect.gen(function*() {
    let now = start
    let own = tx.init(now)
    const all: Array<unknown> = []
    for (const grads of gradients) {
      const step = tx.update(grads, own, now)
      now = optim.applyUpdates(now, step.updates)
      own = step.state
      all.push(yield* numbers(step.updates))
    }
    return all
  })

const numbers = Effect.fnUntraced(function*(tree: unknown) {
  const all: Array<unknown> = []
  for (const leaf of leaves(tree)) all.push(yield* toNested(leaf))
  return all
})

const parts = {
  momentum: optim.trace(0.9),
  adam: optim.scaleByAdam(),
  clipped: optim.clipByGlobalNorm(1),
  decay: optim.addDecayedWeights(0.1),
  scaled: optim.scale(-0.1)
}

layer(Cpu.layer)("transformations", (it) => {
  describe("chain", () => {
    it.effect("is associative, with identity on both sides", () =>
      Effect.gen(function*() {
        const { combine, combineAll, initialValue } = optim.ReducerChain
        const all = Object.values(parts)
        for (const a of all) {
          const alone = yield* run(a)
          assert.deepStrictEqual(yield* run(combine(initialValue, a)), alone)
          assert.deepStrictEqual(yield* run(combine(a, initialValue)), alone)
          for (const b of all) {
            const c = parts.momentum
            assert.deepStrictEqual(yield* run(combine(combine(a, b), c)), yield* run(combine(a, combine(b, c))))
          }
        }
        assert.deepStrictEqual(yield* run(combineAll(all)), yield* run(optim.chain(...all)))
        assert.deepStrictEqual(yield* run(optim.chain()), yield* run(optim.identity))
      }))

    it.effect("refuses the state of another chain", () =>
      Effect.sync(() => {
        const tx = optim.chain(parts.momentum, parts.scaled)
        const other = optim.chain(parts.momentum).init(params)
        assert.throws(() => tx.update(params, other as never, params), StructureError)
      }))
  })

  describe("masked", () => {
    const tx = (mask: optim.Mask) => optim.chain(optim.masked(optim.sgd(0.5, { momentum: 0.5 }), mask))
    const masks: Readonly<Record<string, optim.Mask>> = {
      "a filter of paths": Filter.pathContains("kernel"),
      "a filter by kind and path": Filter.allOf(Param, Filter.not(Filter.pathContains("bias"))),
      "a tree that stops above": { linear: { kernel: true, bias: false }, norm: false },
      "a State": State.fromEntries([
        [["linear", "kernel"], true],
        [["linear", "bias"], false],
        [["norm", "mean"], false]
      ]),
      "a function": (all: unknown) => mapWithPath(all, (leaf) => leaf.shape[0] === 2) as object,
      "a tree of filters": { linear: Filter.pathContains("kernel"), norm: Filter.nothing }
    }
    for (const [name, mask] of Object.entries(masks)) {
      it.effect(`by ${name} leaves the others' updates as they are`, () =>
        Effect.gen(function*() {
          const [first, second] = yield* run(tx(mask))
          assert.deepStrictEqual(first, [[-1], [-0.25, -0.25], 2])
          assert.deepStrictEqual(second, [[0.25], [1.375, 1.375], 1])
        }))
    }

    it.effect("keeps placeholders, and no state, for the others", () =>
      Effect.sync(() => {
        const own = tx(Filter.pathContains("kernel")).init(params)
        const [{ innerState }] = own
        const mirror = innerState[0] as optim.TraceState
        assert.deepStrictEqual(State.values(mirror.trace as State.State<unknown>).map((v) => v === maskedNode), [
          true,
          false,
          true
        ])
        assert.strictEqual(leaves(own).length, 1)
      }))

    it.effect("must say something of every parameter: else all are listed", () =>
      Effect.sync(() => {
        try {
          tx({ linear: { kernel: true } }).init(params)
          assert.fail("no error")
        } catch (error) {
          assert.instanceOf(error, StructureError)
          assert.deepStrictEqual((error as StructureError).misfits.map((m) => m.path.join("/")), [
            "linear/bias",
            "norm/mean"
          ])
        }
      }))
  })

  describe("partition", () => {
    const txs = { learns: optim.sgd(0.5), stays: optim.setToZero }

    it.effect("gives each parameter what has its label", () =>
      Effect.gen(function*() {
        const labels = optim.labelsByFilter([BatchStat, "stays"], [Filter.pathContains("bias"), "stays"], [
          Filter.everything,
          "learns"
        ])
        const byTree = { linear: { kernel: "learns", bias: "stays" }, norm: "stays" }
        const [first] = yield* run(optim.partition(txs, labels))
        assert.deepStrictEqual(first, [[0], [-0.25, -0.25], 0])
        assert.deepStrictEqual(yield* run(optim.partition(txs, labels)), yield* run(optim.partition(txs, byTree)))
        assert.deepStrictEqual(yield* run(optim.partition(txs, "learns")), yield* run(txs.learns))
      }))

    it.effect("needs a transformation for every label", () =>
      Effect.sync(() => {
        const tx = optim.partition(txs, { linear: "learns", norm: "other" })
        assert.throws(() => tx.init(params), /norm\/mean: expected one of the labels learns, stays, found other/)
      }))
  })

  describe("freeze and conditions", () => {
    it.effect("freeze holds what it covers", () =>
      Effect.gen(function*() {
        const [first] = yield* run(optim.chain(optim.sgd(0.5), optim.freeze(Filter.pathContains("linear"))))
        assert.deepStrictEqual(first, [[0], [0, 0], -1])
      }))

    it.effect("conditionallyTransform and conditionallyMask look at the step", () =>
      Effect.gen(function*() {
        const odd = (step: Tensor) => T.eq(T.mod(step, 2), 1)
        const inner = optim.scale(10)
        assert.deepStrictEqual((yield* run(optim.conditionallyTransform(inner, odd))).slice(0, 2), [
          [[-1], [0.5, 0.5], 2],
          [[2.5], [-30, -30], 10]
        ])
        assert.deepStrictEqual((yield* run(optim.conditionallyMask(inner, odd))).slice(0, 2), [
          [[0], [0, 0], 0],
          [[2.5], [-30, -30], 10]
        ])
      }))
  })

  describe("multiSteps", () => {
    it.effect("of the mean of two is one step of the mean, with zeros before", () =>
      Effect.gen(function*() {
        const all = yield* run(optim.multiSteps(optim.sgd(1), 2))
        assert.deepStrictEqual(all, [[[0], [0, 0], 0], [[0.375], [1.25, 1.25], -1.5], [[0], [0, 0], 0]])
      }))

    it.effect("may take more steps as training goes on", () =>
      Effect.gen(function*() {
        const tx = optim.multiSteps(optim.sgd(1), (step) => T.where(T.eq(step, 0), 1, 2))
        const all = yield* run(tx)
        assert.deepStrictEqual(all.map((step) => (step as ReadonlyArray<unknown>)[2]), [-2, 0, 0.5])
      }))

    it.effect("skips what should be skipped, as if it had not been", () =>
      Effect.gen(function*() {
        const tx = optim.multiSteps(optim.sgd(1), 2, { shouldSkipUpdate: optim.skipNotFinite })
        let own = tx.init(params)
        const seen: Array<unknown> = []
        for (const grads of [gradients[0], state(Number.NaN, 0), gradients[1]]) {
          const step = tx.update(grads, own, params)
          own = step.state
          seen.push([
            yield* numbers(step.updates),
            yield* item(own.miniStep),
            yield* item(own.skipState["numNotFinite"])
          ])
        }
        assert.deepStrictEqual(seen, [
          [[[0], [0, 0], 0], 1, 0],
          [[[0], [0, 0], 0], 1, 2],
          [[[0.375], [1.25, 1.25], -1.5], 0, 0]
        ])
        const large = optim.multiSteps(optim.sgd(1), 1, { shouldSkipUpdate: optim.skipLargeUpdates(10) })
        assert.deepStrictEqual((yield* run(large)).map((step) => (step as ReadonlyArray<unknown>)[2]), [-2, 0, 0])
      }))
  })

  describe("injectHyperparams", () => {
    it.effect("asks schedules at each step and keeps what was written", () =>
      Effect.gen(function*() {
        const tx = optim.injectHyperparams(({ momentum, rate }) => optim.sgd(rate, { momentum }), {
          rate: optim.linearSchedule({ initValue: 1, endValue: 0, transitionSteps: 2 }),
          momentum: 0
        })
        const first = tx.update(gradients[0], tx.init(params), params)
        const written = { ...first.state, hyperparams: { ...first.state.hyperparams, momentum: T.array(0.5) } }
        const second = tx.update(gradients[1], written, params)
        assert.strictEqual(yield* item(second.state.hyperparams.rate), 0.5)
        assert.deepStrictEqual(yield* numbers(second.updates), [[0.125], [1.375, 1.375], -1])
      }))
  })
})

describe("bad schedules", () => {
  it("are refused", () => {
    assert.throws(() => optim.cosineDecaySchedule({ initValue: 1, decaySteps: 0 }), ShapeError)
    assert.throws(
      () => optim.warmupCosineDecaySchedule({ initValue: 0, peakValue: 1, warmupSteps: 5, decaySteps: 5 }),
      /decaySteps above 0, found 0; with a warmup/
    )
    assert.throws(() => optim.joinSchedules([optim.constantSchedule(1)], [1]), ShapeError)
    assert.throws(() => optim.piecewiseConstantSchedule(1, { 3: -1 }), /scales of at least 0, found -1 at step 3/)
  })
})

describe("bad losses", () => {
  it("are refused with what was expected", () => {
    const logits = T.zeros([2, 3])
    assert.throws(
      () => optim.softmaxCrossEntropyWithIntegerLabels(logits, T.zeros([2, 3], "int32")),
      /labels of the shape \[2\]: that of the logits without classes, found i32\[2,3\]/
    )
    assert.throws(() => optim.softmaxCrossEntropyWithIntegerLabels(logits, T.zeros([2])), /go to softmaxCrossEntropy/)
    assert.throws(() => optim.squaredError(logits, T.zeros([3])), /do not broadcast/)
    assert.throws(() => optim.l2Loss(T.zeros([3], "int32")), /predictions of a floating dtype/)
  })
})

describe("states", () => {
  it("mirror every sort of tree", () => {
    const tree = { list: [T.zeros([2]), { x: T.zeros([]) }], state: params, note: "text", nothing: maskedNode }
    const own = optim.adam(0.1).init(tree)
    assert.strictEqual(leaves(own).length, 1 + 2 * 5)
    const { updates } = optim.adam(0.1).update(tree, own, tree)
    assert.deepStrictEqual(Object.keys(updates), ["list", "note", "nothing", "state"])
    assert.strictEqual(updates.note, "text")
    assert.strictEqual(updates.nothing, maskedNode)
    assert.isTrue(State.isState(updates.state))
  })

  it("list every place where trees differ", () => {
    const misfits = (() => {
      try {
        optim.mapTrees((a) => a, { a: literal(1, "float32"), b: [literal(1, "float32")] }, { a: "text", c: 1 })
        return []
      } catch (error) {
        return error instanceof StructureError ? error.misfits.map((m) => [m.path.join("/"), m.expected, m.found]) : []
      }
    })()
    assert.deepStrictEqual(misfits, [["c", "nothing", "1"], ["a", "f32[]", "text"], ["b", "a tree", "nothing"]])
  })
})
