/**
 * Every kernel of the WebGPU backend. A primitive without one does not compile.
 */
import type { ComputedPrimitive } from "../../Device.ts"
import type { GpuKernels } from "../kernel.ts"
import { convolutions } from "./convolution.ts"
import { dots } from "./dot.ts"
import { elementwise } from "./elementwise.ts"
import { indexing } from "./indexing.ts"
import { random } from "./random.ts"
import { reductions } from "./reduction.ts"
import { shaping } from "./shaping.ts"
import { sorting } from "./sorting.ts"
import { windows } from "./window.ts"

/** All kernels by primitive. */
export const kernels: GpuKernels<ComputedPrimitive> = {
  ...elementwise,
  ...shaping,
  ...reductions,
  ...dots,
  ...convolutions,
  ...windows,
  ...indexing,
  ...sorting,
  ...random
}
