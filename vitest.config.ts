// The test projects. One suite, many machines: the files in test/backend/*.suite.ts describe what a backend must do,
// and a thin file per project hands them that project's Backend.
//
//   node     test/**/*.test.ts                    plain Node
//   docs     .examples/**/*.test.ts               the examples in docs, README and doc comments, extracted to modules
//   webgpu   test/*/webgpu*.test.ts               Node with Dawn on SwiftShader: start it under scripts/with-webgpu.ts
//   browser  test/*/browser*.test.ts              headless Chromium with WebGPU and shared memory
import { playwright } from "@vitest/browser-playwright"
import { defaultClientConditions, defaultServerConditions } from "vite"
import { defineConfig } from "vitest/config"
import { launchOptions } from "./scripts/support/chromium.ts"

// `import "linum/..."` means src.
const ours = "linum-source"

// Vite and Node must meet one copy of tfjs-core, since it keeps its kernel registry in the module: the ES module one.
// (Its `main` is another bundle of the same code, which plain Node would load for backends that stay external.)
const resolve = { conditions: [ours, ...defaultClientConditions], mainFields: ["browser", "module", "main"] }
const node = {
  resolve: { conditions: [ours, ...defaultServerConditions], mainFields: ["module", "main"] },
  ssr: { resolve: { conditions: [ours, ...defaultServerConditions], mainFields: ["module", "main"] } }
}
const nodeTest = {
  setupFiles: ["./vitest.setup.ts"],
  environment: "node" as const,
  pool: "forks" as const,
  // Tests force collections to see that buffers die with their arrays.
  execArgv: ["--expose-gc"],
  server: { deps: { inline: [/@tensorflow\//] } },
  testTimeout: 30_000
}

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
        test: {
          ...nodeTest,
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/{backend,tooling}/{webgpu,browser}*.test.ts"]
        }
      },
      { ...node, test: { ...nodeTest, name: "docs", include: [".examples/**/*.test.ts"] } },
      {
        ...node,
        test: {
          ...nodeTest,
          name: "webgpu",
          include: ["test/{backend,tooling}/webgpu*.test.ts"],
          setupFiles: ["./vitest.setup.ts", "./test/support/dawn.ts"],
          testTimeout: 120_000
        }
      },
      {
        resolve,
        server: { headers: isolated },
        test: {
          name: "browser",
          include: ["test/{backend,tooling}/browser*.test.ts"],
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
