/**
 * The CPU as a device: its Data are arrays in JavaScript memory. Every kernel over plain arrays becomes one over Data
 * here, which is where 16-bit floats are rounded and bytes are counted.
 */
import * as Effect from "effect/Effect"
import type { EquationOf } from "../../../Program/Program.ts"
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as float16 from "../../../Tensor/float16.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { ShapedArray } from "../../../Tensor/ShapedArray.ts"
import * as Storage from "../../../Tensor/Storage.ts"
import { type BackendError, BackendUnavailable, DeviceLost, OutOfMemory, UnsupportedOperation } from "../../Backend.ts"
import type { ComputedPrimitive, Data, Device, Kernel, KernelTable } from "../Device.ts"
import { allocate, AllocationFailed, type CpuKernel, isHalf, roundTo } from "./arrays.ts"
import { kernels } from "./kernels.ts"
import * as tensorFlow from "./tensorflow.ts"

const name = "tfjs-cpu"

const dtypes: ReadonlySet<DType> = new Set(DTypes.all.filter((d) => d !== "float64"))

/** Elements that handles share, and how many bytes of them count as the device's. */
interface Elements {
  readonly bytes: number
  handles: number
}

/** A handle on elements in JavaScript memory. */
export interface CpuData extends Data {
  readonly data: TypedArray
  readonly elements: Elements
}

/** Counts what is held. */
class Ledger {
  liveBytes = 0
  liveBuffers = 0
  peakBytes = 0

  hold(aval: ShapedArray, data: TypedArray): CpuData {
    this.liveBytes += data.byteLength
    this.liveBuffers++
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes)
    return { aval, data, elements: { bytes: data.byteLength, handles: 1 } }
  }

  share(aval: ShapedArray, data: TypedArray, elements: Elements): CpuData {
    elements.handles++
    return { aval, data, elements }
  }

  drop({ elements }: CpuData): void {
    if (--elements.handles > 0) return
    this.liveBytes -= elements.bytes
    this.liveBuffers--
  }
}

/** Host storage in the form in which the CPU computes. */
const decoded = (data: TypedArray, dtype: DType): TypedArray =>
  dtype === "float16"
    ? float16.decodeFloat16Array(data)
    : dtype === "bfloat16"
    ? float16.decodeBfloat16Array(data)
    : data

/** The form in which the CPU computes as host storage. */
const encoded = (data: TypedArray, dtype: DType): TypedArray =>
  isHalf(dtype) ? Uint16Array.from(data, (x) => float16.encode(x, dtype)) : data

/** Memory of its own: a view would keep alive all that it is a view of. */
const compact = (data: TypedArray): TypedArray => data.byteLength === data.buffer.byteLength ? data : data.slice()

/** A kernel over arrays as one over Data. */
const lift =
  <P extends ComputedPrimitive>(ledger: Ledger, kernel: CpuKernel<P>): Kernel<P, CpuData> =>
  (equation: EquationOf<P>) => {
    const run = kernel(equation)
    const avals = equation.outputs.map((v) => v.aval)
    return (inputs) =>
      run(inputs.map((d) => d.data)).map((data, i) => {
        const shared = inputs.find((d) => d.data.buffer === data.buffer)
        if (shared !== undefined) return ledger.share(avals[i], data, shared.elements)
        roundTo(data, avals[i].dtype)
        return ledger.hold(avals[i], data)
      })
  }

/** The table of all kernels over Data. The mapped type is `kernels`' own, key by key; `Object.entries` loses that. */
const table = (ledger: Ledger): KernelTable<CpuData> =>
  Object.fromEntries(
    Object.entries(kernels(tensorFlow.make())).map((
      [primitive, kernel]
    ) => [primitive, lift(ledger, kernel as CpuKernel<ComputedPrimitive>)])
  ) as unknown as KernelTable<CpuData>

const unavailable = new BackendUnavailable({
  backend: name,
  reason: "an array is in a buffer of another backend",
  hint: "read it with that backend and make a new array of its elements"
})

/** A CPU device. */
export const make = (): Device<CpuData> => {
  const ledger = new Ledger()
  const hold = (aval: ShapedArray, data: TypedArray): CpuData => ledger.hold(aval, data)
  // Elements of a Program's inputs are the caller's, and do not count.
  const borrowed = (aval: ShapedArray, data: TypedArray): CpuData =>
    isHalf(aval.dtype)
      ? hold(aval, decoded(data, aval.dtype))
      : { aval, data, elements: { bytes: 0, handles: Infinity } }

  return {
    name,
    dtypes,
    kernels: table(ledger),
    fromStorage: (storage, aval) => {
      const data = Storage.elements(storage)
      if (data === undefined) throw unavailable
      return borrowed(aval, data)
    },
    toStorage: (d) => {
      ledger.drop(d)
      return Storage.host(encoded(compact(d.data), d.aval.dtype))
    },
    constant: (value, aval) => {
      const data = allocate(aval.dtype, 1)
      data[0] = value
      roundTo(data, aval.dtype)
      return hold(aval, data)
    },
    alias: (d, aval) => ledger.share(aval, d.data, d.elements),
    allocate: (aval) => hold(aval, allocate(aval.dtype, Shape.size(aval.shape))),
    row: (d, index, aval) => {
      const size = Shape.size(aval.shape)
      return ledger.share(aval, d.data.subarray(index * size, (index + 1) * size), d.elements)
    },
    setRow: (target, index, value) => target.data.set(value.data, index * value.data.length),
    read: (d) => encoded(compact(d.data), d.aval.dtype),
    dispose: (d) => ledger.drop(d),
    flush: () => {},
    download: () => Effect.fail(unavailable),
    release: () => {},
    memory: () => ({
      liveBytes: ledger.liveBytes,
      liveBuffers: ledger.liveBuffers,
      peakBytes: ledger.peakBytes
    }),
    toError: (thrown): BackendError | undefined => {
      if (thrown instanceof AllocationFailed) {
        return new OutOfMemory({ backend: name, bytes: thrown.bytes, liveBytes: ledger.liveBytes })
      }
      if (thrown instanceof RangeError && /array buffer|typed array length/i.test(thrown.message)) {
        return new OutOfMemory({ backend: name, bytes: 0, liveBytes: ledger.liveBytes })
      }
      const known = thrown instanceof BackendUnavailable || thrown instanceof UnsupportedOperation ||
        thrown instanceof DeviceLost || thrown instanceof OutOfMemory
      return known ? thrown : undefined
    },
    close: () => {}
  }
}
