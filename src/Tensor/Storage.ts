/**
 * Where the elements of a computed array are: in a JavaScript TypedArray, or in a buffer of some backend's device.
 */
import type { TypedArray } from "./DType.ts"

/** Elements in ordinary JavaScript memory, row-major. bool is 0 or 1 a byte; float16 and bfloat16 are raw bits. */
export interface HostStorage {
  readonly _tag: "Host"
  readonly data: TypedArray
}

/** A backend instance as the owner of device buffers. */
export interface Owner {
  /** A copy of a buffer's elements, if they can be read at once: printing shows them then. */
  readonly peek?: ((handle: object) => TypedArray | undefined) | undefined
}

/** Elements in a device buffer. Only the backend instance `owner` can read `handle`. */
export interface DeviceStorage {
  readonly _tag: "Device"
  readonly owner: Owner
  readonly handle: object
}

/** Computed elements. */
export type Storage = HostStorage | DeviceStorage

/** Elements in JavaScript memory. */
export const host = (data: TypedArray): HostStorage => ({ _tag: "Host", data })

/** Elements in a device buffer of `owner`. */
export const device = (owner: Owner, handle: object): DeviceStorage => ({ _tag: "Device", owner, handle })

/** The elements, if they can be read at once. */
export const peek = (storage: Storage): TypedArray | undefined =>
  storage._tag === "Host" ? storage.data : storage.owner.peek?.(storage.handle)
