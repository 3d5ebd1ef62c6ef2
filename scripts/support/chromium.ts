// A GPU and a browser from npm alone. The package @sparticuz/chromium carries, compressed, a headless Chromium with
// every shared library that it needs, and with it a Vulkan loader and SwiftShader, a Vulkan driver that runs on the
// CPU. This file unpacks them once into node_modules/.cache, where both users find them:
//
//   - vitest's browser project starts the `chromium` there (launchOptions),
//   - Dawn, WebGPU for Node, finds the Vulkan driver there (vulkanEnvironment).
//
// The package is made for Linux on x64. Elsewhere Dawn meets the machine's own GPU, and the browser is the machine's
// Chrome.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const modules = fileURLToPath(new URL("../../node_modules/", import.meta.url))
const carried = process.platform === "linux" && process.arch === "x64"

/** The package unpacks into os.tmpdir(), so a child process with a temporary folder of our own does the work. */
const unpackHere = `
  import Chromium, { inflate } from "@sparticuz/chromium"
  await Chromium.executablePath()
  await inflate(process.argv[1])
`

/**
 * The unpacked folder: `chromium`, `fonts`, `al2023/lib`, `libvulkan.so.1`, `libvk_swiftshader.so`,
 * `vk_swiftshader_icd.json`.
 */
const unpacked = (): string => {
  const home = join(modules, "@sparticuz", "chromium")
  const { version } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as { version: string }
  const folder = join(modules, ".cache", `linum-chromium-${version}`)
  if (existsSync(folder)) return folder

  // Unpacked beside its place and moved there when complete, so that an interrupted or a second run finds all or
  // nothing.
  const draft = `${folder}.${process.pid}`
  mkdirSync(draft, { recursive: true })
  const child = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", unpackHere, join(home, "bin", "al2023.tar.br")],
    { cwd: modules, env: { ...process.env, TMPDIR: draft }, stdio: ["ignore", "inherit", "inherit"] }
  )
  if (child.status !== 0) throw new Error(`@sparticuz/chromium could not be unpacked into ${draft}`)
  try {
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  return folder
}

const searchPath = (folder: string): string => [folder, process.env["LD_LIBRARY_PATH"]].filter(Boolean).join(":")

/**
 * What must be in the environment before Node starts, so that Dawn meets SwiftShader. Empty where Dawn meets a GPU
 * itself.
 */
export const vulkanEnvironment = (): Record<string, string> => {
  if (!carried) return {}
  const folder = unpacked()
  return { LD_LIBRARY_PATH: searchPath(folder), VK_ICD_FILENAMES: join(folder, "vk_swiftshader_icd.json") }
}

/** How Playwright starts the browser: WebGPU on, nothing fetched, and as root too. */
export const launchOptions = () => {
  const common = {
    chromiumSandbox: false,
    args: [
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync"
    ]
  }
  if (!carried) return { ...common, channel: "chrome" }
  const folder = unpacked()
  return {
    ...common,
    executablePath: join(folder, "chromium"),
    env: {
      ...(process.env as Record<string, string>),
      LD_LIBRARY_PATH: searchPath(join(folder, "al2023", "lib")),
      FONTCONFIG_PATH: join(folder, "fonts")
    }
  }
}
