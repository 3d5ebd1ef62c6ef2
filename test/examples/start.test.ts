// `npm start` as a user meets it: a process with options, output, signals and exit codes.
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

interface Result {
  readonly code: number | null
  readonly output: string
}

/** Runs the example; `watch` sees all output so far whenever there is more, and may send a signal. */
const start = (
  args: ReadonlyArray<string>,
  watch: (output: string, interrupt: () => void) => void = () => {}
): Promise<Result> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--conditions=linum-source", "examples/start.ts", ...args], {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    const take = (chunk: Buffer) => {
      output += chunk.toString()
      watch(output, () => child.kill("SIGINT"))
    }
    child.stdout.on("data", take)
    child.stderr.on("data", take)
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, output }))
  })

const folder = (): string => mkdtempSync(join(tmpdir(), "linum-mnist-"))
const checkpoints = (at: string) => readdirSync(at).filter((name) => name.endsWith(".safetensors"))
const small = ["--limit", "1000", "--batch-size", "25", "--epochs", "2"]

describe("npm start", { timeout: 120_000 }, () => {
  const whole = folder()
  let result: Result
  beforeAll(async () => {
    result = await start([...small, "--output", whole, "--json", join(whole, "result.json")])
  }, 120_000)

  it("trains, tests, and leaves a picture, a checkpoint and figures", () => {
    assert.strictEqual(result.code, 0, result.output)
    assert.match(result.output, /epoch 2\/2 {2}step 80\/80 {2}loss 0\.\d{4} {2}accuracy/)
    assert.match(result.output, /Test accuracy {2}\d\d\.\d\d % of 10,000 images/)
    assert.deepStrictEqual(readdirSync(whole).toSorted(), ["digits.png", "result.json", "step-00000080.safetensors"])
    const figures = JSON.parse(readFileSync(join(whole, "result.json"), "utf8")) as Record<string, number>
    assert.deepStrictEqual(Object.keys(figures), ["testAccuracy", "seconds", "steps"])
    assert.strictEqual(figures["steps"], 80)
    assert.isAbove(figures["testAccuracy"], 0.8)
  })

  it("Ctrl-C leaves a checkpoint, and --resume ends with the bytes of a run that was not stopped", async () => {
    const output = folder()
    let sent = false
    const stopped = await start([...small, "--output", output], (text, interrupt) => {
      if (sent || !text.includes("step 10/80")) return
      sent = true
      interrupt()
    })
    assert.strictEqual(stopped.code, 130, stopped.output)
    assert.match(stopped.output, /Stopped at step \d+ of 80\. .*--resume/)
    const [name] = checkpoints(output)
    const at = Number(/\d+/.exec(name)?.[0])
    assert(at >= 10 && at < 80, name)

    const resumed = await start(["--resume", "--output", output])
    assert.strictEqual(resumed.code, 0, resumed.output)
    assert.include(resumed.output, `Going on from ${join(output, name)}`)
    const last = "step-00000080.safetensors"
    assert.deepStrictEqual(readFileSync(join(output, last)), readFileSync(join(whole, last)))
  })

  it("--help tells the options", async () => {
    const { code, output } = await start(["--help"])
    assert.strictEqual(code, 0)
    const own = "epochs batch-size learning-rate backend threads seed resume output json checkpoint-every".split(" ")
    for (const option of own) assert.include(output, `--${option}`)
    assert.notInclude(output, "--limit")
  })

  it.each([
    [["--epoch", "1"], /--epochs[^]*Unrecognized flag: --epoch/],
    [["--epochs", "0"], /--epochs[^]*a number above 0, got 0/],
    [["--backend", "tpu"], /--backend[^]*wasm[^]*cpu[^]*webgpu/],
    [["--output", join("package.json", "x")], /Cannot write to the folder package\.json\/x .*--output/],
    [["--output", join(tmpdir(), "linum-no-such-folder"), "--resume"], /There is no checkpoint in .*--resume/],
    [["--output", tmpdir(), "--limit", "10"], /A batch of 128 is more than all 10 images/]
  ])("%j is refused, with an explanation", async (args, expected) => {
    const { code, output } = await start(args)
    assert.strictEqual(code, 1, output)
    assert.match(output, expected)
    assert.notMatch(output, /\n {4}at /, "no stack trace")
  })
})
