// The Wasm backend with several threads, which share even the smallest kernels, and with all results resident, computes
// what the reference computes.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Backend } from "../../src/Backend/Backend.ts"
import { compile } from "../../src/Backend/Wasm/compile/index.ts"
import { emitKernel } from "../../src/Backend/Wasm/emitKernel.ts"
import { features } from "../../src/Backend/Wasm/features.ts"
import { plan } from "../../src/Backend/Wasm/plan.ts"
import { Engine } from "../../src/Backend/Wasm/runtime/Engine.ts"
import { Heap } from "../../src/Backend/Wasm/runtime/Heap.ts"
import { Residents } from "../../src/Backend/Wasm/runtime/Residents.ts"
import { Workers } from "../../src/Backend/Wasm/runtime/Workers.ts"
import { make } from "../../src/Backend/Wasm/service.ts"
import { sharedLayer } from "../support/sharedLayer.ts"
import { agreement } from "./agreement.suite.ts"
import { edgeSuite } from "./edges.suite.ts"
import { executorSuite } from "./executor.suite.ts"
import { kernelSuite } from "./kernels.suite.ts"
import { sizeSuite } from "./sizes.suite.ts"

const layer = Layer.effect(
  Backend,
  Effect.suspend(() => {
    const heap = new Heap({ shared: true, maximumMemory: 2 ** 31 })
    const crew = new Workers(heap.memory, { threads: 3, background: true, patient: true })
    const engine = new Engine(heap, new Residents(heap, { from: 1, copiesFrom: Infinity }), crew)
    return make(engine, { compile, plan, emitKernel, features: features(), sharedFrom: 0 })
  })
)

const shared = sharedLayer(layer)

kernelSuite("wasm with threads", shared)
edgeSuite("wasm with threads", shared)
executorSuite("wasm with threads", shared)
sizeSuite("wasm with threads", shared)
agreement("wasm with threads", shared)
