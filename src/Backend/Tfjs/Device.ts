/**
 * What the executor asks of a device. A device computes with *Data*, handles of its own over elements in its memory; a
 * *kernel* is an equation made ready to run on Data. Kernels are dispatched one after the other without waiting; only
 * `read` may have to wait.
 *
 * **Ownership.** Whoever makes a handle (a kernel, `alias`, `row`, `allocate`, `constant`) hands it to its caller, who
 * disposes of it once. Several handles may share elements: they are freed with the last handle. Kernels never keep,
 * change or dispose of their inputs.
 */
import type * as Effect from "effect/Effect"
import type { ArrayPrimitive } from "../../Program/Primitive.ts"
import type { EquationOf } from "../../Program/Program.ts"
import type { DType, TypedArray } from "../../Tensor/DType.ts"
import type { ShapedArray } from "../../Tensor/ShapedArray.ts"
import type { DeviceStorage, Storage } from "../../Tensor/Storage.ts"
import type { BackendError, Memory } from "../Backend.ts"

/** A handle on elements of a device. */
export interface Data {
  readonly aval: ShapedArray
}

/**
 * An equation made ready: from its inputs' elements to its outputs'. Throws a `BackendError`, and then leaves nothing
 * behind.
 */
export type Run<D extends Data> = (inputs: ReadonlyArray<D>) => ReadonlyArray<D>

/**
 * Primitives that need a kernel: all that compute on arrays, but those that only give the same elements another shape
 * or name.
 */
export type ComputedPrimitive = Exclude<ArrayPrimitive, "copy" | "stop_gradient" | "reshape" | "squeeze">

/** Makes an equation ready. Throws `UnsupportedOperation` when the device cannot do it. */
export type Kernel<P extends ComputedPrimitive, D extends Data> = (equation: EquationOf<P>) => Run<D>

/** A kernel for every primitive that computes on arrays: a missing one does not compile. */
export type KernelTable<D extends Data> = { readonly [P in ComputedPrimitive]: Kernel<P, D> }

/** A device. */
export interface Device<D extends Data> {
  /** The backend's name. */
  readonly name: string
  readonly dtypes: ReadonlySet<DType>
  readonly kernels: KernelTable<D>
  /** A handle on a Program's input. Throws a `BackendError` for storage that is not this device's or the host's. */
  readonly fromStorage: (storage: Storage, aval: ShapedArray) => D
  /** Gives a Program's output away: the handle is gone afterwards, its elements live in the storage. */
  readonly toStorage: (data: D) => Storage
  /** A scalar. */
  readonly constant: (value: number, aval: ShapedArray) => D
  /** Another handle on the same elements, read in another shape of the same size (and dtype). */
  readonly alias: (data: D, aval: ShapedArray) => D
  /** Elements that are not defined yet, to be written by `setRow`. */
  readonly allocate: (aval: ShapedArray) => D
  /** A handle on slice `index` along axis 0; `aval` is the slice's. It may share the elements. */
  readonly row: (data: D, index: number, aval: ShapedArray) => D
  /** Writes `value` as slice `index` along axis 0 of `target`, which nobody else has a handle on. */
  readonly setRow: (target: D, index: number, value: D) => void
  /** The elements, in host memory, as host storage has them. Only a device that must wait gives an Effect. */
  readonly read: (data: D) => TypedArray | Effect.Effect<TypedArray, BackendError>
  readonly dispose: (data: D) => void
  /** Called after the last kernel of a run was dispatched: submits what is queued. */
  readonly flush: () => void
  /** Copies a storage of this device to the host. */
  readonly download: (storage: DeviceStorage, aval: ShapedArray) => Effect.Effect<TypedArray, BackendError>
  /** Frees a storage of this device; it may have been freed before, or be another's. */
  readonly release: (storage: Storage) => void
  readonly memory: () => Memory
  /** What a thrown value means to the user; undefined when it is a defect. */
  readonly toError: (thrown: unknown) => BackendError | undefined
  /** Frees everything; the device fails with `DeviceLost` from then on. */
  readonly close: () => void
}
