/**
 * What a worker does: it keeps the main functions of modules that it was sent, and waits, spinning at first, then asleep,
 * for the command to run one. Where there are messages it goes back to its event loop to get them.
 *
 * It is a script and not a module of its own: so it loads from source, from dist and out of any bundle alike.
 */
import { controlBytes, reason, spins, words } from "./control.ts"

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
let memory, control, index, read = 0, seen = 0
const word = (address) => Atomics.load(control, address >> 2)

const receive = (message) => {
  if (message._tag === "Begin") {
    memory = message.memory
    index = message.index
    control = new Int32Array(memory.buffer, 0, ${controlBytes >> 2})
  } else if (message._tag === "Module") {
    const instance = new WebAssembly.Instance(message.module, { env: { memory, callback() {} } })
    mains.set(message.number, instance.exports.main)
  } else {
    mains.delete(message.number)
  }
  read++
  Atomics.store(control, ${words.read >> 2} + index, read)
  wait()
}

const wait = () => {
  for (;;) {
    if (word(${words.sent}) !== read) return
    for (let left = ${spins}; left > 0 && word(${words.command}) === seen; left--);
    const command = word(${words.command})
    if (command === seen) {
      Atomics.wait(control, ${words.command >> 2}, seen)
      continue
    }
    const main = mains.get(word(${words.module}))
    const [frame, stride, threads, first] =
      [word(${words.frame}), word(${words.stride}), word(${words.threads}), word(${words.first})]
    // What was read while a command was being written is of no use.
    if (command % 2 !== 0 || word(${words.command}) !== command) continue
    seen = command
    if (main === undefined || index < first || index >= threads) continue
    try {
      main(frame + index * stride, index, threads, 1)
    } catch (error) {
      if (Atomics.compareExchange(control, ${words.failed >> 2}, 0, 1) === 0) {
        const why = String(error).slice(0, ${reason.bytes})
        new Uint8Array(memory.buffer, ${reason.address}, why.length).set(Array.from(why, (c) => c.charCodeAt(0)))
        Atomics.store(control, ${words.failed >> 2}, 2)
        send("failed")
      }
      // The others must not wait for it.
      Atomics.add(control, ${words.round >> 2}, 1)
      Atomics.notify(control, ${words.round >> 2})
      continue
    }
    if (index === 0) send("done")
  }
}

listen(receive)
`
