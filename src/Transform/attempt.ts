/**
 * The errors that transforms add to those of the function they transform, and how what is thrown becomes one of them.
 */
import type * as Effect from "effect/Effect"
import type { BackendError } from "../Backend/Backend.ts"
import { AliasError, StructureError } from "../GraphDef/errors.ts"
import { ImmutableVariableError } from "../Ref/Variable.ts"
import { attemptWith, throwingWith } from "../Tensor/attempt.ts"
import { isTensorError, type TensorError } from "../Tensor/errors.ts"

/** What tracing and transforming may fail with. */
export type TracingError = TensorError | StructureError | AliasError | ImmutableVariableError

/** What a transform adds to the errors of its function. */
export type TransformError = TracingError | BackendError

/** Is it an error of the library, and not a defect? */
export const isTracingError = (u: unknown): u is TracingError =>
  isTensorError(u) || u instanceof StructureError || u instanceof AliasError || u instanceof ImmutableVariableError

/** Runs what may throw an error of the library, with the error in its channel. */
export const attempt = <A>(f: () => A): Effect.Effect<A, TracingError> => attemptWith(isTracingError, f)

/** An Effect whose code may throw errors of the library anywhere: they are failures, not defects. */
export const throwing = throwingWith(isTracingError)
