// Transformations, schedules and losses against Optax's own numbers. Names of states are compared too, in camelCase.
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { compute, toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as optim from "../../src/Optimizer/index.ts"
import { leaves, mapWithPath } from "../../src/Optimizer/tree.ts"
import { isTensorError } from "../../src/Tensor/errors.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { grad } from "../../src/Transform/autodiff.ts"
import { assertClose } from "../support/close.ts"
import * as golden from "../support/golden.ts"
import { schedules, transformations } from "./transformations.ts"

type Leaves = Readonly<Record<string, golden.Value>>

interface Given {
  readonly params?: Leaves
  readonly grads?: ReadonlyArray<Leaves>
}

interface TransformCase extends Given {
  readonly name: string
  readonly tx: string
  readonly state: Leaves
  /** State and parameters only after the last. */
  readonly steps: ReadonlyArray<{ readonly updates: Leaves; readonly state?: Leaves; readonly params?: Leaves }>
}

interface LossCase extends golden.Case {
  readonly dx?: golden.Value
  readonly message?: string
}

const file = golden.cases("optim.json")
const group = <C>(name: string): ReadonlyArray<C> => file[name] as unknown as ReadonlyArray<C>
const [given] = group<Required<Given>>("given")

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

const treeOf = (flat: Leaves) => ({
  a: golden.tensor(flat["a"]),
  b: { c: golden.tensor(flat["b/c"]), d: golden.tensor(flat["b/d"]) }
})

const tolerances = { float32: { rtol: 1e-5, atol: 1e-6 }, bfloat16: { rtol: 1.6e-2, atol: 1e-3 } }

/** RAdam's factor is a difference of nearly equal numbers: its last digits are those of XLA's `pow`. */
const touchy = /^radam/

const assertTensor = Effect.fnUntraced(function*(actual: Tensor | undefined, expected: golden.Value, what: string) {
  if (actual === undefined) return assert.fail(`${what} is missing`)
  const aval = golden.aval(expected)
  assert.deepStrictEqual([actual.dtype, actual.shape], [aval.dtype, aval.shape], what)
  const tolerance = touchy.test(what)
    ? { rtol: 1e-2, atol: 1e-6 }
    : aval.dtype === "float32" || aval.dtype === "bfloat16"
    ? tolerances[aval.dtype]
    : { rtol: 0, atol: 0 }
  assertClose(yield* toTypedArray(actual), golden.numbers(expected), tolerance, what)
})

const assertLeaves = Effect.fnUntraced(function*(tree: unknown, expected: Leaves, what: string) {
  const found = new Map<string, Tensor>()
  mapWithPath(tree, (leaf, path) => found.set(path.join("/"), leaf) && leaf)
  const names = Object.keys(expected).filter((name) => !name.startsWith("hyperparams_states"))
  assert.deepStrictEqual([...found.keys()].sort(), names.map(camel).sort(), `${what}: paths`)
  for (const name of names) yield* assertTensor(found.get(camel(name)), expected[name], `${what}: ${name}`)
})

/** Losses that we have under another name, or not. */
const lossNames: Readonly<Record<string, string>> = { convexKlDivergence: "generalizedKlDivergence" }
const losses = optim as unknown as Readonly<Record<string, ((...args: ReadonlyArray<unknown>) => Tensor) | undefined>>

const callLoss = (c: LossCase): (x: Tensor) => Tensor => {
  const name = camel(c.op.replace("optax.", ""))
  const f = losses[lossNames[name] ?? name]
  if (f === undefined) return assert.fail(`no ${name}`)
  const [, ...rest] = c.args.map(golden.input)
  const options = Object.fromEntries(Object.entries(c.params).map(([key, value]) => [camel(key), golden.input(value)]))
  const targets = name.endsWith("Loss") && rest.length === 0 ? [undefined] : rest
  return (x) => f(x, ...targets, ...(Object.keys(options).length === 0 ? [] : [options]))
}

layer(Cpu.layer)("optim.json", (it) => {
  describe("transformations", () => {
    for (const c of group<TransformCase>("transform")) {
      it.effect(c.name, () =>
        Effect.gen(function*() {
          const tx = transformations[c.tx]
          if (tx === undefined) return assert.fail(`no ${c.tx}`)
          let params = treeOf(c.params ?? given.params)
          let state = tx.init(params)
          yield* assertLeaves(state, c.state, "at the start")
          const grads = c.grads ?? given.grads
          for (let i = 0; i < grads.length; i++) {
            const step = tx.update(treeOf(grads[i]), state, params)
            params = optim.applyUpdates(params, step.updates)
            state = step.state
            yield* compute(...leaves(step), ...leaves(params))
            yield* assertLeaves(step.updates, c.steps[i].updates, `${c.tx}: updates ${i}`)
            const expected = c.steps[i]
            if (expected.state !== undefined) yield* assertLeaves(state, expected.state, "state at the end")
            if (expected.params !== undefined) {
              yield* assertLeaves(params, expected.params, `${c.tx}: params at the end`)
            }
          }
        }))
    }
  })

  describe("lbfgs", () => {
    const rosenbrock = (p: Tensor) =>
      Effect.sync(() => {
        const [head, tail] = [p.get(":-1"), p.get("1:")]
        return tail.sub(head.square()).square().mul(100).add(T.sub(1, head).square()).sum()
      })
    interface LbfgsCase {
      readonly name: string
      readonly tx: string
      readonly start: golden.Value
      readonly steps: ReadonlyArray<Readonly<Record<"value" | "grad" | "params", golden.Value>>>
    }
    // With a line search: not offered.
    for (const c of group<LbfgsCase>("lbfgs").filter((c) => c.tx.includes("None"))) {
      it.effect(c.name, () =>
        Effect.gen(function*() {
          const tx = optim.lbfgs(0.1)
          let params = golden.tensor(c.start)
          let state = tx.init(params)
          for (const [i, expected] of c.steps.entries()) {
            const g = yield* grad(rosenbrock)(params)
            const step = tx.update(g, state, params)
            params = optim.applyUpdates(params, step.updates)
            state = step.state
            yield* compute(...leaves(state), params)
            yield* assertTensor(g, expected.grad, `gradient ${i}`)
            yield* assertTensor(params, expected.params, `params ${i}`)
          }
        }))
    }
  })

  describe("schedules", () => {
    for (
      const c of group<{ readonly name: string; readonly schedule: string; readonly values: golden.Value }>("schedule")
    ) {
      it.effect(c.name, () =>
        Effect.gen(function*() {
          const schedule = schedules[c.schedule]
          if (schedule === undefined) return assert.fail(`no ${c.schedule}`)
          const counts = golden.numbers(c.values).map((_, i) => i)
          const ofNumbers = T.stack(counts.map((i) => schedule(i).astype("float32")))
          const ofArrays = T.stack(counts.map((i) => schedule(T.array(i, { dtype: "int32" })).astype("float32")))
          yield* compute(ofNumbers, ofArrays)
          yield* assertTensor(ofNumbers, c.values, "of numbers")
          yield* assertTensor(ofArrays, c.values, "of int32 arrays")
          assert.isTrue(schedule(1).weakType && schedule(1).dtype === "float32", "a weak float32")
        }))
    }
  })

  describe("losses", () => {
    for (const c of group<LossCase>("loss")) {
      it.effect(c.name, () =>
        Effect.gen(function*() {
          const f = callLoss(c)
          const x = golden.input(c.args[0]) as Tensor
          if (c.error !== undefined) {
            assert.throws(() => f(x))
            try {
              f(x)
            } catch (error) {
              assert.isTrue(isTensorError(error), "a tagged error")
            }
            return
          }
          yield* assertTensor(f(x), c.out, "value")
          if (c.dx === undefined) return
          const dx = yield* grad((x: Tensor) => Effect.sync(() => f(x).sum()))(x)
          yield* assertTensor(dx, c.dx, "gradient")
        }))
    }
  })

  describe("helpers", () => {
    it.effect("globalNorm, incrementalUpdate, applyUpdates, safeIncrement", () =>
      Effect.gen(function*() {
        const [norm, average, updates, ...counts] = group<Readonly<Record<string, never>>>("helpers")
        yield* assertTensor(optim.globalNorm(treeOf(norm["tree"])), norm["out"], "globalNorm")
        yield* assertLeaves(
          optim.incrementalUpdate(treeOf(average["new"]), treeOf(average["old"]), 0.1),
          average["out"],
          "incrementalUpdate"
        )
        const applied = optim.applyUpdates(golden.tensor(updates["params"]), golden.tensor(updates["updates"]))
        yield* assertTensor(applied, updates["out"], "applyUpdates")
        for (const c of counts) yield* assertTensor(optim.safeIncrement(golden.tensor(c["count"])), c["out"], "count")
      }))
  })
})
