/** Fused loops: kernels over index spaces, groups of them, and epilogues of products. */
export { emitGroup } from "./group.ts"
export { emitLoop } from "./loop.ts"
export { emitTile } from "./tile.ts"
