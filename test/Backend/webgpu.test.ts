// The WebGPU backend in Node, Dawn on a software adapter, computes what the reference and JAX compute.
import { layer } from "../../src/Backend/Tfjs/WebGpu/index.ts"
import { sharedLayer } from "../support/sharedLayer.ts"
import { randomSuite } from "../Tensor/random.suite.ts"
import { edgeSuite } from "./edges.suite.ts"
import { executorSuite } from "./executor.suite.ts"
import { goldenSuite } from "./golden.suite.ts"
import { kernelSuite } from "./kernels.suite.ts"

const shared = sharedLayer(layer)
kernelSuite("tfjs-webgpu", shared)
edgeSuite("tfjs-webgpu", shared)
goldenSuite("tfjs-webgpu", shared)
executorSuite("tfjs-webgpu", shared)
randomSuite("tfjs-webgpu", shared)
