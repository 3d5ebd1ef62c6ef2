// The WebGPU backend in Node agrees with the reference on derivatives and batched forms, and with the cpu backend on
// large arrays.
import { layer } from "../../src/Backend/Tfjs/WebGpu/index.ts"
import { sharedLayer } from "../support/sharedLayer.ts"
import { agreement } from "./agreement.suite.ts"
import { sizeSuite } from "./sizes.suite.ts"

const shared = sharedLayer(layer)
sizeSuite("tfjs-webgpu", shared)
agreement("tfjs-webgpu", shared)
