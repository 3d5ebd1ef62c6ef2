// Models of the golden file training.json, as a user would write them.
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { setAttribute } from "../../src/GraphDef/index.ts"
import * as L from "../../src/Layer/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import { Rngs, type RngStreams } from "../../src/Ref/Rngs.ts"
import { kind, Param, type Variable } from "../../src/Ref/Variable.ts"
import { array, zeros } from "../../src/Tensor/construct.ts"
import { uniform } from "../../src/Tensor/random/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { scan } from "../../src/Transform/scan.ts"
import { vmap } from "../../src/Transform/vmap.ts"

/** Linear, BatchNorm, Dropout, gelu, Linear. */
export class Block extends Module("Block")<{
  readonly linear: L.Linear<boolean>
  readonly bn: L.BatchNorm
  readonly dropout: L.Dropout
  readonly linearOut: L.Linear
}> {
  static readonly make = Effect.fnUntraced(function*(
    [din, dmid, dout]: readonly [number, number, number],
    options: { readonly rate?: number; readonly useBias?: boolean } = {}
  ) {
    return new Block({
      linear: yield* L.Linear.make(din, dmid, { useBias: options.useBias ?? false }),
      bn: yield* L.BatchNorm.make(dmid),
      dropout: yield* L.Dropout.make(options.rate ?? 0.1),
      linearOut: yield* L.Linear.make(dmid, dout)
    })
  })

  apply(x: Tensor) {
    return applyBlock(this, x)
  }
}

const applyBlock = Effect.fnUntraced(function*(self: Block, x: Tensor) {
  const normal = yield* self.bn.apply(yield* self.linear.apply(x))
  return yield* self.linearOut.apply(L.gelu(yield* self.dropout.apply(normal)))
})

/** Two convolutions with pooling, and a Linear. */
export class ConvNet extends Module("ConvNet")<{
  readonly conv1: L.Conv
  readonly conv2: L.Conv
  readonly linear: L.Linear
}> {
  static readonly make = Effect.fnUntraced(function*() {
    return new ConvNet({
      conv1: yield* L.Conv.make(1, 4, [3, 3]),
      conv2: yield* L.Conv.make(4, 3, [3, 3], { strides: 2, padding: "VALID" }),
      linear: yield* L.Linear.make(3, 3)
    })
  })

  apply(x: Tensor) {
    return applyConvNet(this, x)
  }
}

const applyConvNet = Effect.fnUntraced(function*(self: ConvNet, x: Tensor) {
  const pooled = L.maxPool(L.relu(yield* self.conv1.apply(x)), [2, 2], { strides: [2, 2] })
  const small = L.avgPool(L.relu(yield* self.conv2.apply(pooled)), [1, 1])
  return yield* self.linear.apply(small.mean([1, 2]))
})

/** One block of a decoder, with its embedding as the output head. */
export class Transformer extends Module("Transformer")<{
  readonly embed: L.Embed
  readonly norm1: L.LayerNorm
  readonly attention: L.MultiHeadAttention<false>
  readonly norm2: L.RMSNorm
  readonly up: L.Linear
  readonly down: L.Linear
}> {
  static readonly make = Effect.fnUntraced(function*() {
    return new Transformer({
      embed: yield* L.Embed.make(5, 4),
      norm1: yield* L.LayerNorm.make(4),
      attention: yield* L.MultiHeadAttention.make(2, 4, { useBias: false }),
      norm2: yield* L.RMSNorm.make(4),
      up: yield* L.Linear.make(4, 8),
      down: yield* L.Linear.make(8, 4)
    })
  })

  apply(tokens: Tensor) {
    return applyTransformer(this, tokens)
  }
}

const applyTransformer = Effect.fnUntraced(function*(self: Transformer, tokens: Tensor) {
  const embedded = yield* self.embed.apply(tokens)
  const attended = yield* self.attention.apply(yield* self.norm1.apply(embedded), { isCausal: true })
  const x = embedded.add(attended)
  const hidden = L.silu(yield* self.up.apply(yield* self.norm2.apply(x)))
  return yield* self.embed.attend(x.add(yield* self.down.apply(hidden)))
})

/** One layer of a `Stack`. */
export class StackLayer extends Module("Layer")<{
  readonly linear: L.Linear<false>
  readonly bn: L.BatchNorm
  readonly dropout: L.Dropout
}> {
  static readonly make = Effect.fnUntraced(function*() {
    return new StackLayer({
      linear: yield* L.Linear.make(3, 3, { useBias: false }),
      bn: yield* L.BatchNorm.make(3),
      dropout: yield* L.Dropout.make(0.5)
    })
  })

  apply(x: Tensor) {
    return applyStackLayer(this, x)
  }
}

const applyStackLayer = Effect.fnUntraced(function*(self: StackLayer, x: Tensor) {
  const normal = yield* self.bn.apply(yield* self.linear.apply(x))
  return x.add(L.gelu(yield* self.dropout.apply(normal)))
})

/** Layers made together by vmap, with their arrays stacked, and run by scan. */
export class Stack extends Module("Stack")<{ readonly layers: StackLayer }> {
  static readonly make = Effect.fnUntraced(function*(depth: number) {
    const rngs = yield* Rngs
    const make = (streams: RngStreams) => Effect.provideService(StackLayer.make(), Rngs, streams)
    return new Stack({ layers: yield* vmap(make)(yield* rngs.split(depth)) })
  })

  apply(x: Tensor) {
    return applyStack(this, x)
  }
}

const forward = scan(
  Effect.fnUntraced(function*(x: Tensor, layer: StackLayer) {
    return [yield* layer.apply(x), undefined] as const
  })
)

const applyStack = Effect.fnUntraced(function*(self: Stack, x: Tensor) {
  const [y] = yield* forward(x, self.layers)
  return y
})

/** A Linear that counts its calls. */
export class StatefulLinear extends Module("StatefulLinear")<{
  readonly w: Variable<"Param", Tensor>
  readonly b: Variable<"Param", Tensor>
  readonly count: Variable<"Count", Tensor>
}> {
  static readonly make = Effect.fnUntraced(function*(din: number, dout: number) {
    return new StatefulLinear({
      w: yield* Param.make(uniform(yield* Rngs.nextKey("params"), [din, dout])),
      b: yield* Param.make(zeros([dout])),
      count: yield* kind("Count").make(array(0, { dtype: "uint32" }))
    })
  })

  apply(x: Tensor) {
    return applyStateful(this, x)
  }
}

const applyStateful = Effect.fnUntraced(function*(self: StatefulLinear, x: Tensor) {
  yield* Ref.update(self.count, (n) => n.add(1))
  return x.matmul(yield* Ref.get(self.w)).add(yield* Ref.get(self.b))
})

/** Two layers with a relu between them. Surgery may put others in their places. */
export class Mlp extends Module("Mlp")<{
  readonly linear1: L.Applicable<unknown, never>
  readonly linear2: L.Applicable<unknown, never>
}> {
  static readonly make = Effect.fnUntraced(function*(din: number, dmid: number, dout: number) {
    return new Mlp({ linear1: yield* L.Linear.make(din, dmid), linear2: yield* L.Linear.make(dmid, dout) })
  })

  apply(x: Tensor) {
    return Effect.flatMap(this.linear1.apply(x), (h) => this.linear2.apply(L.relu(h)))
  }
}

/** An Mlp that was made, and then had LoRA put around its layers. */
export const adaptedMlp = Effect.fnUntraced(function*() {
  const model = yield* Mlp.make(2, 4, 3)
  yield* setAttribute(model, "linear1", yield* L.LoRA.make(2, 2, 4, { baseModule: model.linear1 }))
  yield* setAttribute(model, "linear2", yield* L.LoRA.make(4, 2, 3, { baseModule: model.linear2 }))
  return model
})
