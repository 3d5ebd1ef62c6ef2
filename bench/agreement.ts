/** Do libraries compute the same? Results are compared before anything is timed. */

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

/** Who disagrees with more others than agree with it, and why: nobody is taken at their word. */
export const disagreeing = <K>(results: ReadonlyMap<K, Results>, tolerance: number): ReadonlyMap<K, string> => {
  const reasons = new Map<K, string>()
  for (const [id, own] of results) {
    const others = [...results].filter(([other]) => other !== id).map(([, theirs]) => furthest(own, theirs))
    const far = others.filter((other) => other.distance > tolerance)
    if (far.length === 0 || far.length * 2 < others.length) continue
    const worst = far.reduce((a, b) => a.distance >= b.distance ? a : b)
    reasons.set(id, `computes something else: ${worst.name} differs by ${worst.distance.toExponential(1)}`)
  }
  return reasons
}
