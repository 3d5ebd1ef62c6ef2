// The test projects. One suite, many machines: the files in test/Backend/*.suite.ts describe what a backend must do,
// and a thin file per project hands them that project's Backend.
//
//   node      test/**/*.test.ts         plain Node
//   wasm      test/**/*.test.ts         the same, with the Wasm backend in place of tfjs-cpu, but what tests backends itself
//   docs      .examples/**/*.test.ts    the examples in docs, README and doc comments, extracted to modules
//   webgpu    test/*/webgpu*.test.ts    Node with Dawn on SwiftShader: start it under scripts/with-webgpu.ts
//   browser   test/*/browser*.test.ts   headless Chromium with WebGPU and shared memory
//
// One copy of tfjs-core per process, since it keeps its kernels in the module: Node loads the CommonJS bundles of tfjs-core
// and its backends, untouched by vite (through vite each file that imports them waits seconds); the browser gets their ES
// modules, bundled together once.
import { playwright } from "@vitest/browser-playwright"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { defaultClientConditions, defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"
import { launchOptions } from "./scripts/support/chromium.ts"

// `import "linum/..."` means src.
const ours = "linum-source"

const root = fileURLToPath(new URL(".", import.meta.url))

const webgpuFiles = "test/{Backend,tooling}/webgpu*.test.ts"
const browserFiles = "test/{Backend,tooling}/browser*.test.ts"

const node = {
  resolve: { conditions: [ours, ...defaultServerConditions] },
  ssr: { resolve: { conditions: [ours, ...defaultServerConditions] } }
}
/** Whoever imports the cpu backend of TensorFlow.js gets the Wasm backend. */
const wasmForCpu = {
  name: "wasm-for-cpu",
  enforce: "pre" as const,
  resolveId: (id: string) =>
    id === "linum/backend/tfjs-cpu" || id.endsWith("/Tfjs/Cpu/index.ts")
      ? join(root, "src/Backend/Wasm/index.ts")
      : null
}

const nodeTest = {
  environment: "node" as const,
  pool: "forks" as const,
  // Tests force collections to see that buffers die with their arrays.
  execArgv: ["--expose-gc"],
  setupFiles: ["./vitest.setup.ts"],
  testTimeout: 30_000
}

/** What a page needs to share memory with its workers. */
const isolated = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin"
}

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        ...node,
        test: { ...nodeTest, name: "node", include: ["test/**/*.test.ts"], exclude: [webgpuFiles, browserFiles] }
      },
      {
        ...node,
        plugins: [wasmForCpu],
        test: {
          ...nodeTest,
          name: "wasm",
          include: [
            "test/{Checkpoint,GraphDef,Layer,Optimizer,Program,State,Tensor,Transform,acceptance,conformance}/**/*.test.ts"
          ],
          exclude: ["test/acceptance/package.test.ts"]
        }
      },
      {
        ...node,
        // Many small files that share nothing but pure modules: a process for each would cost more than the examples.
        test: { ...nodeTest, name: "docs", include: [".examples/**/*.test.ts"], isolate: false }
      },
      {
        ...node,
        test: {
          ...nodeTest,
          name: "webgpu",
          include: [webgpuFiles],
          setupFiles: ["./vitest.setup.ts", "./test/support/dawn.ts"],
          testTimeout: 120_000
        }
      },
      {
        resolve: { conditions: [ours, ...defaultClientConditions] },
        server: { headers: isolated },
        // Named, lest vite discovers them while tests run, and reloads the page under them.
        optimizeDeps: {
          include: ["@tensorflow/tfjs-core", "@tensorflow/tfjs-backend-cpu", "@tensorflow/tfjs-backend-webgpu"]
        },
        test: {
          name: "browser",
          include: [browserFiles],
          setupFiles: ["./vitest.setup.ts"],
          testTimeout: 120_000,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: launchOptions() }),
            instances: [{ browser: "chromium" }]
          }
        }
      }
    ]
  }
})
