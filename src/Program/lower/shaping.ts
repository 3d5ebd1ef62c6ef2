/**
 * Primitives that move elements.
 */
import type { Params } from "../../Tensor/lax/shaping.ts"
import type { LoweringTable } from "./Block.ts"
import { formatList, formatType } from "./text.ts"

const range = (start: number, limit: number, stride: number): string =>
  stride === 1 ? `${start}:${limit}` : `${start}:${limit}:${stride}`

/** Lowerings of the shape primitives. */
export const shaping: LoweringTable<keyof Params> = {
  broadcast_in_dim: (block, [x], { outputs: [out], params }) => [
    block.apply("broadcast_in_dim", [x], out.aval, `, dims = ${formatList(params.broadcast_dimensions)}`)
  ],
  reshape: (block, [x], { outputs: [out] }) => [block.apply("reshape", [x], out.aval)],
  squeeze: (block, [x], { outputs: [out] }) => [block.apply("reshape", [x], out.aval)],
  transpose: (block, [x], { outputs: [out], params }) => [
    block.apply("transpose", [x], out.aval, `, dims = ${formatList(params.permutation)}`)
  ],
  slice: (block, [x], { outputs: [out], params: { limit_indices, start_indices, strides } }) => [
    block.apply(
      "slice",
      [x],
      out.aval,
      ` [${start_indices.map((start, i) => range(start, limit_indices[i], strides[i])).join(", ")}]`
    )
  ],
  concatenate: (block, xs, { outputs: [out], params }) => [
    block.apply("concatenate", xs, out.aval, `, dim = ${params.dimension}`)
  ],
  pad: (block, inputs, { outputs: [out], params: { padding_config } }) => {
    const [low, high, interior] = [0, 1, 2].map((k) => formatList(padding_config.map((config) => config[k])))
    return [block.apply("pad", inputs, out.aval, `, low = ${low}, high = ${high}, interior = ${interior}`)]
  },
  rev: (block, [x], { params }) => [
    block.one(x.type, "stablehlo.reverse ", x, `, dims = ${formatList(params.dimensions)} : ${formatType(x.type)}`)
  ],
  iota: (block, _, { outputs: [out], params }) => [
    block.one(out.aval, `stablehlo.iota dim = ${params.dimension} : ${formatType(out.aval)}`)
  ]
}
