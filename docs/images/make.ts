// Makes mnist.png, the picture in the README, from a real run in a terminal:
//
//   script -qec "stty cols 115; npm start" run.txt
//   node docs/images/make.ts run.txt output/digits.png DejaVuSansMono.ttf
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { stripVTControlCharacters } from "node:util"
import { chromium } from "playwright-core"
import { launchOptions } from "../../scripts/support/chromium.ts"

const [recording, digits, font] = process.argv.slice(2)

/** What a terminal shows in the end of lines that were drawn over: the last state of each. */
const lines = readFileSync(recording, "utf8")
  .replaceAll("\r\n", "\n")
  .split("\n")
  .map((line) => line.split("\u001b[1G").findLast((part) => part.includes("\u001b[0K")) ?? line)
  // eslint-disable-next-line no-control-regex
  .map((line) => line.replaceAll(/\u001b(\[[?\d]*[A-Za-ln-z]|\d)/g, ""))
  .filter((line) => !/^Script (started|done)|^> |^npm (warn|notice)/.test(stripVTControlCharacters(line)))

const colors: Readonly<Record<string, string>> = { 2: "#6e7681", 31: "#ff7b72", 32: "#56d364", 36: "#39c5cf" }

/** Text with ANSI colors as HTML. */
const toHtml = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    // eslint-disable-next-line no-control-regex
    .replaceAll(/\u001b\[(\d*)m/g, (_, code: string) =>
      code in colors ? `<span style="color:${colors[code]}">` : "</span>")

const base64 = (file: string): string => readFileSync(file).toString("base64")

const page = `
<style>
  @font-face { font-family: terminal; src: url(data:font/ttf;base64,${base64(font)}) }
  body { margin: 0; width: max-content; background: #0d1117 }
  main { padding: 20px 26px }
  pre { margin: 0; color: #e6edf3; font: 13px/1.35 terminal }
  img { margin-top: 16px; image-rendering: pixelated; border-radius: 6px; padding: 6px 12px; background: white }
</style>
<main>
  <pre><span style="color:#6e7681">$</span> npm start\n${
  toHtml(lines.join("\n").trim().replaceAll(/\n{3,}/g, "\n\n"))
}</pre>
  <img src="data:image/png;base64,${base64(digits)}">
</main>`

const browser = await chromium.launch(launchOptions())
const tab = await browser.newPage({ deviceScaleFactor: 1.5 })
await tab.setContent(page)
await tab.locator("main").screenshot({ path: fileURLToPath(new URL("mnist.png", import.meta.url)) })
await browser.close()
