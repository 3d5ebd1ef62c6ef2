// Runs a command where Node programs find a WebGPU adapter: node scripts/with-webgpu.ts vitest run --project webgpu
//
// The dynamic linker reads LD_LIBRARY_PATH when a process starts, hence a process of its own.
import { spawn } from "node:child_process"
import { vulkanEnvironment } from "./support/chromium.ts"

const [command, ...args] = process.argv.slice(2)
if (command === undefined) {
  console.error("usage: node scripts/with-webgpu.ts COMMAND [ARGUMENT...]")
  process.exit(2)
}
const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...vulkanEnvironment() } })
child.on("error", (error) => {
  console.error(String(error))
  process.exit(127)
})
child.on("exit", (code, signal) => process.exit(signal === null ? code ?? 1 : 1))
