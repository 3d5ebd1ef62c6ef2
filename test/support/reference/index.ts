// A second opinion: every array primitive evaluated naively, one element at a time, from what its documentation says.
// Floats are doubles throughout, whatever their dtype, so that finite differences of a graph are exact to many digits;
// integers wrap as their dtype does. Slow, and written to be read.
import type { ArrayPrimitive } from "../../../src/Program/Primitive.ts"
import { decode } from "../../../src/Tensor/float16.ts"
import type { Node, Tensor } from "../../../src/Tensor/Tensor.ts"
import { elements, elementwise, scalars } from "./elements.ts"
import { products } from "./products.ts"
import { special, specialScalars } from "./special.ts"
import type { Meaning, Value } from "./values.ts"

export type { Value } from "./values.ts"

const meanings: Readonly<Record<string, (params: never, ...rest: ReadonlyArray<never>) => ReadonlyArray<Value>>> = {
  ...elements,
  ...products,
  ...special
}

/** The outputs of one node. */
const apply = (node: Node, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> => {
  const outputs = node.outputs.map((x) => x.aval)
  const scalar = scalars[node.primitive] ?? specialScalars[node.primitive]
  if (scalar !== undefined) return elementwise(scalar, inputs, outputs[0])
  const meaning = meanings[node.primitive] as unknown as Meaning<ArrayPrimitive> | undefined
  if (meaning === undefined) throw new Error(`no reference for the primitive ${node.primitive}`)
  return meaning(node.params as never, inputs, outputs)
}

/**
 * The elements of arrays, whose graphs are followed back to computed arrays, literals, and what `given` says of others:
 * arguments of traces, or arrays to be given other values.
 */
export const evaluate = (
  outputs: ReadonlyArray<Tensor>,
  given: ReadonlyMap<Tensor, Value> = new Map()
): ReadonlyArray<Value> => {
  const done = new Map<Node, ReadonlyArray<Value>>()
  const value = (x: Tensor): Value => {
    const replaced = given.get(x)
    if (replaced !== undefined) return replaced
    const { source } = x
    if (source._tag === "Literal") return { shape: [], data: [source.value] }
    if (source._tag === "Pending") {
      const known = done.get(source.node) ?? apply(source.node, source.node.inputs.map(value))
      done.set(source.node, known)
      return known[source.index]
    }
    if (source._tag === "Concrete" && source.storage._tag === "Host") {
      return { shape: x.shape, data: Array.from(source.storage.data, (n) => decode(n, x.dtype)) }
    }
    throw new Error("an array has no value that can be read here")
  }
  return outputs.map(value)
}
