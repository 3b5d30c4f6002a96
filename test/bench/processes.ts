// What processes cost, from /proc: CPU time of all threads and memory with shared pages counted once (Linux).

import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, which Linux gives to programs as 100 on every architecture. */
const msPerTick = 10

export interface Cost {
  /** User and system time so far, children that have left included. */
  readonly cpuMs: number
  /** Proportional set size. */
  readonly memoryMb: number
}

interface Stat {
  readonly pid: number
  readonly parent: number
  readonly cpuMs: number
  /** Of its children that have left. */
  readonly leftMs: number
}

function statOf(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in brackets, may hold anything; fields after it count from 3 (state).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const field = (number: number): number => Number(fields[number - 3])
    return {
      pid,
      parent: field(4),
      cpuMs: (field(14) + field(15)) * msPerTick,
      leftMs: (field(16) + field(17)) * msPerTick
    }
  } catch {
    return null // It has left.
  }
}

function memoryMbOf(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1_024
  } catch {
    return 0
  }
}

function everyStat(): readonly Stat[] {
  return readdirSync('/proc').flatMap(name => (/^\d+$/.test(name) ? (statOf(Number(name)) ?? []) : []))
}

/** One process without its children. */
export function costOf(pid: number): Cost {
  return { cpuMs: statOf(pid)?.cpuMs ?? 0, memoryMb: memoryMbOf(pid) }
}

/** Everything that runs below a process. */
export function costBelow(root: number): Cost {
  const stats = everyStat()
  const below = (parent: number): readonly Stat[] =>
    stats.filter(stat => stat.parent === parent).flatMap(stat => [stat, ...below(stat.pid)])
  const tree = below(root)
  return {
    cpuMs: tree.reduce((sum, { cpuMs, leftMs }) => sum + cpuMs + leftMs, 0),
    memoryMb: tree.reduce((sum, { pid }) => sum + memoryMbOf(pid), 0)
  }
}

/** A process and all below it. */
export function costOfTree(root: number): Cost {
  const [own, rest] = [costOf(root), costBelow(root)]
  return { cpuMs: own.cpuMs + rest.cpuMs, memoryMb: own.memoryMb + rest.memoryMb }
}

/** Busy time of the whole machine, all cores, in ms. */
export function machineBusyMs(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user + nice + system + irq + softirq + steal) * msPerTick
}
