/**
 * What a worker does: it keeps the main functions of modules that it was sent, and waits for the command to run one: it
 * looks out for it for a while, and then sleeps. Where there are messages it goes back to its event loop to get them.
 *
 * After a run that workers did alone, worker 0 sleeps at once: the thread that heard of the end needs a processor.
 *
 * It is a script and not a module of its own: so it loads from source, from dist and out of any bundle alike.
 */
import { controlBytes, lines, lookout, reason, words } from "./control.ts"

/** How a host's worker talks to who made it: defines `listen`, `send` and `end`. */
const hosts = {
  node: `
    const { parentPort } = require("node:worker_threads")
    const listen = (f) => parentPort.on("message", f)
    const send = (message) => parentPort.postMessage(message)
  `,
  web: `
    const listen = (f) => { self.onmessage = (event) => f(event.data) }
    const send = (message) => self.postMessage(message)
  `
} as const

/** The script of a worker. */
export const script = (host: keyof typeof hosts): string =>
  `"use strict"
${hosts[host]}
const mains = new Map()
let memory, control, index, line, read = 0, seen = 0
const load = (address) => Atomics.load(control, address >> 2)
const store = (address, value) => Atomics.store(control, address >> 2, value)
const pause = Atomics.pause ?? (() => {})

const receive = (message) => {
  if (message._tag === "Begin") {
    memory = message.memory
    index = message.index
    line = ${lines.address} + ${lines.bytes} * index
    control = new Int32Array(memory.buffer, 0, ${controlBytes >> 2})
  } else if (message._tag === "Module") {
    const instance = new WebAssembly.Instance(message.module, { env: { memory, callback() {} } })
    mains.set(message.number, instance.exports.main)
  } else {
    mains.delete(message.number)
  }
  read++
  store(line + ${lines.read}, read)
  wait(index === 0 ? 0 : ${lookout})
}

const wait = (milliseconds) => {
  let until = performance.now() + milliseconds
  store(line + ${lines.awake}, 1)
  while (load(${words.sent}) === read) {
    for (let left = 100; left > 0 && load(line + ${lines.command}) === seen; left--) pause()
    if (load(line + ${lines.command}) !== seen) {
      seen = load(line + ${lines.command})
      run()
      until = performance.now() + milliseconds
    } else if (performance.now() >= until) {
      store(line + ${lines.awake}, 0)
      Atomics.wait(control, (line + ${lines.command}) >> 2, seen)
      store(line + ${lines.awake}, 1)
      until = performance.now() + milliseconds
    }
  }
  store(line + ${lines.awake}, 0)
}

const run = () => {
  const main = mains.get(load(${words.module}))
  const threads = load(${words.threads})
  try {
    main(load(${words.frame}) + index * load(${words.stride}), index, threads, 1)
  } catch (error) {
    if (Atomics.compareExchange(control, ${words.failed >> 2}, 0, 1) === 0) {
      const why = String(error).slice(0, ${reason.bytes})
      new Uint8Array(memory.buffer, ${reason.address}, why.length).set(Array.from(why, (c) => c.charCodeAt(0)))
      store(${words.failed}, 2)
      send("failed")
    }
    // The others must not wait for it.
    Atomics.add(control, ${words.round >> 2}, 1)
    Atomics.notify(control, ${words.round >> 2})
    return
  }
  if (index === 0) send("done")
}

listen(receive)
`
