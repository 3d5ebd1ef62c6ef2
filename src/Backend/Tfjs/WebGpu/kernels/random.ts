/** The random bits: threefry2x32 with 20 rounds (Salmon et al., 2011), one thread a block. */
import type { Params } from "../../../../Tensor/lax/random.ts"
import type { Elementwise, GpuKernels } from "../kernel.ts"

const rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]

/** Five groups of four rotations, the key mixed in after each. */
const rounds = Array.from({ length: 5 }, (_, group) => [
  ...rotations[group % 2].map((r) => `a += b; b = ((b << ${r}u) | (b >> ${32 - r}u)) ^ a;`),
  `a += k${(group + 1) % 3}; b += k${(group + 2) % 3} + ${group + 1}u;`
]).flat()

const threefry: Elementwise = {
  _tag: "Elementwise",
  name: "threefry2x32",
  inputs: ["u32", "u32", "u32", "u32"],
  outputs: ["u32", "u32"],
  // The block is computed twice for those who take both words, if the shader compiler does not see that.
  expressions: (k0, k1, x0, x1) => [0, 1].map((word) => `threefry(${k0}, ${k1}, ${x0}, ${x1})[${word}]`),
  declarations: `
fn threefry(k0: u32, k1: u32, x0: u32, x1: u32) -> vec2u {
  let k2 = k0 ^ k1 ^ 0x1bd11bdau;
  var a = x0 + k0;
  var b = x1 + k1;
  ${rounds.join("\n  ")}
  return vec2u(a, b);
}`
}

/** Kernels of the random primitive. */
export const random: GpuKernels<keyof Params> = { threefry2x32: () => threefry }
