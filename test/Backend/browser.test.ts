// The WebGPU backend in headless Chromium computes what the reference computes.
import { layer } from "../../src/Backend/Tfjs/WebGpu/index.ts"
import { sharedLayer } from "../support/sharedLayer.ts"
import { edgeSuite } from "./edges.suite.ts"
import { executorSuite } from "./executor.suite.ts"
import { kernelSuite } from "./kernels.suite.ts"

const shared = sharedLayer(layer)
kernelSuite("tfjs-webgpu", shared)
edgeSuite("tfjs-webgpu", shared)
executorSuite("tfjs-webgpu", shared)
