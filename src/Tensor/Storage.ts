/**
 * Where the elements of a computed array are: in a JavaScript TypedArray, or in a buffer of some backend's device.
 */
import type { TypedArray } from "./DType.ts"

/** Elements in ordinary JavaScript memory, row-major. bool is 0 or 1 a byte; float16 and bfloat16 are raw bits. */
export interface HostStorage {
  readonly _tag: "Host"
  readonly data: TypedArray
}

/** Elements in a device buffer. Only the backend instance `owner` can use `handle`. */
export interface DeviceStorage {
  readonly _tag: "Device"
  readonly owner: object
  readonly handle: object
  /** A copy of the elements, of devices that have them at hand; undefined while they cannot be read. */
  readonly read?: () => TypedArray | undefined
}

/** Computed elements. */
export type Storage = HostStorage | DeviceStorage

/** Elements in JavaScript memory. */
export const host = (data: TypedArray): HostStorage => ({ _tag: "Host", data })

/** Elements in a device buffer of `owner`. */
export const device = (
  owner: object,
  handle: object,
  read?: () => TypedArray | undefined
): DeviceStorage => read === undefined ? { _tag: "Device", owner, handle } : { _tag: "Device", owner, handle, read }

/** The elements, if they can be had at once. */
export const elements = (self: Storage): TypedArray | undefined => self._tag === "Host" ? self.data : self.read?.()
