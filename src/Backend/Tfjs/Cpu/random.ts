/**
 * The random bits: threefry2x32 with 20 rounds (Salmon et al., 2011), five groups of four rotations with the key mixed
 * in after each.
 */
import type { Params } from "../../../Tensor/lax/random.ts"
import { type CpuKernels, outputOf } from "./arrays.ts"

const rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]

/** Kernels of the random primitive. */
export const random: CpuKernels<keyof Params> = {
  threefry2x32: (equation) => ([key0, key1, x0, x1]) => {
    const out0 = outputOf(equation, 0)
    const out1 = outputOf(equation, 1)
    for (let i = 0; i < out0.length; i++) {
      const keys = [key0[i], key1[i], key0[i] ^ key1[i] ^ 0x1bd11bda]
      let a = (x0[i] + keys[0]) | 0
      let b = (x1[i] + keys[1]) | 0
      for (let group = 0; group < 5; group++) {
        for (const r of rotations[group % 2]) {
          a = (a + b) | 0
          b = ((b << r) | (b >>> (32 - r))) ^ a
        }
        a = (a + keys[(group + 1) % 3]) | 0
        b = (b + keys[(group + 2) % 3] + group + 1) | 0
      }
      out0[i] = a
      out1[i] = b
    }
    return [out0, out1]
  }
}
