/**
 * The library of WGSL functions: by name, each with its text. A shader gets those that it uses. Names end in an
 * underscore.
 */
import { bits } from "./bits.ts"
import { elementary } from "./elementary.ts"
import { special } from "./special.ts"

/** The functions of one file of WGSL text, by name. */
const functions = (text: string): ReadonlyArray<readonly [string, string]> =>
  text.split(/^(?=fn )/m).flatMap((definition) => {
    const name = /^fn ([a-z0-9]+_)\(/.exec(definition)?.[1]
    return name === undefined ? [] : [[name, definition.replace(/\n*\/\/[^\n]*\n*$/, "").trim()] as const]
  })

/** Every function, by name. */
export const library: ReadonlyMap<string, string> = new Map([bits, elementary, special].flatMap(functions))
