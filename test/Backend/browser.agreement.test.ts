// The WebGPU backend in headless Chromium agrees with the reference on derivatives and batched forms.
import { layer } from "../../src/Backend/Tfjs/WebGpu/index.ts"
import { sharedLayer } from "../support/sharedLayer.ts"
import { agreement } from "./agreement.suite.ts"

agreement("tfjs-webgpu", sharedLayer(layer))
