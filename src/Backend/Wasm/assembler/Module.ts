/** A WebAssembly module: functions over one imported memory, written to bytes, and to text for reading. */
import { Bytes } from "./Bytes.ts"
import { type Callable, type Code, typeCode, type ValueType } from "./Code.ts"

/** A function with its body. */
interface Defined extends Callable {
  readonly code: Code
  readonly exported: boolean
}

/** The memory that a module imports, as `env.memory`. */
export interface MemoryImport {
  readonly shared: boolean
  /** In pages of 64 KiB. */
  readonly initial: number
  readonly maximum: number
}

/** A section that is a vector: the count of its items, and each of them. */
const section = <A>(out: Bytes, id: number, items: ReadonlyArray<A>, write: (item: A, index: number) => void): void => {
  out.byte(id).sized(() => {
    out.unsigned(items.length)
    items.forEach(write)
  })
}

/** A module that grows. */
export class Module {
  readonly #imports: Array<Callable> = []
  readonly #functions: Array<Defined> = []
  readonly #shared = new Map<string, Callable>()
  readonly #memory: MemoryImport

  constructor(memory: MemoryImport) {
    this.#memory = memory
  }

  /** A function of JavaScript, imported as `env.name`. All imports come before the first function. */
  import(name: string, params: ReadonlyArray<ValueType>, results: ReadonlyArray<ValueType> = []): Callable {
    const callable = { name, params, results }
    this.#imports.push(callable)
    return callable
  }

  /** Adds a function. Its body may call functions that were added before it, and itself by what this gives. */
  add(name: string, code: Code, options: { readonly exported?: boolean } = {}): Callable {
    const defined = {
      name,
      code,
      params: code.params.map((p) => p.type),
      results: code.results,
      exported: options.exported ?? false
    }
    this.#functions.push(defined)
    return defined
  }

  /** The function with this key: added, under a name, when it is asked for first. What it calls is added before it. */
  once(key: string, make: () => Code, name = key): Callable {
    const known = this.#shared.get(key)
    if (known !== undefined) return known
    const callable = this.add(name, make())
    this.#shared.set(key, callable)
    return callable
  }

  /** The module as bytes. */
  bytes(): Uint8Array<ArrayBuffer> {
    const callables: ReadonlyArray<Callable> = [...this.#imports, ...this.#functions]
    const indices = new Map(callables.map((f, i) => [f, i]))
    const indexOf = (f: Callable): number => {
      const index = indices.get(f)
      if (index === undefined) throw new Error(`the module has no function ${f.name}`)
      return index
    }
    const types: Array<Callable> = []
    const typeNumbers = new Map<string, number>()
    const typeOf = (f: Callable): number => {
      const key = `${f.params.join()}:${f.results.join()}`
      const known = typeNumbers.get(key)
      if (known !== undefined) return known
      typeNumbers.set(key, types.length)
      types.push(f)
      return types.length - 1
    }
    const typeIndices = callables.map(typeOf)
    const { initial, maximum, shared } = this.#memory
    const out = new Bytes().raw(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))
    section(out, 1, types, (f) => {
      out.byte(0x60).unsigned(f.params.length)
      for (const type of f.params) out.byte(typeCode(type))
      out.unsigned(f.results.length)
      for (const type of f.results) out.byte(typeCode(type))
    })
    section(out, 2, [undefined, ...this.#imports], (f, i) => {
      if (f !== undefined) out.name("env").name(f.name).byte(0).unsigned(typeIndices[i - 1])
      else out.name("env").name("memory").byte(2).byte(shared ? 3 : 1).unsigned(initial).unsigned(maximum)
    })
    section(out, 3, this.#functions, (_, i) => out.unsigned(typeIndices[this.#imports.length + i]))
    section(out, 7, this.#functions.filter((f) => f.exported), (f) => out.name(f.name).byte(0).unsigned(indexOf(f)))
    section(out, 10, this.#functions, (f) => out.sized(() => f.code.encode(out, indexOf)))
    return out.bytes()
  }

  /** The module in the text format. */
  toString(): string {
    const functions = this.#functions.map((f) => {
      const params = f.code.params.map((p) => ` (param $${p.name} ${p.type})`).join("")
      const results = f.results.map((r) => ` (result ${r})`).join("")
      return `(func $${f.name}${params}${results}\n${f.code.toString()})`
    })
    return functions.join("\n\n")
  }
}
