/**
 * The generator, as a private function of unsigned integers: additions, rotations and exclusive ors.
 */
import * as lax from "../../Tensor/lax/index.ts"
import type { Params } from "../../Tensor/lax/random.ts"
import { literal, type Tensor } from "../../Tensor/Tensor.ts"
import type { LoweringTable, Meaning } from "./Block.ts"

/** The rotations of four rounds; the two rows alternate. */
const rotations: ReadonlyArray<ReadonlyArray<number>> = [[13, 15, 26, 6], [17, 29, 16, 24]]

const constant = (x: Tensor, value: number): Tensor => lax.broadcastTo(literal(value, "uint32"), x.shape)

const rotate = (x: Tensor, by: number): Tensor =>
  lax.or(lax.shiftLeft(x, constant(x, by)), lax.shiftRightLogical(x, constant(x, 32 - by)))

/** 20 rounds; after every fourth, the next key is added. The constant is the one of the Skein key schedule. */
const threefry: Meaning = ([key0, key1, x0, x1]) => {
  const keys = [key0, key1, lax.xor(lax.xor(key0, key1), constant(key0, 0x1bd11bda))]
  let [y0, y1] = [lax.add(x0, keys[0]), lax.add(x1, keys[1])]
  for (let i = 0; i < 5; i++) {
    for (const by of rotations[i % 2]) {
      y0 = lax.add(y0, y1)
      y1 = lax.xor(y0, rotate(y1, by))
    }
    y0 = lax.add(y0, keys[(i + 1) % 3])
    y1 = lax.add(lax.add(y1, keys[(i + 2) % 3]), constant(y1, i + 1))
  }
  return [y0, y1]
}

/** Lowerings of the random primitives. */
export const random: LoweringTable<keyof Params> = {
  threefry2x32: (block, inputs) => block.callMeaning("threefry2x32", threefry, inputs)
}
