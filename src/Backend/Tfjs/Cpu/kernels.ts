/**
 * The table of the CPU's kernels, a file a family. A primitive without one does not compile.
 */
import type { ComputedPrimitive } from "../Device.ts"
import type { CpuKernels } from "./arrays.ts"
import { convolutions } from "./convolution.ts"
import { dots } from "./dot.ts"
import { elementwise } from "./elementwise.ts"
import { indexing } from "./indexing.ts"
import { random } from "./random.ts"
import { reductions } from "./reduction.ts"
import { shaping } from "./shaping.ts"
import { sorting } from "./sorting.ts"
import { functions, type TensorFlow } from "./tensorflow.ts"
import { windows } from "./window.ts"

/** A kernel for every primitive that computes. */
export const kernels = (tf: TensorFlow): CpuKernels<ComputedPrimitive> => ({
  ...elementwise,
  ...functions(tf),
  ...shaping,
  ...reductions(tf),
  ...dots,
  ...convolutions,
  ...windows,
  ...indexing,
  ...sorting,
  ...random
})
