/** Every kernel of the compiler's language, written by the part that knows it; epilogues of products are loops. */
import type { Shape } from "../../Tensor/Shape.ts"
import type { Callable } from "./assembler/index.ts"
import type { Emission, Emitted } from "./emission.ts"
import type { Convolution, Dot, Kernel } from "./ir.ts"
import { emitIrregular } from "./irregular/index.ts"
import { emitGroup, emitLoop, emitTile } from "./loops/index.ts"
import { emitConvolution } from "./products/convolution.ts"
import { emitDot } from "./products/dot.ts"

const epilogueOf = (e: Emission, { epilogue, name, out }: Dot | Convolution, shape: Shape): Callable | undefined =>
  epilogue.length === 0 ? undefined : emitTile(e, out, epilogue, shape, `${name}_epilogue`)

/** Writes the function of a kernel. */
export const emitKernel = (e: Emission, kernel: Kernel): Emitted => {
  switch (kernel._tag) {
    case "Loop":
      return emitLoop(e, kernel)
    case "Group":
      return emitGroup(e, kernel)
    case "Dot":
      return emitDot(e, kernel, epilogueOf(e, kernel, [...kernel.batch, kernel.m, kernel.n]))
    case "Convolution":
      return emitConvolution(e, kernel, epilogueOf(e, kernel, kernel.equation.outputs[0].aval.shape))
    case "Irregular":
      return emitIrregular(e, kernel)
  }
}
