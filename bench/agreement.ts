/** Do libraries compute the same? Results are compared before anything is timed. */
import { configurations, type Id } from "./configurations.ts"

/** What a library gave: arrays by name. */
export type Results = ReadonlyMap<string, Float32Array>

/** The norm of the difference relative to the norm; infinite for other sizes and for what is no number. */
const distance = (a: Float32Array, b: Float32Array): number => {
  if (a.length !== b.length) return Infinity
  let [difference, norm] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2
    norm += b[i] ** 2
  }
  const relative = Math.sqrt(difference / norm)
  return difference === 0 ? 0 : Number.isNaN(relative) ? Infinity : relative
}

/** The result that differs most, and by how much. */
export const furthest = (a: Results, b: Results): { readonly name: string; readonly distance: number } => {
  const names = new Set([...a.keys(), ...b.keys()])
  const distances = Array.from(names, (name) => {
    const [x, y] = [a.get(name), b.get(name)]
    return { name, distance: x === undefined || y === undefined ? Infinity : distance(x, y) }
  })
  return distances.reduce((worst, next) => next.distance > worst.distance ? next : worst, { name: "", distance: 0 })
}

/**
 * Who agrees with no other library (or, if there is none, with no other configuration), and in what: nobody is taken at
 * their word, and of two that disagree neither counts.
 */
export const disagreeing = (results: ReadonlyMap<Id, Results>, tolerance: number): ReadonlyMap<Id, string> => {
  const libraries = new Map(configurations.map(({ id, library }) => [id, library.split("-")[0]]))
  const reasons = new Map<Id, string>()
  for (const [id, own] of results) {
    const rest = [...results].filter(([other]) => other !== id)
    const strangers = rest.filter(([other]) => libraries.get(other) !== libraries.get(id))
    const distances = (strangers.length > 0 ? strangers : rest).map(([, theirs]) => furthest(own, theirs))
    if (distances.length === 0 || distances.some((d) => d.distance <= tolerance)) continue
    const nearest = distances.reduce((a, b) => a.distance <= b.distance ? a : b)
    reasons.set(id, `agrees with no other library: ${nearest.name} differs by ${nearest.distance.toExponential(1)}`)
  }
  return reasons
}
