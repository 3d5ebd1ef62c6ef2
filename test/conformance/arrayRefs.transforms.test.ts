// The second notebook: its training loop, and its stack of blocks made by vmap and run by scan, with the numbers that
// it prints and Flax's own (test/golden/rngs.json).
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { assertClose, type Numbers } from "../support/close.ts"
import { cases, numbers, tensor, type Value } from "../support/golden.ts"
import { held } from "./basics.models.ts"
import { assertNotebookLosses, Block, makeBiasBlock, stacked, type Tensor } from "./transforms.models.ts"

const T = nnx.Tensor

/** In the notebook's mode, with its seed. */
const notebook = <A, E>(effect: Effect.Effect<A, E, nnx.Backend | nnx.Rngs>) =>
  effect.pipe(nnx.useRefs(true), Effect.provide(nnx.Rngs.layer(0)))

const golden = cases("rngs.json")["notebook"].find((c) => c.name === "notebook/stack") as unknown as {
  readonly x: Value
  readonly y: Value
  readonly mean: Value
  readonly count: Value
}

/** What the notebook prints. Its digits are rounding residue from the fourth on. */
const printed = [[0.82840395, -0.25364894], [4.9552917, 4.93638], [-7.6721525, -3.4668717]]

layer(Cpu.layer)("the training loop of the second notebook", (it) => {
  it.effect("A.042 the gradient of a model of refs is taken of its arrays; the step writes the refs", () =>
    Effect.gen(function*() {
      const model = yield* makeBiasBlock(2, 64, 3)
      const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-3), { wrt: nnx.Param })
      assert.isTrue(model.linear.kernel.hasRef)
      const trainStep = nnx.jit(
        Effect.fnUntraced(function*(m: typeof model, o: typeof optimizer, x: Tensor, y: Tensor) {
          const [graphdef, params] = yield* nnx.split(m, nnx.Param, nnx.Filter.rest)
          const [, nondiff] = yield* nnx.variables(m, nnx.Param, nnx.Filter.rest)
          const lossFn = (p: typeof params) =>
            Effect.gen(function*() {
              const merged = yield* nnx.merge(graphdef, p, nondiff)
              return (yield* merged.apply(x)).sub(y).square().mean()
            })
          const [loss, grads] = yield* nnx.valueAndGrad(lossFn)(yield* nnx.toArrays(params))
          assert.deepStrictEqual(nnx.State.paths(grads), nnx.State.paths(params))
          yield* o.update(m, grads)
          return loss
        })
      )
      const ref = yield* nnx.getRawValue(model.linear.kernel)
      const before = yield* held(model.linear.kernel)
      const losses: Array<number> = []
      for (let i = 0; i < 3; i++) {
        losses.push(yield* T.item(yield* trainStep(model, optimizer, T.ones([10, 2]), T.ones([10, 3]))))
      }
      assertNotebookLosses(losses)
      assert.strictEqual(trainStep.traces(), 1)
      // The very ref holds what was learned, and the state that does not train has come along.
      assert.strictEqual(yield* nnx.getRawValue(model.linear.kernel), ref)
      assert.notDeepEqual(yield* held(model.linear.kernel), before)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(ref as nnx.ArrayRef)), yield* held(model.linear.kernel))
      assert.strictEqual(yield* held(model.dropout.rngs.count), 3)
      assert.notStrictEqual(((yield* held(model.bn.mean)) as ReadonlyArray<number>)[0], 0)
    }).pipe(notebook))
})

layer(Cpu.layer)("the stack of the second notebook", (it) => {
  it.effect("A.043 vmap over forked streams makes eight blocks side by side", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs
      const stack = yield* stacked(makeBiasBlock(2, 64, 2))(yield* rngs.split(8))
      assert.instanceOf(stack, Block)
      const shapes = nnx.State.toEntries(yield* nnx.state(stack)).map(([path, leaf]) =>
        [path.join("/"), (leaf as { readonly value: Tensor }).value.shape] as const
      )
      assert.deepStrictEqual(Object.fromEntries(shapes), {
        "bn/bias": [8, 64],
        "bn/mean": [8, 64],
        "bn/scale": [8, 64],
        "bn/var": [8, 64],
        "dropout/rngs/count": [8],
        "dropout/rngs/key": [8, 2],
        "linear/bias": [8, 64],
        "linear/kernel": [8, 2, 64],
        "linearOut/bias": [8, 2],
        "linearOut/kernel": [8, 64, 2]
      })
      assert.isTrue(stack.linear.kernel.hasRef)
      // The blocks differ, and are those of the streams one by one.
      const again = yield* Effect.flatMap(nnx.Rngs.fromSeeds(0), (r) => r.split(8))
      const streams = again.streams["default"]
      const third = yield* makeBiasBlock(2, 64, 2).pipe(
        Effect.provideService(nnx.Rngs, yield* nnx.Rngs.fromSeeds((yield* Ref.get(streams.key)).get(2)))
      )
      const kernels = (yield* held(stack.linear.kernel)) as ReadonlyArray<unknown>
      const own: unknown = yield* held(third.linear.kernel)
      assert.deepStrictEqual(kernels[2], own)
      assert.notDeepEqual(kernels[2], kernels[3])
      // A function that splits the streams itself, and puts them back.
      const whole = nnx.splitRngs({ splits: 8 })(stacked(makeBiasBlock(2, 64, 2)))
      const other = yield* whole(yield* nnx.Rngs.fromSeeds(0))
      const others: unknown = yield* held(other.linear.kernel)
      assert.deepStrictEqual(others, kernels)
    }).pipe(notebook))

  it.effect("A.044 scan runs the stack, each block with its own statistics and dropout; the numbers are Flax's", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs
      const stack = yield* stacked(makeBiasBlock(2, 64, 2))(yield* rngs.split(8))
      const x = T.random.uniform(T.random.key(0), [3, 2])
      assert.deepStrictEqual(yield* T.toNested(x), yield* T.toNested(tensor(golden.x)))
      const scanFn = (carry: Tensor, block: typeof stack) =>
        Effect.map(block.apply(carry), (out) => [out, undefined] as const)
      const [y] = yield* nnx.scan(scanFn)(x, stack)
      const found = (yield* T.toNested(y)) as Numbers
      assertClose(found, numbers(golden.y), { rtol: 5e-4, atol: 5e-4 })
      assertClose(found, printed, { rtol: 5e-4, atol: 5e-4 })
      assertClose((yield* held(stack.bn.mean)) as Numbers, numbers(golden.mean), { rtol: 1e-3, atol: 1e-5 })
      assert.deepStrictEqual(yield* held(stack.dropout.rngs.count), numbers(golden.count))
    }).pipe(notebook))

  it.effect("A.047 jit returns a model of refs", () =>
    Effect.gen(function*() {
      const create = nnx.jit(() => makeBiasBlock(2, 64, 3))
      const model = yield* create()
      assert.strictEqual(
        String(model.linear),
        `Linear( # Param: 192 (768 B)
  bias=Param( # 64 (256 B)
    value=Array(shape=(64,), dtype=float32),
    hasRef=true
  ),
  kernel=Param( # 128 (512 B)
    value=Array(shape=(2, 64), dtype=float32),
    hasRef=true
  )
)`
      )
      // They are new, and written like any.
      const ref = (yield* nnx.getRawValue(model.linear.bias)) as nnx.ArrayRef
      yield* nnx.jit((m: typeof model) => Ref.update(m.linear.bias, (b) => b.add(1)))(model)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(ref)), Array.from({ length: 64 }, () => 1))
      assert.notStrictEqual((yield* create()).linear.bias, model.linear.bias)
      assert.strictEqual(create.traces(), 1)
    }).pipe(notebook))
})
