/**
 * The transforms: functions of functions that return Effects. Each traces its function to a Program and rewrites or
 * runs it.
 *
 * @since 0.1.0
 */
export { isTracingError, type TracingError, type TransformError } from "./attempt.ts"
export {
  type Grad,
  grad,
  type Gradient,
  type Gradients,
  type GradOptions,
  gradWithAux,
  jvp,
  linearize,
  valueAndGrad,
  valueAndGradWithAux,
  vjp
} from "./autodiff.ts"
export { type AxisSpec, Carry, type StateAxes, stateAxes } from "./axes.ts"
export { type TransformMetadata, transformMetadata } from "./axisMetadata.ts"
export { cond, switchCase, switchCase as switch } from "./branches.ts"
export * as Check from "./check.ts"
export { allGather, axisIndex, pmax, pmean, pmin, psum } from "./collectives.ts"
export { customJvp, customVjp, stopGradient, type VjpRules } from "./custom.ts"
export * as Debug from "./debug.ts"
export { evalShape, makeProgram, type ShownProgram } from "./inspect.ts"
export { hessian, jacfwd, type JacobianOptions, jacrev } from "./jacobian.ts"
export { jit, type JitOptions, type Jitted } from "./jit.ts"
export { lower, type Lowered } from "./lower.ts"
export { checkpointName, remat, type RematOptions } from "./remat.ts"
export {
  backupKeys,
  forkRngs,
  type ForkRngsOptions,
  reseed,
  type ReseedPolicy,
  restoreRngs,
  type RngBackups,
  splitRngs,
  type SplitRngsOptions,
  type StreamFilter,
  type StreamRules,
  withRngs,
  type WithRngsOptions
} from "./rngs.ts"
export { scan, type ScanOptions } from "./scan.ts"
export type { ServiceInsideTrace, Traceable, Traced, TracedServices } from "./types.ts"
export { vmap, type VmapOptions } from "./vmap.ts"
export { foriLoop, whileLoop } from "./whileLoop.ts"
