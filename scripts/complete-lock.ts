// Completes package-lock.json after an `npm install` from a registry that mirrors only part of what npm has.
//
// Compilers and linters come as one optional package per platform. npm writes no entry for those that it could not
// find, and then `npm ci` refuses the lock as incomplete, everywhere. An entry needs only the version, which the parent
// states, and the platform, which the name states: packages of other platforms are never fetched.
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

interface Entry {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: ReadonlyArray<string>
  readonly cpu?: ReadonlyArray<string>
  readonly libc?: ReadonlyArray<string>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const systems = new Set(["android", "darwin", "freebsd", "linux", "openharmony", "win32"])
const processors = new Set(["arm", "arm64", "ia32", "loong64", "ppc64", "riscv64", "s390x", "x64"])
const libraries: Readonly<Record<string, string>> = { gnu: "glibc", glibc: "glibc", musl: "musl" }

/** The platform that a package is named after: @oxlint/binding-linux-x64-musl. None for names that say nothing. */
const platform = (name: string): Pick<Entry, "os" | "cpu" | "libc"> | undefined => {
  const words = name.split(/[/-]/)
  const os = words.filter((word) => systems.has(word))
  const cpu = words.filter((word) => processors.has(word))
  const libc = words.flatMap((word) => Object.hasOwn(libraries, word) ? [libraries[word]] : [])
  if (os.length !== 1 || cpu.length !== 1) return undefined
  return { cpu, ...(libc.length > 0 ? { libc } : {}), os }
}

const path = fileURLToPath(new URL("../package-lock.json", import.meta.url))
const lock = JSON.parse(readFileSync(path, "utf8")) as { packages: Record<string, Entry> }
const added: Array<string> = []
for (const [place, { dev, optionalDependencies }] of Object.entries(lock.packages)) {
  if (!place.startsWith("node_modules/")) continue
  for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
    const missing = lock.packages[`node_modules/${name}`] === undefined &&
      lock.packages[`${place}/node_modules/${name}`] === undefined
    const named = platform(name)
    if (!missing || named === undefined || !/^\d+\.\d+\.\d+$/.test(version)) continue
    const { cpu, libc, os } = named
    const entry = { version, cpu, dev, libc, optional: true, os }
    lock.packages[`node_modules/${name}`] = JSON.parse(JSON.stringify(entry)) as Entry // without what is undefined
    added.push(name)
  }
}
// npm sorts entries by path.
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, "en")))
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added.length} entries added`)
