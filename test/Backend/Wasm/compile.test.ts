// From Programs to kernels: how many there are, and how they read.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { compile } from "../../../src/Backend/Wasm/compile/index.ts"
import { plan } from "../../../src/Backend/Wasm/plan.ts"
import { format, kernelCount } from "../../../src/Backend/Wasm/print.ts"
import { simplify } from "../../../src/Program/simplify.ts"
import { compiledBy } from "../../support/compiled.ts"

const T = nnx.Tensor
type Tensor = nnx.Tensor.Tensor

const services = Effect.provide([nnx.Rngs.layer(0), Cpu.layer])

/** The first Program that the Effect compiles, in the compiler's language: after it come those of pending arguments. */
const firstCompiled = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(compiledBy(self), (programs) => {
    const [program] = programs
    return compile(simplify(program, { final: true }))
  })

const pure = <Args extends ReadonlyArray<Tensor>>(f: (...args: Args) => Tensor, ...args: Args) =>
  firstCompiled(nnx.jit((...xs: Args) => Effect.succeed(f(...xs)))(...args))

const lines = (...text: ReadonlyArray<string>) => text.join("\n")

describe("compile", () => {
  it.effect("a chain of elementwise operations is one loop", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, a: Tensor, b: Tensor) => T.nn.gelu(x.mul(a).add(b)).mul(T.nn.sigmoid(x))
      const made = yield* pure(f, T.ones([40]), T.ones([40]), T.ones([40]))
      assert.strictEqual(kernelCount(made.steps), 1)
    }).pipe(services))

  it.effect("softmax is one kernel, row by row", () =>
    Effect.gen(function*() {
      const made = yield* pure((x: Tensor) => T.nn.softmax(x), T.ones([4, 6]))
      assert.strictEqual(
        format(made),
        lines(
          "inputs b0:float32[24]",
          "loop reduce_max_exp_reduce_sum_div [4] x [6]",
          "  r0 = max b0[6i+j]",
          "  b1:float32[j] = exp((b0[6i+j] - r0))",
          "  r1 = sum b1[j]",
          "  b2:float32[6i+j] = (b1[j] / r1)",
          "outputs b2:float32[24]"
        )
      )
    }).pipe(services))

  it.effect("a layer norm is one kernel", () =>
    Effect.gen(function*() {
      const layer = yield* nnx.LayerNorm.make(8)
      const made = yield* firstCompiled(nnx.jit((l: nnx.LayerNorm, x: Tensor) => l.apply(x))(layer, T.ones([4, 8])))
      assert.strictEqual(kernelCount(made.steps), 1)
    }).pipe(services))

  it.effect("what follows a product is its epilogue", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, w: Tensor, b: Tensor) => T.nn.gelu(x.matmul(w).add(b))
      const made = yield* pure(f, T.ones([4, 8]), T.ones([8, 5]), T.ones([5]))
      assert.strictEqual(kernelCount(made.steps), 1)
      assert.match(format(made), /^dot dot_mul 4x5x8 b\d = b\d\(8,1\) @ b\d\(5,1\)$/m)
    }).pipe(services))

  it.effect("products read their operands through strides", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, y: Tensor) => x.transpose().matmul(y.transpose())
      const made = yield* pure(f, T.ones([8, 4]), T.ones([5, 8]))
      assert.strictEqual(kernelCount(made.steps), 1)
      assert.match(format(made), /dot dot 4x5x8 b\d = b\d\(1,4\) @ b\d\(1,8\)/)
    }).pipe(services))

  it.effect("a product that is only read transposed is computed the other way around", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, y: Tensor) => x.matmul(y).transpose().mul(2)
      const made = yield* pure(f, T.ones([4, 8]), T.ones([8, 5]))
      assert.match(format(made), /dot dot_mul 5x4x8/)
    }).pipe(services))

  it.effect("cross-entropy and its gradient are two kernels", () =>
    Effect.gen(function*() {
      const labels = T.array([0, 2, 1, 1], { dtype: "int32" })
      const f = (x: Tensor) => Effect.succeed(nnx.softmaxCrossEntropyWithIntegerLabels(x, labels).mean())
      const made = yield* firstCompiled(nnx.jit((x: Tensor) => nnx.valueAndGrad(f)(x))(T.ones([4, 10])))
      assert.isAtMost(kernelCount(made.steps), 2, format(made))
    }).pipe(services))

  it.effect("Adam over all parameters is one kernel, and one for its scalars", () =>
    Effect.gen(function*() {
      const model = yield* nnx.Sequential.make(yield* nnx.Linear.make(8, 5), yield* nnx.Linear.make(5, 3))
      const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-3), { wrt: nnx.Param })
      const grads = yield* nnx.state(model, nnx.Param)
      const made = yield* firstCompiled(nnx.jit(() => optimizer.update(model, grads))())
      assert.isAtMost(kernelCount(made.steps), 2, format(made))
    }).pipe(services))

  it.effect("a training step of a network of two layers is at most twelve", () =>
    Effect.gen(function*() {
      const model = yield* nnx.Sequential.make(
        yield* nnx.Linear.make(8, 5),
        (x: Tensor) => T.nn.relu(x),
        yield* nnx.Linear.make(5, 3)
      )
      const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-3), { wrt: nnx.Param })
      const labels = T.array([0, 2, 1, 1], { dtype: "int32" })
      const step = nnx.jit((m: typeof model, x: Tensor) =>
        Effect.gen(function*() {
          const loss = (net: typeof model) =>
            Effect.map(net.apply(x), (y) => nnx.softmaxCrossEntropyWithIntegerLabels(y as Tensor, labels).mean())
          const [value, grads] = yield* nnx.valueAndGrad(loss)(m)
          yield* optimizer.update(m, grads)
          return value
        })
      )
      const made = yield* firstCompiled(step(model, T.ones([4, 8])))
      assert.isAtMost(kernelCount(made.steps), 12, format(made))
    }).pipe(services))

  it.effect("a reshape that merges axes splits the loop instead of computing the array first", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, b: Tensor) => x.add(b).reshape([12]).mul(2)
      const made = yield* pure(f, T.ones([3, 4]), T.ones([4]))
      assert.strictEqual(kernelCount(made.steps), 1, format(made))
    }).pipe(services))

  it.effect("pads and concatenations are written piece by piece", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) => T.concatenate([T.pad(x, [[1, 2], [0, 1]]), T.ones([1, 4])], 0)
      const made = yield* pure(f, T.ones([2, 3]))
      assert.strictEqual(kernelCount(made.steps), 2, format(made))
    }).pipe(services))
})

describe("plan", () => {
  it.effect("a chain of products needs the memory of two", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) => Array.from({ length: 20 }).reduce<Tensor>((y) => y.matmul(x), x)
      const made = yield* pure(f, T.ones([16, 16]))
      const { arenaBytes, liveBytes } = plan(made)
      assert.deepStrictEqual([arenaBytes, liveBytes], [2 * 1024, 2 * 1024])
    }).pipe(services))

  it.effect("updates are written over what they replace", () =>
    Effect.gen(function*() {
      const f = (p: Tensor, g: Tensor) => p.sub(g.mul(0.1))
      const made = yield* pure(f, T.ones([16]), T.ones([16]))
      const { places } = plan(made, [[0, 0]])
      const [output] = made.outputs
      const [input] = made.inputs
      assert(output._tag === "Buffer" && input !== undefined)
      assert.deepStrictEqual(places.get(output.buffer), places.get(input))
    }).pipe(services))

  it.effect("an input that is read later is not written over", () =>
    Effect.gen(function*() {
      const f = (p: Tensor) => p.add(1).matmul(p)
      const made = yield* pure((p: Tensor) => f(p).add(p), T.ones([4, 4]))
      const { places } = plan(made, [[0, 0]])
      const [output] = made.outputs
      const [input] = made.inputs
      assert(output._tag === "Buffer" && input !== undefined)
      assert.notDeepEqual(places.get(output.buffer), places.get(input))
    }).pipe(services))
})
