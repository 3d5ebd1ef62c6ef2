/**
 * What runs Programs: a service with several implementations. It compiles a Program to an Executable, runs it on
 * computed arrays, and reads results back; it counts the bytes that it holds.
 *
 * *Storage* is where elements are (`Tensor/Storage.ts`). A backend takes host storage and its own device storage, and
 * gives either: the CPU gives host storage, which the garbage collector accounts for, a GPU its own buffers.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Program } from "../Program/Program.ts"
import type { DType, TypedArray } from "../Tensor/DType.ts"
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import type { DeviceStorage, Storage } from "../Tensor/Storage.ts"

/**
 * The backend cannot be had here: no adapter, a missing feature, a package that is not installed.
 *
 * @category errors
 * @since 0.1.0
 */
export class BackendUnavailable extends Data.TaggedError("BackendUnavailable")<{
  readonly backend: string
  readonly reason: string
  readonly hint: string
}> {
  override get message(): string {
    return `The ${this.backend} backend is not available: ${this.reason}; ${this.hint}`
  }
}

/**
 * An allocation did not fit.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutOfMemory extends Data.TaggedError("OutOfMemory")<{
  readonly backend: string
  readonly bytes: number
  readonly liveBytes: number
}> {
  override get message(): string {
    return `The ${this.backend} backend could not allocate ${this.bytes} bytes with ${this.liveBytes} bytes live; ` +
      `use a smaller batch, remat, or another backend`
  }
}

/**
 * The device went away: a driver reset, a closed tab, a closed Scope.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeviceLost extends Data.TaggedError("DeviceLost")<{ readonly backend: string; readonly reason: string }> {
  override get message(): string {
    return `The device of the ${this.backend} backend is lost: ${this.reason}; build the backend's Layer again and restore ` +
      `Variables from a checkpoint`
  }
}

/**
 * A backend has no way to run an operation on a dtype.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedOperation extends Data.TaggedError("UnsupportedOperation")<{
  readonly backend: string
  readonly operation: string
  readonly dtype: DType | "any"
  readonly hint: string
}> {
  override get message(): string {
    return `The ${this.backend} backend has no ${this.operation} for ${this.dtype}; ${this.hint}`
  }
}

/**
 * What running a Program may fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type BackendError = BackendUnavailable | OutOfMemory | DeviceLost | UnsupportedOperation

/** Bytes and buffers that a backend holds now, and the most it ever held. */
export interface Memory {
  readonly liveBytes: number
  readonly liveBuffers: number
  readonly peakBytes: number
}

/** What a backend has done since it was made: counted in tests instead of time. */
export interface Stats {
  /** Programs compiled. */
  readonly compiled: number
  /** Compilations saved because an equal Program was compiled before. */
  readonly cacheHits: number
  /** Executables held. */
  readonly cached: number
  /** Runs of executables. */
  readonly runs: number
  /** Kernels dispatched. */
  readonly kernels: number
}

/** The output with the first number takes the place of the input with the second. */
export type Alias = readonly [output: number, input: number]

/** Options of `compile`. */
export interface CompileOptions {
  /**
   * Which outputs replace which inputs, of the same abstract value each: new state and the state before. A backend may
   * keep both in one buffer; it says so in `Executable.aliases`.
   */
  readonly aliases?: ReadonlyArray<Alias>
}

/** A compiled Program. */
export interface Executable {
  readonly program: Program
  /** The aliases that runs make use of: such an output may be the very storage of its input, if that was donated. */
  readonly aliases?: ReadonlyArray<Alias>
  /**
   * Runs it. `donated[i]` says that input i may be overwritten or freed: nobody else reads it again.
   * Synchronous wherever the Program needs no value on the host while it runs, and is not long.
   */
  readonly run: (
    inputs: ReadonlyArray<Storage>,
    donated?: ReadonlyArray<boolean>
  ) => Effect.Effect<ReadonlyArray<Storage>, BackendError>
}

/**
 * The service that runs Programs.
 *
 * @category services
 * @since 0.1.0
 */
export class Backend extends Context.Service<Backend, {
  /** As errors and benchmarks name it: `wasm`, `tfjs-webgpu`, `tfjs-cpu`. */
  readonly name: string
  /** Element types that it computes with. */
  readonly dtypes: ReadonlySet<DType>
  /** Compiles; equal Programs share one Executable. */
  readonly compile: (program: Program, options?: CompileOptions) => Effect.Effect<Executable, UnsupportedOperation>
  /**
   * What a step waits for before it gathers its state; undefined if it may begin at once. A run may go on in the
   * background: nobody is to see half of a step. Or runs may have kept the event loop from going on for long enough.
   */
  readonly beforeStep?: () => Effect.Effect<void> | undefined
  /** Copies a device buffer of this backend to host memory. */
  readonly download: (storage: DeviceStorage, aval: ShapedArray) => Effect.Effect<TypedArray, BackendError>
  /** Frees a device buffer of this backend now. Host storage and buffers freed before are ignored. */
  readonly release: (storage: Storage) => void
  /** Bytes held now. */
  readonly memory: Effect.Effect<Memory>
  /** Counters. */
  readonly stats: Effect.Effect<Stats>
}>()("linum/Backend") {}
