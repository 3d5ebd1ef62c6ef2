/**
 * How threads share the units of a kernel: each has a share of its own, the same part of the units in every kernel, so
 * that it finds in its cache what it wrote there. It takes half of what is left of it at a time, less and less; when its
 * own is used up, it takes from the shares of others, in the same way. So a thread that is slower, or that comes later, is
 * not waited for.
 *
 * How much of a share is taken is counted in its thread's line (`control.ts`): in one of two words, in turns, so that the
 * word for the next kernel can be set to zero while all work on this one. Between two kernels the threads meet.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import { lines } from "./control.ts"

/** From either word to the other. */
const flip = lines.taken[0] ^ lines.taken[1]

const pushLine = (c: Code, thread: Local): Code =>
  c.get(thread).i32(lines.bytes).op("i32.mul").i32(lines.address).op("i32.add")

/**
 * Adds the function that takes units, `(thread, threads, word, units, least, most)`, not fewer than `least` at a time, nor
 * more than `most`. It gives `begin | end << 32`, or 0 when there are none left.
 */
export const taking = (module: Module): Callable => {
  const names = ["thread", "threads", "word", "units", "least", "most"]
  const c = new Code(names.map((name) => [name, "i32"]), ["i64"])
  const [thread, threads, word, units, least, most] = c.params
  const [tried, counter, begin, at, left, count] = ["tried", "counter", "begin", "at", "left", "count"].map((name) =>
    c.local("i32", name)
  )
  const result = c.local("i64", "result")
  // Products of units and threads need not fit into 32 bits.
  const shareOf = (more: number) =>
    c.get(thread).i32(more).op("i32.add").op("i64.extend_i32_u").get(units).op("i64.extend_i32_u").op("i64.mul")
      .get(threads).op("i64.extend_i32_u").op("i64.div_u").op("i32.wrap_i64")
  const limit = (bound: Local, compare: "i32.gt_s" | "i32.lt_s") =>
    c.get(count).get(bound).get(count).get(bound).op(compare).op("select").set(count)
  c.block((found) => {
    c.loop((nextShare) => {
      shareOf(0).set(begin)
      pushLine(c, thread).get(word).op("i32.add").set(counter)
      c.block((empty) => {
        c.loop((again) => {
          c.get(counter).load("i32.atomic.load").set(at)
          shareOf(1).get(begin).op("i32.sub").get(at).op("i32.sub").tee(left).i32(0).op("i32.le_s").brIf(empty)
          c.get(left).i32(1).op("i32.shr_u").set(count)
          limit(least, "i32.gt_s")
          limit(most, "i32.lt_s")
          limit(left, "i32.lt_s")
          c.get(counter).get(at).get(at).get(count).op("i32.add").store("i32.atomic.rmw.cmpxchg")
          c.get(at).op("i32.ne").brIf(again)
        })
        c.get(begin).get(at).op("i32.add").tee(begin).op("i64.extend_i32_u")
        c.get(begin).get(count).op("i32.add").op("i64.extend_i32_u").i64(32n).op("i64.shl").op("i64.or").set(result)
        c.br(found)
      })
      // On to the next thread's share.
      c.get(thread).i32(1).op("i32.add").tee(thread).get(threads).op("i32.eq").if(() => c.i32(0).set(thread))
      c.get(tried).i32(1).op("i32.add").tee(tried).get(threads).op("i32.lt_s").brIf(nextShare)
    })
  })
  return module.add("take", c.get(result))
}

/** Before the first kernel: sets the variable that says in which word units are counted. */
export const beginTurns = (c: Code, word: Local): Code => c.i32(lines.taken[1]).set(word)

/** At the beginning of a kernel: units are counted in the other word, and this one is ready for the kernel after it. */
export const nextTurn = (c: Code, thread: Local, word: Local): Code => {
  pushLine(c, thread).get(word).op("i32.add").i32(0).store("i32.atomic.store")
  return c.get(word).i32(flip).op("i32.xor").set(word)
}
