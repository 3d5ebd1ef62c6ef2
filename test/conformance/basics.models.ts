// The models of the basics guide, as a user of Linum writes them, and short ways to look at them.
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { assertClose } from "../support/close.ts"
import { cases, numbers, tensor, type Value } from "../support/golden.ts"

export type Tensor = nnx.Tensor.Tensor
export type Param = nnx.Variable<"Param", Tensor>

/** A backend and random streams, each as `nnx.Rngs(0)` of Flax. */
export const Live = Layer.mergeAll(Cpu.layer, nnx.Rngs.layer(0))

/** x · w + b. */
export class Linear extends nnx.Module("Linear")<{
  readonly w: Param
  readonly b: Param
  readonly din: number
  readonly dout: number
}> {
  static readonly make = Effect.fnUntraced(function*(din: number, dout: number) {
    const key = yield* nnx.Rngs.nextKey("params")
    const w = yield* nnx.Param.make(nnx.Tensor.random.uniform(key, [din, dout]))
    const b = yield* nnx.Param.make(nnx.Tensor.zeros([dout]))
    return new Linear({ w, b, din, dout })
  })

  apply(x: Tensor) {
    return applyLinear(this, x)
  }
}

const applyLinear = Effect.fnUntraced(function*({ b, w }: Linear, x: Tensor) {
  return x.matmul(yield* Ref.get(w)).add(yield* Ref.get(b))
})

/** Two Linears with a BatchNorm, a Dropout and gelu between them. The Linears may be replaced by others. */
export class MLP extends nnx.Module("MLP")<{
  readonly linear1: nnx.Applicable<Failure, never>
  readonly dropout: nnx.Dropout
  readonly bn: nnx.BatchNorm
  readonly linear2: nnx.Applicable<Failure, never>
}> {
  static readonly make = Effect.fnUntraced(function*(din: number, dmid: number, dout: number) {
    return new MLP({
      linear1: yield* Linear.make(din, dmid),
      dropout: yield* nnx.Dropout.make(0.1),
      bn: yield* nnx.BatchNorm.make(dmid),
      linear2: yield* Linear.make(dmid, dout)
    })
  })

  apply(x: Tensor) {
    return applyMlp(this, x)
  }
}

export type Failure = nnx.Tensor.TensorError | nnx.RngStreamError

const applyMlp = Effect.fnUntraced(function*(self: MLP, x: Tensor) {
  const normal = yield* self.bn.apply(yield* self.linear1.apply(x))
  return yield* self.linear2.apply(nnx.gelu(yield* self.dropout.apply(normal)))
})

export const Count = nnx.kind("Count")

/** Counts its calls. */
export class Counter extends nnx.Module("Counter")<{ readonly count: nnx.Variable<"Count", Tensor> }> {
  static readonly make = Effect.map(Count.make(int(0)), (count) => new Counter({ count }))

  apply() {
    return Ref.update(this.count, (n) => n.add(1))
  }
}

/** A Linear that counts its calls. */
export class StatefulLinear extends nnx.Module("StatefulLinear")<{
  readonly w: Param
  readonly b: Param
  readonly count: nnx.Variable<"Count", Tensor>
}> {
  static readonly make = Effect.fnUntraced(function*(din: number, dout: number) {
    const key = yield* nnx.Rngs.nextKey()
    return new StatefulLinear({
      w: yield* nnx.Param.make(nnx.Tensor.random.uniform(key, [din, dout])),
      b: yield* nnx.Param.make(nnx.Tensor.zeros([dout])),
      count: yield* Count.make(nnx.Tensor.array(0, { dtype: "uint32" }))
    })
  })

  apply(x: Tensor) {
    return applyStateful(this, x)
  }
}

const applyStateful = Effect.fnUntraced(function*({ b, count, w }: StatefulLinear, x: Tensor) {
  yield* Ref.update(count, (n) => n.add(1))
  return x.matmul(yield* Ref.get(w)).add(yield* Ref.get(b))
})

export const LoraParam = nnx.Param.sub("LoraParam")

/** A Linear with the product of two thin matrices beside it. */
export class LoraLinear extends nnx.Module("LoraLinear")<{
  readonly linear: Linear
  readonly A: nnx.Variable<"Param/LoraParam", Tensor>
  readonly B: nnx.Variable<"Param/LoraParam", Tensor>
}> {
  static readonly make = Effect.fnUntraced(function*(linear: Linear, rank: number) {
    const rngs = yield* nnx.Rngs
    return new LoraLinear({
      linear,
      A: yield* LoraParam.make(yield* rngs.normal([linear.din, rank])),
      B: yield* LoraParam.make(yield* rngs.normal([rank, linear.dout]))
    })
  })

  apply(x: Tensor) {
    return applyLora(this, x)
  }
}

const applyLora = Effect.fnUntraced(function*({ A, B, linear }: LoraLinear, x: Tensor) {
  const y = yield* linear.apply(x)
  return y.add(x.matmul(yield* Ref.get(A)).matmul(yield* Ref.get(B)))
})

// --- looking ---

/** An int32 scalar. */
export function int(n: number): Tensor {
  return nnx.Tensor.array(n, { dtype: "int32" })
}

/** What a Variable holds, as numbers. */
export const held = (variable: nnx.Variable<string, Tensor>) => Effect.flatMap(Ref.get(variable), nnx.Tensor.toNested)

/** The error that an Effect fails with, by tag. */
export const failsWith = <A, E, R>(effect: Effect.Effect<A, E, R>, tag: string) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return assert.fail(`succeeded, and should fail with ${tag}`)
    const [reason] = exit.cause.reasons
    assert.strictEqual(reason._tag, "Fail", String(exit.cause))
    const { error } = reason as { readonly error: { readonly _tag: string; readonly message: string } }
    assert.strictEqual(error._tag, tag, error.message)
    return error
  })

/** A case of the golden file of the basics guide. */
export interface Basics {
  readonly name: string
  readonly made: Readonly<Record<string, Value>>
  readonly after: Readonly<Record<string, Value>>
  readonly stats: Readonly<Record<string, Value>>
  readonly x: Value
  readonly out: Value
  readonly outs: ReadonlyArray<Value>
  readonly losses: ReadonlyArray<Value>
  readonly sown: ReadonlyArray<Value>
}

/** What Flax gives. */
export const golden = (name: string): Basics => {
  const found = cases("basics.json")["basics"].find((c) => c.name === `basics/${name}`)
  assert.isDefined(found)
  return found as unknown as Basics
}

export { tensor }

/** Fails unless an array is Flax's: floats to 1e-5, everything else exactly. */
export const expectValue = Effect.fnUntraced(function*(x: Tensor, value: Value, what = "", loose = 1) {
  const got = yield* nnx.Tensor.toTypedArray(x)
  if (value.dtype === "float32") assertClose(got, numbers(value), { atol: 1e-6 * loose, rtol: 1e-5 * loose }, what)
  else assert.deepStrictEqual([...got], numbers(value), what)
})

/** Fails unless the Variables of a model are Flax's, or those of them that are named. */
export const expectValues = Effect.fnUntraced(
  function*(model: object, values: Readonly<Record<string, Value>>, loose = 1) {
    const entries = nnx.State.toEntries(yield* nnx.state(model))
    const byPath = new Map(entries.map(([path, leaf]) => [path.join("/"), leaf]))
    for (const [path, value] of Object.entries(values)) {
      const leaf = byPath.get(path) as nnx.State.VariableState<string, Tensor>
      yield* expectValue(leaf.value, value, path, loose)
    }
    return [...byPath.keys()].toSorted()
  }
)
