// Makes display.png, the picture in "Getting started": the page that `toHtml` gives for a small model, partly unfolded.
//
//   node docs/images/display.ts
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { chromium } from "playwright-core"
import { launchOptions } from "../../scripts/support/chromium.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as nnx from "../../src/index.ts"

const program = Effect.gen(function*() {
  const model = yield* nnx.Sequential.make(
    nnx.Linear.make(16, 48),
    nnx.BatchNorm.make(48),
    nnx.relu,
    nnx.Linear.make(48, 8)
  )
  yield* model.apply(nnx.Tensor.random.normal(nnx.Tensor.random.key(1), [64, 16]))
  return yield* nnx.toHtml(model)
})
const page = await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer(0), Cpu.layer])))

const browser = await chromium.launch(launchOptions())
const tab = await browser.newPage({ viewport: { width: 760, height: 480 } })
await tab.setContent(page)
await tab.locator("summary", { has: tab.locator("i", { hasText: "kernel" }) }).first().click()
await tab.locator("summary", { has: tab.locator("i", { hasText: "mean" }) }).first().click()
await tab.mouse.wheel(0, -10_000)
await tab.screenshot({ path: fileURLToPath(new URL("display.png", import.meta.url)) })
await browser.close()
