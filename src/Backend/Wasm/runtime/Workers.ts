/**
 * A crew of workers on a shared memory: worker_threads in Node, Workers in a cross-origin isolated page. All hold the
 * same modules, and run the same main function with their own thread number and frame. For short steps the calling thread
 * is thread 0; long ones are run by workers alone, and the calling thread hears of the end by a message.
 *
 * They are made when there is something to share. Until they have read what they were sent, the calling thread works
 * alone.
 */
import { controlBytes, firstSpins, lines, lookout, mostWorkers, reason, words } from "./control.ts"
import type { Crew, Failure, Frames } from "./crew.ts"
import type { Loaded } from "./Engine.ts"
import { script } from "./worker.ts"

/** A worker of either host. */
interface Worker {
  readonly post: (message: unknown) => void
  /** While it is held, the process does not end. */
  readonly hold: (held: boolean) => void
  readonly end: () => void
}

/** Makes a worker that runs a script. */
type Spawn = (heard: (message: unknown) => void, failed: (error: unknown) => void) => Worker

interface NodeWorker {
  readonly postMessage: (message: unknown, transfer: ReadonlyArray<object>) => void
  readonly on: (event: string, f: (value: unknown) => void) => void
  readonly ref: () => void
  readonly unref: () => void
  readonly terminate: () => unknown
}

interface Host {
  readonly process?: { readonly getBuiltinModule?: (name: string) => unknown }
  readonly crossOriginIsolated?: boolean
  readonly Worker?: new(url: string) => {
    readonly postMessage: (message: unknown, transfer: ReadonlyArray<object>) => void
    readonly addEventListener: (event: string, f: (value: { readonly data?: unknown }) => void) => void
    readonly terminate: () => void
  }
}

const host: Host = globalThis as Host

interface WorkerThreads {
  readonly Worker: new(script: string, options: { readonly eval: true }) => NodeWorker
}

/** How workers are made here; undefined where there are none, or none that could share memory. */
const spawner = (): Spawn | undefined => {
  const threads = host.process?.getBuiltinModule?.("node:worker_threads") as WorkerThreads | undefined
  if (threads !== undefined) {
    return (heard, failed) => {
      const worker = new threads.Worker(script("node"), { eval: true })
      worker.on("message", heard)
      worker.on("error", failed)
      worker.unref()
      return {
        post: (message) => worker.postMessage(message, []),
        hold: (held) => held ? worker.ref() : worker.unref(),
        end: () => void worker.terminate()
      }
    }
  }
  const { Worker, crossOriginIsolated } = host
  if (Worker === undefined || crossOriginIsolated !== true) return undefined
  return (heard, failed) => {
    const url = URL.createObjectURL(new Blob([script("web")], { type: "text/javascript" }))
    const worker = new Worker(url)
    worker.addEventListener("message", ({ data }) => heard(data))
    worker.addEventListener("error", failed)
    return {
      post: (message) => worker.postMessage(message, []),
      hold: () => {},
      end: () => {
        worker.terminate()
        URL.revokeObjectURL(url)
      }
    }
  }
}

/** Can there be workers that share memory here? */
export const workersAvailable = (): boolean => spawner() !== undefined

/** May this thread sleep? A page's main thread may not. */
const maySleepHere = (): boolean => {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0)
    return true
  } catch {
    return false
  }
}

/** How a crew works. */
export interface WorkersOptions {
  readonly threads: number
  /** May long steps go on while the calling thread does other things? */
  readonly background: boolean
  /** Does the calling thread wait for workers that are not ready yet? For tests: it sleeps then. */
  readonly patient?: boolean
}

/**
 * Runs of less work than this, in nanoseconds on one thread, are not shared, since what one thread writes another has to
 * fetch; and for less than that, workers are not woken, which would take longer than doing it.
 */
const [shareFrom, wakeFrom] = [150_000, 300_000]

/** The place, in 32-bit words, of a word of a thread's line. */
const placeOf = (index: number, word: number): number => (lines.address + lines.bytes * index + word) >> 2

/** Threads on one shared memory. */
export class Workers implements Crew {
  readonly threads: number
  readonly background: boolean
  readonly #patient: boolean
  readonly #memory: WebAssembly.Memory
  readonly #control: Int32Array
  readonly #spawn: Spawn
  readonly #maySleep = maySleepHere() ? 1 : 0
  readonly #workers: Array<Worker> = []
  /** By the number of a module: how many messages have been sent when workers know it. */
  readonly #sent = new Map<number, number>()
  #messages = 0
  #done: ((failure?: Failure) => void) | undefined
  #broken: Failure | undefined
  /** When the last run ended. */
  #ended = -Infinity

  constructor(memory: WebAssembly.Memory, { background, patient = false, threads }: WorkersOptions) {
    const spawn = spawner()
    if (spawn === undefined) throw new Error("there are no workers here that share memory")
    this.#spawn = spawn
    this.#memory = memory
    this.background = background
    this.#patient = patient
    this.#control = new Int32Array(memory.buffer, 0, controlBytes >> 2)
    this.threads = Math.max(1, Math.min(mostWorkers, threads))
  }

  run(program: Loaded, frames: Frames): void {
    const { heavy, nanoseconds } = program.assembled
    const together = this.threads > 1 && heavy && this.#ready(program, 1) && this.#worthSharing(nanoseconds)
    if (heavy) this.#begin(program)
    if (together) this.#command(program, frames, 1)
    try {
      program.main(frames.address, 0, together ? this.threads : 1, this.#maySleep)
    } catch (thrown) {
      throw this.#stopAll(thrown)
    }
    if (heavy) this.#ended = performance.now()
  }

  start(program: Loaded, frames: Frames, done: (failure?: Failure) => void): void {
    this.#done = done
    const go = (): void => {
      if (this.#done !== done) return
      if (this.#broken !== undefined) return this.#end(this.#broken)
      if (this.#ready(program, 0)) {
        for (const worker of this.#workers) worker.hold(true)
        this.#begin(program)
        this.#command(program, frames, 0)
      } else setTimeout(go, 1)
    }
    go()
  }

  forget(number: number): void {
    if (this.#sent.delete(number)) this.#post({ _tag: "Forget", number })
  }

  close(): void {
    for (const worker of this.#workers.splice(0)) worker.end()
    this.#done?.()
    this.#done = undefined
  }

  /** Have the workers from `first` on this module? They are made, and it is sent to them, if not. */
  #ready(program: Loaded, first: number): boolean {
    if (this.#broken !== undefined) throw new Error(this.#broken.reason)
    if (this.#workers.length === 0) {
      for (let index = 0; index < this.threads; index++) this.#workers.push(this.#hire())
      this.#messages = 1
      Atomics.store(this.#control, words.sent >> 2, 1)
      this.#workers.forEach((worker, index) => worker.post({ _tag: "Begin", memory: this.#memory, index }))
    }
    const { module, number } = program
    const sent = this.#sent.get(number) ?? this.#post({ _tag: "Module", number, module })
    this.#sent.set(number, sent)
    for (let index = first; index < this.threads; index++) {
      const at = placeOf(index, lines.read)
      for (let read = Atomics.load(this.#control, at); read < sent; read = Atomics.load(this.#control, at)) {
        // It may have looked just before it was sent something, and sleep.
        this.#wake(index)
        if (!this.#patient) return false
        Atomics.wait(this.#control, at, read, 1)
      }
    }
    return true
  }

  #hire(): Worker {
    return this.#spawn(
      (message) => this.#end(message === "failed" ? this.#fail(this.#reason()) : undefined),
      (error) => this.#end(this.#fail(String(error)))
    )
  }

  #end(failure?: Failure): void {
    for (const worker of this.#workers) worker.hold(false)
    const done = this.#done
    this.#done = undefined
    done?.(failure)
  }

  #fail(why: string): Failure {
    this.#broken ??= { reason: why }
    return this.#broken
  }

  /** The calling thread failed, or stopped because another did: no thread waits for it. Gives the first error. */
  #stopAll(thrown: unknown): Error {
    const at = words.failed >> 2
    const isFirst = Atomics.compareExchange(this.#control, at, 0, 2) === 0
    Atomics.add(this.#control, words.round >> 2, 1)
    Atomics.notify(this.#control, words.round >> 2)
    while (Atomics.load(this.#control, at) === 1);
    return new Error(this.#fail(isFirst ? String(thrown) : this.#reason()).reason)
  }

  /** What the worker wrote that failed. */
  #reason(): string {
    const bytes = new Uint8Array(this.#memory.buffer, reason.address, reason.bytes)
    return String.fromCharCode(...bytes.filter((b) => b !== 0))
  }

  /** Sends a message to all workers: first they see that there is one, and go where they get it. */
  #post(message: unknown): number {
    Atomics.store(this.#control, words.sent >> 2, ++this.#messages)
    this.#workers.forEach((worker, index) => {
      this.#wake(index)
      worker.post(message)
    })
    return this.#messages
  }

  #wake(index: number): void {
    Atomics.notify(this.#control, placeOf(index, lines.command))
  }

  /**
   * Would a run by all threads be over sooner? Workers that sleep take long to come; for a short run after another they
   * are woken, so that they may look out for the one after it.
   */
  #worthSharing(nanoseconds: number): boolean {
    if (this.#patient || nanoseconds >= wakeFrom) return true
    if (nanoseconds < shareFrom) return false
    const others = Array.from({ length: this.threads - 1 }, (_, i) => i + 1)
    const asleep = others.filter((index) => Atomics.load(this.#control, placeOf(index, lines.awake)) === 0)
    if (asleep.length > 0 && performance.now() - this.#ended < lookout) asleep.forEach((index) => this.#wake(index))
    return asleep.length === 0
  }

  /** Before a run, while no thread is running: nothing of any share is taken yet. */
  #begin({ assembled }: Loaded): void {
    Atomics.store(this.#control, words.spins >> 2, firstSpins(assembled.nanoseconds))
    for (let index = 0; index < this.threads; index++) {
      for (const taken of lines.taken) Atomics.store(this.#control, placeOf(index, taken), 0)
    }
  }

  /** Tells the workers from `first` on to run a module. All that took part in the run before have seen its command. */
  #command(program: Loaded, { address, stride }: Frames, first: number): void {
    const control = this.#control
    Atomics.store(control, words.module >> 2, program.number)
    Atomics.store(control, words.frame >> 2, address)
    Atomics.store(control, words.stride >> 2, stride)
    Atomics.store(control, words.threads >> 2, this.threads)
    for (let index = first; index < this.threads; index++) {
      Atomics.add(control, placeOf(index, lines.command), 1)
      this.#wake(index)
    }
  }
}
