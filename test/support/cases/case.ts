// A *case* is a function of arrays with arrays to try it on: something that derivatives, batching and every backend are
// checked on.
import type { DType } from "../../../src/Tensor/DType.ts"
import type { Shape } from "../../../src/Tensor/Shape.ts"
import type { Tensor } from "../../../src/Tensor/Tensor.ts"
import { type Random, tensor } from "../arbitrary.ts"
import type { Fn } from "../derivatives.ts"

/** One case. */
export interface Case {
  readonly name: string
  readonly f: Fn
  /** Fresh inputs, always of the same shapes; the floats among them have this dtype. */
  readonly make: (rng: Random, dtype: DType) => ReadonlyArray<Tensor>
  /** What to differentiate instead of `f`, where finite differences cannot see the derivative of `f`. */
  readonly smooth?: Fn
}

/** Normal arrays of these shapes. */
export const normal = (...shapes: ReadonlyArray<Shape>): Case["make"] => (rng, dtype) =>
  shapes.map((shape) => tensor(rng, shape, dtype))
