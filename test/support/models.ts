// Models for tests: layers by hand, and graphs made from a seed, with shared nodes, shared Variables and cycles.
import * as Effect from "effect/Effect"
import { deleteAttribute, iterGraph, setAttribute } from "../../src/GraphDef/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import { fromHost, type Tensor } from "../../src/Tensor/Tensor.ts"
import { random } from "./arbitrary.ts"

/** A float32 array of zeros, in host memory. */
export const zeros = (...shape: ReadonlyArray<number>): Tensor =>
  fromHost(ShapedArray.make(shape, "float32"), new Float32Array(shape.reduce((a, b) => a * b, 1)))

type Param = Variable.Variable<"Param", Tensor>

export class Linear
  extends Module("Linear")<{ readonly bias: Param; readonly kernel: Param; readonly features: number }>
{
  static makeUnsafe(from: number, to: number): Linear {
    return new Linear({
      kernel: Variable.Param.makeUnsafe(zeros(from, to)),
      bias: Variable.Param.makeUnsafe(zeros(to)),
      features: to
    })
  }
}

export class BatchNorm extends Module("BatchNorm")<{
  readonly scale: Param
  readonly mean: Variable.Variable<"BatchStat", Tensor>
}> {
  static makeUnsafe(n: number): BatchNorm {
    return new BatchNorm({
      scale: Variable.Param.makeUnsafe(zeros(n)),
      mean: Variable.BatchStat.makeUnsafe(zeros(n))
    })
  }
}

export class Dropout extends Module("Dropout")<{
  readonly key: Variable.Variable<"RngState/RngKey", Tensor>
  readonly count: Variable.Variable<"RngState/RngCount", Tensor>
}> {
  static makeUnsafe(): Dropout {
    return new Dropout({
      key: Variable.RngKey.makeUnsafe(zeros(2), { metadata: { tag: "dropout" } }),
      count: Variable.RngCount.makeUnsafe(zeros(), { metadata: { tag: "dropout" } })
    })
  }
}

export class Block extends Module("Block")<{
  readonly linear: Linear
  readonly norm: BatchNorm
  readonly dropout: Dropout
}> {
  static makeUnsafe(from: number, to: number): Block {
    return new Block({
      linear: Linear.makeUnsafe(from, to),
      norm: BatchNorm.makeUnsafe(to),
      dropout: Dropout.makeUnsafe()
    })
  }
}

export class Stack extends Module("Stack")<{ readonly blocks: ReadonlyArray<Block>; readonly head: Linear }> {
  static makeUnsafe(depth: number, width: number): Stack {
    return new Stack({
      blocks: Array.from({ length: depth }, () => Block.makeUnsafe(width, width)),
      head: Linear.makeUnsafe(width, 1)
    })
  }
}

export class Node extends Module("Node")<Readonly<Record<string, unknown>>> {}

const kinds = [
  Variable.Param,
  Variable.BatchStat,
  Variable.RngKey,
  Variable.RngCount,
  Variable.Cache,
  Variable.Param.sub("Lora")
]

/** A graph of up to eight nodes and eight Variables, each of which may occur anywhere and more than once. */
export const generate = (seed: number): Node => {
  const { integer, pick } = random(seed)
  const upTo = (n: number) => integer(0, n)
  const variables = Array.from({ length: 1 + upTo(8) }, (_, i) =>
    pick(kinds).makeUnsafe(
      upTo(5) === 0 ? { a: zeros(1), b: [zeros(2), zeros(3)] } : zeros(upTo(3), 1 + upTo(3)),
      upTo(3) === 0 ? { metadata: { tag: `t${i % 3}`, axes: ["in", "out"] } } : {}
    ))
  const nodes = Array.from({ length: 1 + upTo(8) }, () => new Node({ size: upTo(3) }))
  const value = (depth: number): unknown => {
    const choice = upTo(depth > 2 ? 6 : 8)
    if (choice <= 1) return pick(nodes)
    if (choice <= 3) return pick(variables)
    if (choice === 4) return pick<unknown>([1, "relu", undefined, null, true, Math.abs])
    if (choice === 5) return zeros(upTo(3))
    if (choice === 6) return Array.from({ length: upTo(12) }, () => value(depth + 1))
    return Object.fromEntries(Array.from({ length: upTo(4) }, () => [pick(["a", "b", "10", "9"]), value(depth + 1)]))
  }
  for (const node of nodes) {
    for (let i = upTo(5); i >= 0; i--) Effect.runSync(setAttribute(node, pick(["x", "y", "z", "w2", "w10"]), value(0)))
  }
  return nodes[0]
}

/** Some changes of fields of a generated graph: fields set to other parts of it or to new ones, swapped and removed. */
export const mutate = (model: unknown, seed: number): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const { integer } = random(seed + 7)
    const upTo = (n: number) => integer(0, n)
    for (let step = upTo(5); step >= 0; step--) {
      const parts = [...iterGraph(model)].map(([, part]) => part)
      const nodes = parts.filter((part) => part instanceof Node)
      const node = nodes[upTo(nodes.length)]
      const keys = Object.keys(node)
      const choice = upTo(4)
      if (choice === 0 && keys.length > 1) yield* deleteAttribute(node, keys[upTo(keys.length)])
      else if (choice === 1) yield* setAttribute(node, "w", new Node({ new: Variable.Param.makeUnsafe(zeros(step)) }))
      else yield* setAttribute(node, keys[upTo(keys.length)] ?? "x", parts[upTo(parts.length)])
    }
  })
