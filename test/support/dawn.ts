// navigator.gpu for Node: the `webgpu` package is Dawn, the implementation of WebGPU that Chromium has inside.
import { create, globals } from "webgpu"

const gpu = create([])
// Node crashes when the object is collected while adapters of it live.
Object.assign(globalThis, globals, { "~linum/test/keepGpu": gpu })
Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true })
