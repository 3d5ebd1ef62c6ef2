/**
 * The counter-based generator under all randomness: threefry2x32 of Salmon et al., "Parallel Random Numbers: As Easy as
 * 1, 2, 3" (2011), as a primitive on uint32 arrays.
 */
import { DTypeError, ShapeError } from "../errors.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"
import type { Empty } from "./elementwise.ts"

/** Parameters of the random primitive. */
export interface Params {
  /** (key0, key1, x0, x1) to (y0, y1), elementwise, all uint32 of one shape. 20 rounds. */
  readonly threefry2x32: Empty
}

/** One block of the generator for every element. */
export const threefry2x32 = (key0: Tensor, key1: Tensor, x0: Tensor, x1: Tensor): readonly [Tensor, Tensor] => {
  const xs = [key0, key1, x0, x1]
  if (xs.some((x) => x.dtype !== "uint32")) {
    throw new DTypeError({
      operation: "threefry2x32",
      expected: "uint32 operands",
      found: xs.map((x) => ShapedArray.format(x.aval)).join(", "),
      hint: "make keys with Random.key"
    })
  }
  if (xs.some((x) => !Shape.equals(x.shape, x0.shape))) {
    throw new ShapeError({
      operation: "threefry2x32",
      expected: "operands of one shape",
      found: xs.map((x) => ShapedArray.format(x.aval)).join(", "),
      hint: "broadcast the key to the counters"
    })
  }
  const aval = ShapedArray.make(x0.shape, "uint32")
  const [y0, y1] = bind("threefry2x32", {}, xs, [aval, aval])
  return [y0, y1]
}
