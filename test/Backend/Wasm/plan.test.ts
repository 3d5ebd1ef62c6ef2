// The memory plan and the compiler's work, on random Programs and on training steps.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { compile } from "../../../src/Backend/Wasm/compile/index.ts"
import { plan } from "../../../src/Backend/Wasm/plan.ts"
import { format } from "../../../src/Backend/Wasm/print.ts"
import { scan } from "../../../src/Program/control.ts"
import type { Program } from "../../../src/Program/Program.ts"
import { simplify } from "../../../src/Program/simplify.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../../src/Tensor/ShapedArray.ts"
import { literal } from "../../../src/Tensor/Tensor.ts"
import { compiledBy } from "../../support/compiled.ts"
import { problemsOf } from "../../support/planned.ts"
import { traced } from "../../support/programs/generator.ts"
import { sample } from "../../support/programs/index.ts"

const T = nnx.Tensor
type Tensor = nnx.Tensor.Tensor

const services = Effect.provide([nnx.Rngs.layer(0), Cpu.layer])

/** The Program of a training step with Adam. */
const trainingStep = <M extends object>(
  model: M,
  apply: (model: M, x: Tensor) => Effect.Effect<Tensor, unknown>,
  x: Tensor
) =>
  Effect.gen(function*() {
    const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-3), { wrt: nnx.Param })
    const labels = T.zeros([x.shape[0]], { dtype: "int32" })
    const step = nnx.jit((m: M, x: Tensor) =>
      Effect.gen(function*() {
        const loss = (net: M) =>
          Effect.map(apply(net, x), (y) => nnx.softmaxCrossEntropyWithIntegerLabels(y, labels).mean())
        const [value, grads] = yield* nnx.valueAndGrad(loss)(m)
        yield* optimizer.update(m, grads)
        return value
      })
    )
    const [program] = yield* compiledBy(step(model, x))
    return program
  })

const mlp = Effect.gen(function*() {
  const layers = [yield* nnx.Linear.make(78, 51), yield* nnx.Linear.make(51, 51), yield* nnx.Linear.make(51, 10)]
  const apply = ([a, b, c]: typeof layers, x: Tensor) =>
    Effect.gen(function*() {
      return yield* c.apply(T.nn.relu(yield* b.apply(T.nn.relu(yield* a.apply(x)))))
    })
  return yield* trainingStep(layers, apply, T.ones([16, 78]))
})

const cnn = Effect.gen(function*() {
  const model = {
    c1: yield* nnx.Conv.make(1, 8, [3, 3]),
    c2: yield* nnx.Conv.make(8, 16, [3, 3]),
    l1: yield* nnx.Linear.make(784, 32),
    l2: yield* nnx.Linear.make(32, 10)
  }
  const apply = (m: typeof model, x: Tensor) =>
    Effect.gen(function*() {
      const pooled = (y: Tensor) => T.nn.maxPool(T.nn.relu(y), [2, 2], { strides: [2, 2] })
      const features = pooled(yield* m.c2.apply(pooled(yield* m.c1.apply(x))))
      return yield* m.l2.apply(T.nn.relu(yield* m.l1.apply(features.reshape([x.shape[0], 784]))))
    })
  return yield* trainingStep(model, apply, T.ones([8, 28, 28, 1]))
})

const block = Effect.gen(function*() {
  const model = {
    n1: yield* nnx.LayerNorm.make(32),
    q: yield* nnx.Linear.make(32, 32),
    k: yield* nnx.Linear.make(32, 32),
    v: yield* nnx.Linear.make(32, 32),
    o: yield* nnx.Linear.make(32, 32),
    n2: yield* nnx.LayerNorm.make(32),
    up: yield* nnx.Linear.make(32, 128),
    down: yield* nnx.Linear.make(128, 32)
  }
  const apply = (m: typeof model, x: Tensor) =>
    Effect.gen(function*() {
      const heads = (y: Tensor) => y.reshape([2, 16, 4, 8]).transpose([0, 2, 1, 3])
      const h = yield* m.n1.apply(x)
      const keys = heads(yield* m.k.apply(h)).transpose([0, 1, 3, 2])
      const scores = T.nn.softmax(heads(yield* m.q.apply(h)).matmul(keys).mul(0.35))
      const attended = scores.matmul(heads(yield* m.v.apply(h))).transpose([0, 2, 1, 3]).reshape([2, 16, 32])
      const y = x.add(yield* m.o.apply(attended))
      const hidden = T.nn.gelu(yield* m.up.apply(yield* m.n2.apply(y)))
      return y.add(yield* m.down.apply(hidden)).mean({ axis: 1 })
    })
  return yield* trainingStep(model, apply, T.ones([2, 16, 32]))
})

const f32 = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "float32")
const full = (value: number, ...shape: ReadonlyArray<number>) => lax.broadcastTo(literal(value, "float32"), shape)
const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)
const product = (x: Tensor, y: Tensor, i = 1, j = 0) =>
  lax.dotGeneral(x, y, { batch: [[], []], contracting: [[i], [j]] })
const rows = (x: Tensor, y: Tensor) => lax.broadcastInDim(x, y.shape, [0])

describe("plan", () => {
  for (let first = 0; first < 400; first += 100) {
    it(`no kernel writes over what is still read, seeds ${first} to ${first + 99}`, () => {
      for (let seed = first; seed < first + 100; seed++) {
        const { aliases, program } = sample(seed)
        const compiled = compile(simplify(program, { final: true }))
        const free = aliases.filter(([, input]) =>
          compiled.outputs.every((o) => o._tag !== "Input" || o.index !== input)
        )
        const problems = problemsOf(compiled, plan(compiled, free))
        assert.deepStrictEqual(problems, [], `seed ${seed}\n${format(compiled)}`)
      }
    })
  }

  it("what a loop's body reads of the outside lives until the loop ends", () => {
    const { program } = traced([f32(8, 8)], ([x]) => {
      const outside = product(x, x)
      const { captures, program: body } = traced([f32(8, 8)], ([c]) => [product(product(lax.sub(c, outside), c), c)])
      const params = { program: body, length: 3, reverse: false, num_consts: captures.length, num_carry: 1, unroll: 1 }
      return scan(params, [...captures, x]).outputs
    })
    const compiled = compile(program)
    assert.deepStrictEqual(problemsOf(compiled, plan(compiled)), [], format(compiled))
  })

  for (const [name, program] of [["an MLP", mlp], ["a CNN", cnn], ["a transformer block", block]] as const) {
    it.effect(`the training step of ${name} needs little more than lives at once`, () =>
      Effect.gen(function*() {
        const compiled = compile(simplify(yield* program, { final: true }))
        const made = plan(compiled)
        assert.deepStrictEqual(problemsOf(compiled, made), [])
        assert.isAtMost(made.arenaBytes, 1.05 * made.liveBytes)
      }).pipe(services))
  }
})

/** Programs that grow in different ways; n is about the number of equations. */
const growing: Readonly<Record<string, (n: number) => Program>> = {
  "a chain": (n) =>
    traced([f32(64)], ([x]) => [range(n).reduce((y, i) => i % 3 === 0 ? lax.tanh(y) : lax.add(y, x), x)]).program,
  "products, one after the other": (n) =>
    traced([f32(16, 16)], ([x]) => [range(n / 2).reduce((y) => lax.tanh(product(y, x)), x)]).program,
  "rows that are normalized again and again": (n) =>
    traced([f32(16, 16)], ([x]) => [
      range(n / 6).reduce((y) => {
        const e = lax.exp(lax.sub(y, rows(lax.reduceMax(y, [1]), y)))
        return lax.div(e, rows(lax.reduceSum(e, [1]), y))
      }, x)
    ]).program,
  "updates of many arrays": (n) =>
    traced(
      range(n / 3).map((i) => f32(8, 4 + i % 5)),
      (xs) => xs.map((x) => lax.sub(x, lax.mul(lax.square(x), full(0.1, ...x.shape))))
    ).program,
  "many readers of one value": (n) =>
    traced([f32(64)], ([x]) => {
      const y = lax.exp(x)
      return range(n / 2).map((i) => lax.cumsum(lax.mul(y, full(i, 64)), 0))
    }).program,
  "many sums of one value": (n) =>
    traced([f32(64)], ([x]) => range(n / 2).map((i) => lax.reduceSum(lax.mul(x, full(i, 64)), [0]))).program,
  "forward and backward": (n) =>
    traced([f32(16, 16), f32(16, 16)], ([x, w]) => {
      const depth = Math.floor(n / 6)
      const hidden = [x]
      for (let i = 0; i < depth; i++) hidden.push(lax.tanh(product(hidden[i], w)))
      const grads: Array<Tensor> = []
      let g = hidden[depth]
      for (let i = depth; i > 0; i--) {
        g = lax.mul(g, lax.square(hidden[i]))
        grads.push(lax.sub(w, product(hidden[i - 1], g, 0, 0)))
        g = product(g, w, 1, 1)
      }
      return grads
    }).program,
  "reshapes in the way": (n) =>
    traced([f32(6, 35)], ([x]) => [
      range(n / 4).reduce((y) => lax.reshape(lax.transpose(lax.reshape(lax.sin(y), [5, 42]), [1, 0]), [6, 35]), x)
    ]).program
}

const workOf = (program: Program): number => {
  const work = { visits: 0 }
  compile(simplify(program, { final: true }), work)
  return work.visits
}

describe("the compiler's work grows with the Program, and not faster", () => {
  for (const [name, program] of Object.entries(growing)) {
    it(name, () => {
      const [once, twice] = [800, 1600].map((n) => workOf(program(n)))
      assert.isAtMost(twice, 2.3 * once)
    })
  }
})
