/**
 * TensorFlow.js's kernels on our device: its WebGPU backend is made over it, and kernels are called with bare tensor
 * infos, so that there is no tape, no tidy and no global state. Buffers go in and out without a copy.
 *
 * We use them for large products and convolutions of floats, where their tiling is better than ours. All else is our
 * own: their elementwise kernels and reductions know float32 and int32 only, leave nan to the shader compiler, and set
 * up uniforms and bind groups at each call. Two of theirs are avoided: a matrix product that splits k adds its parts
 * with atomics, in any order, and its result is not reproducible.
 */
import type { NamedAttrMap, NamedTensorInfoMap } from "@tensorflow/tfjs-core"
import * as DTypes from "../../../Tensor/DType.ts"
import type { DType } from "../../../Tensor/DType.ts"
import type { Allocation, Neighbour } from "./Gpu.ts"
import { type Bench, type Elementwise, elementwiseSource } from "./kernel.ts"
import { narrow } from "./words.ts"

/** TensorFlow.js on a device. It is loaded here, and not before: importing it registers hundreds of kernels. */
export const make = async (device: GPUDevice, info: GPUAdapterInfo): Promise<Neighbour> => {
  const [{ getKernel }, { WebGPUBackend }] = await Promise.all([
    import("@tensorflow/tfjs-core"),
    import("@tensorflow/tfjs-backend-webgpu")
  ])
  const backend = new WebGPUBackend(device, info)
  return {
    call: (kernel, inputs, attributes) => {
      const infos: NamedTensorInfoMap = {}
      try {
        for (const [name, { allocation, shape }] of Object.entries(inputs)) {
          const sizes = [...shape]
          const dataId = backend.write(null as never, sizes, "float32")
          const entry = backend.tensorMap.get(dataId)
          entry.resource = allocation.buffer
          entry.external = true
          infos[name] = { dataId, shape: sizes, dtype: "float32" }
        }
        const output = getKernel(kernel, "webgpu").kernelFunc({
          inputs: infos,
          backend,
          attrs: attributes as NamedAttrMap
        })
        const [{ dataId }] = Array.isArray(output) ? output : [output]
        const { resource } = backend.tensorMap.get(dataId)
        if (!(resource instanceof GPUBuffer)) throw new Error(`${kernel} of TensorFlow.js gave no buffer`)
        return { buffer: resource, free: () => void backend.disposeData(dataId) }
      } finally {
        for (const info of Object.values(infos)) if (info !== undefined) backend.disposeData(info.dataId)
      }
    },
    submit: () => {
      backend.endComputePassEncoder()
      backend.ensureCommandEncoderReady()
      backend.submitQueue()
    },
    dispose: () => backend.dispose()
  }
}

/** What follows a float32 kernel whose result is of another floating dtype: its elements are rounded. */
export const rounding = (to: DType) => {
  if (to === "float32") return (_: Bench, out: Allocation, __: number): ReadonlyArray<Allocation> => [out]
  if (!DTypes.isFloat(to)) throw new Error(`a float kernel gives no ${to}`)
  const round: Elementwise = {
    _tag: "Elementwise",
    name: `round to ${to}`,
    inputs: ["f32"],
    outputs: ["f32"],
    expressions: (x) => [narrow(x, to)]
  }
  const source = elementwiseSource(round, [false])
  return (bench: Bench, out: Allocation, elements: number): ReadonlyArray<Allocation> =>
    bench.run(source, [out], elements)
}

/**
 * A product of matrices, [batch, m, k] by [batch, k, n]; swapped operands have their last two axes the other way round.
 */
export interface MatMul {
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
}

/** TensorFlow.js's BatchMatMul. */
export const batchMatMul = (bench: Bench, p: MatMul, a: Allocation, b: Allocation): Allocation =>
  bench.adopt(bench.gpu.call(
    "BatchMatMul",
    {
      a: { allocation: a, shape: p.transposeA ? [p.batch, p.k, p.m] : [p.batch, p.m, p.k] },
      b: { allocation: b, shape: p.transposeB ? [p.batch, p.n, p.k] : [p.batch, p.k, p.n] }
    },
    { transposeA: p.transposeA, transposeB: p.transposeB },
    p.batch * p.m * p.n
  ))

/** A convolution of images [batch, height, width, features] with a kernel [height, width, in, out]. */
export interface Conv2d {
  readonly x: ReadonlyArray<number>
  readonly y: ReadonlyArray<number>
  readonly strides: ReadonlyArray<number>
  readonly dilations: ReadonlyArray<number>
  readonly padding: ReadonlyArray<readonly [number, number]>
  readonly elements: number
}

/** TensorFlow.js's Conv2D. */
export const conv2d = (bench: Bench, p: Conv2d, x: Allocation, filter: Allocation): Allocation =>
  bench.adopt(bench.gpu.call(
    "Conv2D",
    { x: { allocation: x, shape: p.x }, filter: { allocation: filter, shape: p.y } },
    {
      strides: p.strides,
      dilations: p.dilations,
      pad: [[0, 0], ...p.padding, [0, 0]],
      dataFormat: "NHWC"
    },
    p.elements
  ))
