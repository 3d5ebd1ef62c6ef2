/** The rule of the generator: elementwise on integers, so without derivatives. */
import * as lax from "../../Tensor/lax/index.ts"
import type { Params } from "../../Tensor/lax/random.ts"
import type { RuleTable } from "../Primitive.ts"
import { batchElementwise, costs, count } from "./support.ts"

/**
 * Integer operations of 20 rounds (an addition, a rotation of three, an exclusive or) and five key injections of three.
 */
const operationsPerBlock = 20 * 5 + 5 * 3

/** The rules of the random primitives. */
export const random: RuleTable<keyof Params> = {
  threefry2x32: {
    jvp: null,
    transpose: null,
    batch: batchElementwise(([key0, key1, x0, x1]) => lax.threefry2x32(key0, key1, x0, x1)),
    cost: costs((e) => count(e.outputs[0]) * operationsPerBlock)
  }
}
